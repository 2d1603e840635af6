"""Pretraining as published, from random weights: any of the 24 miniatures, base or large.

    python recipes/pretraining.py PRESET RECORDS OUT [OPTIONS OF keras-bert pretrain]
    python recipes/pretraining.py bert-base records pretrained --dtype bfloat16 --accumulate 8

The recipe prints and runs one `keras-bert pretrain` with the settings of Devlin et al. 2019, appendix A.2. The same
command resumes an interrupted run. Settings without an option are the defaults of `BertAdamW`: betas of 0.9 and 0.999,
weight decay of 0.01. Options at the end replace those of the recipe: `--steps 50000`, or `--budget 24h` instead of
steps; the warmup stays 1% of the run, and the rows of 512 tokens stay its last tenth.

The columns: operations of all matrix products (computed), hours at 100 TFLOP/s (computed), and the accuracy to expect
on MNLI-m (test) after fine-tuning (published, for pretraining on Wikipedia and BooksCorpus).

    bert-tiny      0.24 EFLOPs      0.7 hours    70.2
    bert-mini      1.08 EFLOPs      3.0 hours    74.8
    bert-small     3.48 EFLOPs      9.7 hours    77.6
    bert-medium    6.96 EFLOPs     19.3 hours    80.0
    bert-base     22.47 EFLOPs     62.4 hours    84.6
    bert-large    79.20 EFLOPs    220.0 hours    86.7

Measured here: nothing yet. README.md has all sizes, and how to estimate the time on another machine.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.main import app

BATCH = 256
STEPS = 1_000_000
LENGTH, SECOND_LENGTH = 128, 512
SECOND_FRACTION = 0.1
SETTINGS = (
    f"--batch {BATCH} --length {LENGTH} --second-length {SECOND_LENGTH} --second-fraction {SECOND_FRACTION} "
    "--learning-rate 1e-4 --warmup 0.01 --optimizer adamw --dropout 0.1"
)

recipe = typer.Typer(add_completion=False)


@recipe.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def main(
    context: typer.Context,
    preset: Annotated[str, typer.Argument(help="bert-tiny, -mini, -small, -medium, -base, -large or bert-l6-h768.")],
    records: Annotated[Path, typer.Argument(help="Folder of records, built by tfrecords/ or `keras-bert tfrecords`.")],
    out: Annotated[Path, typer.Argument(help="Output folder; an unfinished run in it is resumed.")],
) -> None:
    """Pretrain a new model as published; options of `keras-bert pretrain` may follow."""
    words = command(preset, records, out, context.args)
    print(shlex.join(["keras-bert", *words]), flush=True)
    app(words)


def command(preset: str, records: Path, out: Path, options: list[str]) -> list[str]:
    """The arguments of `keras-bert`; if an option is given twice, the last one counts."""
    by_clock = any(option.partition("=")[0] == "--budget" for option in options)
    length = [] if by_clock else ["--steps", str(STEPS)]
    return ["pretrain", str(records), "--preset", preset, "--out", str(out), *length, *SETTINGS.split(), *options]


if __name__ == "__main__":
    recipe()
