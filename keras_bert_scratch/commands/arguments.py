"""Arguments that several verbs take, each described once."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_bert_scratch.errors import UserError

Corpus = Annotated[
    list[str],
    typer.Argument(
        help="Text files, JSON lines, CSV, Parquet (.gz .bz2 .xz .zst too), folders of them, patterns, gs:// paths, "
        "package:NAME for the text in an installed package, tfds:NAME/CONFIG:SPLIT for a TensorFlow dataset."
    ),
]
Documents = Annotated[
    str,
    typer.Option(help="What parts one document from the next: blank-lines, or files (blank lines part paragraphs)."),
]
Sentences = Annotated[
    str, typer.Option(help="split: each line is a paragraph to split into sentences; lines: each line is a sentence.")
]
TextField = Annotated[str, typer.Option(help="The field or column of JSON lines, CSV, Parquet or a dataset to read.")]
BadBytes = Annotated[str, typer.Option(help="Of bytes that are not UTF-8: fail, or replace and count them.")]
Out = Annotated[Path, typer.Option(help="Folder to make; an unfinished run in it is continued.")]
Batch = Annotated[int, typer.Option(help="Rows per step.")]
Length = Annotated[int, typer.Option(help="Tokens per row.")]
BiasCorrection = Annotated[
    bool,
    typer.Option("--bias-correction", help="Correct Adam's bias, which Google's code does not; good for short runs."),
]
Epochs = Annotated[float, typer.Option(help="How often to go through the training table.")]
Patience = Annotated[int | None, typer.Option(help="Epochs without a better model after which to stop.")]
LearningRate = Annotated[float, typer.Option(help="The highest rate.")]
TaskLearningRate = Annotated[
    float | None,
    typer.Option(
        "--learning-rate", help="The highest rate; by default 5e-5, from random weights 1 / sqrt(4000 hidden size)."
    ),
]
TaskBiasCorrection = Annotated[
    bool | None,
    typer.Option(
        "--bias-correction/--no-bias-correction", help="Correct Adam's bias; by default from random weights alone."
    ),
]
LayerDecay = Annotated[
    float, typer.Option(help="Factor of the rate per layer downwards; below 1, lower layers change less.")
]
FreezeLayers = Annotated[
    int, typer.Option(help="How many of the lowest layers keep their weights, the embeddings with them.")
]
Seeds = Annotated[int, typer.Option(help="How many runs, with this and the following seeds; mean and sd.")]
Warmup = Annotated[float, typer.Option(help="Fraction of the training in which the rate rises.")]
Dtype = Annotated[str, typer.Option(help="Of the matrix products: float32, bfloat16 or float16.")]
AskedDtype = Annotated[
    str | None,
    typer.Option(
        "--dtype", help="Of the matrix products: float32, bfloat16 or float16; else as the run was trained, or float32."
    ),
]
Accumulate = Annotated[int, typer.Option(help="Parts to divide a batch into, one after another, to save memory.")]
Remat = Annotated[bool, typer.Option("--remat", help="Compute activations again in the backward pass, to save memory.")]
SaveEvery = Annotated[str, typer.Option(help="Time between saved states, as 60s, 5m.")]
OnNonfinite = Annotated[
    str, typer.Option(help="Of a step whose gradient is not finite: stop the run, or skip and count it.")
]
TextColumn = Annotated[str | None, typer.Option(help="What the tables call the column text.")]
PairColumn = Annotated[str | None, typer.Option(help="What the tables call the column text_pair.")]
LabelColumn = Annotated[str | None, typer.Option(help="What the tables call the column of labels or scores.")]
OnBadRow = Annotated[
    str, typer.Option(help="Of a row of a table that is not as it should be: fail, or skip and count.")
]
UsedFor = Annotated[
    str | None,
    typer.Option(
        "--task", help="What to use the model for; else what it was fine-tuned for. With --help its options are shown."
    ),
]
Seed = Annotated[int, typer.Option(help="All random numbers come from it.", min=0, max=2**32 - 1)]
Pairs = Annotated[
    str, typer.Option(help="next: does B follow A; order: are A and B in order; none: masked words alone.")
]
ShortSeqProb = Annotated[float, typer.Option(help="How often an example aims at a random shorter length.")]
Masking = Annotated[str, typer.Option(help="Units that are hidden: tokens, words (whole), ngrams (1-3 words).")]
MaskedFraction = Annotated[float, typer.Option(help="Fraction of a row's tokens to hide.")]
Replacements = Annotated[
    str, typer.Option(help="Per cent of the hidden tokens that become [MASK] / a random token / stay.")
]
MaxPredictions = Annotated[int | None, typer.Option(help="At most so many per row; by default that fraction.")]
Strategy = Annotated[str, typer.Option(help="auto, none, mirrored (all GPUs here), multiworker (processes) or tpu.")]
Workers = Annotated[str, typer.Option(help="host:port,... of every process, for multiworker; or set TF_CONFIG.")]
Index = Annotated[int | None, typer.Option(help="Which of the workers this is, from 0.")]
VirtualDevices = Annotated[int | None, typer.Option(help="Split the processor into so many devices, to try mirrored.")]
Tpu = Annotated[str, typer.Option(help="Name or address of a TPU; by default TPU_NAME or this machine's.")]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(duration: str, argument: str) -> float:
    """`"90s"`, `"30m"` or `"1.5h"` in seconds; an error names the verb's `argument`."""
    match = _DURATION.fullmatch(duration.strip())
    if not match:
        raise UserError(f"`{argument}`: {duration!r} is no duration; write it like 90s, 30m or 24h")
    return float(match[1]) * _SECONDS[match[2]]


def replacements_of(percentages: str) -> tuple[float, ...]:
    """`"80/10/10"` as probabilities."""
    try:
        return tuple(float(one) / 100 for one in percentages.split("/"))
    except ValueError:
        raise UserError(f"`replacements`: {percentages!r} is not readable; write three numbers, as 80/10/10") from None


def listed(names: str) -> list[str]:
    """`"a:1,b:2"` as a list; an empty one of nothing."""
    return [name for name in names.split(",") if name]


# Arguments of the library that a verb takes under another name; all others have the same one.
PARAMETERS = {
    "batch_size": "batch",
    "fraction": "masked_fraction",  # of `MaskingRule`
    "labels_column": "label_column",
    "layer_numbers": "layers",
    "max_length": "length",
    "metrics": "metric",
    "num_shards": "shards",
    "save_seconds": "save_every",
    "score_column": "label_column",
    "seconds": "budget",
    "text_pair_column": "pair_column",
    "unit": "masking",  # of `MaskingRule`
    "vocabulary": "vocab",
}
_ARGUMENT = re.compile(r"`([a-z_][a-z0-9_]*)(?:=([^`]*))?`")


def in_flags(message: str, parameters: Iterable[Any]) -> str:
    """An error of the library in the words of the command line: arguments in backticks become a verb's flags.

    Args:
        message: str. Such as "`num_shards`: must be at least 1" or "give `bad_bytes='replace'`".
        parameters: what the verb takes, as `typer.main.get_command` gives it. What is none of them loses its backticks.

    Example:
        >>> import typer
        >>> app = typer.Typer()
        >>> @app.command()
        ... def build(shards: int = 8, bad_bytes: str = "fail"): ...
        >>> in_flags("`num_shards`: must be at least 1", typer.main.get_command(app).params)
        '--shards: must be at least 1'
        >>> in_flags("mend it, or give `bad_bytes='replace'`", typer.main.get_command(app).params)
        'mend it, or give --bad-bytes replace'
    """
    known = {parameter.name: parameter for parameter in parameters}

    def spoken(match: re.Match[str]) -> str:
        name, text = match.groups()
        parameter = known.get(name) or known.get(PARAMETERS.get(name, ""))
        value = _literal(text)
        if parameter is None or value is None:
            return match[0].strip("`")
        if parameter.param_type_name == "argument":
            return name.upper() if text is None else shlex.quote(str(value))
        flag = parameter.opts[0]
        if text is None or value is True:
            return flag
        if value is False:
            return parameter.secondary_opts[0] if parameter.secondary_opts else match[0].strip("`")
        return f"{flag} {shlex.quote(str(value))}"

    return _ARGUMENT.sub(spoken, message)


def _literal(text: str | None) -> Any:
    """The value that `text` writes in Python, as far as a flag can take it."""
    try:
        return ast.literal_eval(text) if text is not None else ...
    except (ValueError, SyntaxError):
        return text


def header_names(text_column: str | None, pair_column: str | None, label_column: str | None = None) -> dict[str, str]:
    """What the tables call a column, for those that have another name."""
    names = {"text": text_column, "text_pair": pair_column, "label": label_column}
    return {role: name for role, name in names.items() if name}
