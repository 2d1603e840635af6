"""The cost of each run of `pretraining.py`, and the published results to expect: the table of README.md.

    python recipes/costs.py [--sustained 100]

The hours are operations / (the machine's peak x MFU); `--sustained` is that product, in TFLOP/s. Cost: seconds, most of
them for TensorFlow's start.
"""

from __future__ import annotations

from typing import Annotated

import typer
from pretraining import BATCH, LENGTH, SECOND_FRACTION, SECOND_LENGTH, STEPS

from keras_bert_scratch.commands.main import handle_errors
from keras_bert_scratch.config import MINIATURES, NAMED_SIZES, BertConfig

SUSTAINED = 100.0

# GLUE, MNLI-m, both on the test sets; sources in README.md.
PUBLISHED = {
    "bert-tiny": (64.2, 70.2),
    "bert-mini": (65.8, 74.8),
    "bert-small": (71.2, 77.6),
    "bert-medium": (73.5, 80.0),
    "bert-base": (79.6, 84.6),
    "bert-large": (82.1, 86.7),
}

HEADINGS = (
    "preset",
    "TFLOPs per step of 128 (computed)",
    "of 512 (computed)",
    "EFLOPs in total (computed)",
    "hours at {:g} TFLOP/s (computed)",
    "GLUE (published)",
    "MNLI-m (published)",
)


def main(
    sustained: Annotated[
        float, typer.Option(help="Sustained TFLOP/s: the machine's peak x MFU.", min=1e-6)
    ] = SUSTAINED,
) -> None:
    """Print the table."""
    print(table(sustained))


def table(sustained: float = SUSTAINED) -> str:
    """The table in Markdown."""
    lines = ["| " + " | ".join(HEADINGS).format(sustained) + " |", "|---" + "|---:" * (len(HEADINGS) - 1) + "|"]
    for size in dict.fromkeys([*MINIATURES.values(), *NAMED_SIZES.values()]):
        names = [name for name, named in {**NAMED_SIZES, **MINIATURES}.items() if named == size]
        config = BertConfig.preset(names[0])
        flops = training_flops(config)
        cells = [
            ", ".join(f"`{name}`" for name in names),
            f"{phase_flops(config, LENGTH) / 1e12:.2f}",
            f"{phase_flops(config, SECOND_LENGTH) / 1e12:.2f}",
            f"{flops / 1e18:.2f}",
            f"{hours(flops, sustained):.1f}",
            *map(str, PUBLISHED.get(names[0], ("", ""))),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def phase_flops(config: BertConfig, length: int) -> float:
    """Operations of a step with rows of `length` tokens."""
    from keras_bert_scratch.data.pretraining.masking import MaskingRule
    from keras_bert_scratch.training.flops import step_flops

    return step_flops(config, BATCH, length, MaskingRule().num_predictions(length))


def training_flops(config: BertConfig) -> float:
    """Operations of all steps."""
    first, second = (phase_flops(config, length) for length in (LENGTH, SECOND_LENGTH))
    return STEPS * ((1 - SECOND_FRACTION) * first + SECOND_FRACTION * second)


def hours(flops: float, sustained: float) -> float:
    """The hours that a machine needs if it sustains so many TFLOP/s."""
    return flops / (sustained * 1e12) / 3600


if __name__ == "__main__":
    typer.run(handle_errors(main))
