"""Arguments that several commands share, each described once."""

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
    typer.Option(help="What separates documents: blank-lines, or files (then blank lines separate paragraphs)."),
]
Sentences = Annotated[
    str, typer.Option(help="split: each line is a paragraph to split into sentences; lines: each line is a sentence.")
]
TextField = Annotated[str, typer.Option(help="The field or column of JSON lines, CSV, Parquet or a dataset to read.")]
BadBytes = Annotated[str, typer.Option(help="Bytes that are not UTF-8: fail, or replace and count them.")]
Out = Annotated[Path, typer.Option(help="Folder to create; an unfinished run in it is resumed.")]
Batch = Annotated[int, typer.Option(help="Rows per step.")]
Length = Annotated[int, typer.Option(help="Tokens per row.")]
BiasCorrection = Annotated[
    bool,
    typer.Option(
        "--bias-correction", help="Use Adam's bias correction, which Google's code omits; good for short runs."
    ),
]
Epochs = Annotated[float, typer.Option(help="Number of passes over the training table.")]
Patience = Annotated[int | None, typer.Option(help="Stop after this many epochs without a better model.")]
LearningRate = Annotated[float, typer.Option(help="Peak learning rate.")]
TaskLearningRate = Annotated[
    float | None,
    typer.Option(
        "--learning-rate",
        help="Peak learning rate; by default 5e-5, or 1 / sqrt(4000 hidden size) from random weights.",
    ),
]
TaskBiasCorrection = Annotated[
    bool | None,
    typer.Option(
        "--bias-correction/--no-bias-correction",
        help="Use Adam's bias correction; by default only from random weights.",
    ),
]
LayerDecay = Annotated[
    float, typer.Option(help="Learning-rate factor for each layer downwards; below 1, lower layers change less.")
]
FreezeLayers = Annotated[
    int, typer.Option(help="Number of lowest layers to freeze; with 1 or more, the embeddings are frozen, too.")
]
Seeds = Annotated[
    int, typer.Option(help="Number of runs, with --seed and the seeds after it; reports mean and standard deviation.")
]
Warmup = Annotated[float, typer.Option(help="Fraction of the training in which the learning rate rises.")]
Dtype = Annotated[str, typer.Option(help="Dtype of the matrix products: float32, bfloat16 or float16.")]
PredictionDtype = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        help="Dtype of the matrix products: float32, bfloat16 or float16; by default as in training, or float32.",
    ),
]
Accumulate = Annotated[
    int, typer.Option(help="Gradient accumulation: parts of a batch, computed in sequence to save memory.")
]
Remat = Annotated[bool, typer.Option("--remat", help="Recompute activations in the backward pass, to save memory.")]
SaveEvery = Annotated[str, typer.Option(help="Time between saved states, such as 60s or 5m.")]
OnNonfinite = Annotated[
    str, typer.Option(help="A step whose gradient is not finite: stop the run, or skip and count it.")
]
TextColumn = Annotated[str | None, typer.Option(help="Name of the column text in the tables, if it differs.")]
PairColumn = Annotated[str | None, typer.Option(help="Name of the column text_pair in the tables, if it differs.")]
LabelColumn = Annotated[
    str | None, typer.Option(help="Name of the column of labels or scores in the tables, if it differs.")
]
OnBadRow = Annotated[str, typer.Option(help="Invalid rows of a table: fail, or skip and count them.")]
PredictionTask = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="Task to use the model for; by default the one it was fine-tuned for. --help then lists its options.",
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of all random numbers.", min=0, max=2**32 - 1)]
Pairs = Annotated[
    str, typer.Option(help="next: does B follow A; order: are A and B in order; none: only masked words.")
]
ShortSeqProb = Annotated[float, typer.Option(help="Probability that an example has a random shorter length.")]
Masking = Annotated[str, typer.Option(help="Units to mask: tokens, words (whole), ngrams (1-3 words).")]
MaskedFraction = Annotated[float, typer.Option(help="Fraction of a row's tokens to mask.")]
Replacements = Annotated[
    str, typer.Option(help="Percentages of the masked tokens that become [MASK] / become a random token / stay.")
]
MaxPredictions = Annotated[
    int | None, typer.Option(help="Maximum masked tokens per row; by default only the fraction limits them.")
]
Strategy = Annotated[str, typer.Option(help="auto, none, mirrored (all GPUs here), multiworker (processes) or tpu.")]
Workers = Annotated[str, typer.Option(help="host:port,... of every process, for multiworker; or set TF_CONFIG.")]
Index = Annotated[int | None, typer.Option(help="Index of this worker, from 0.")]
VirtualDevices = Annotated[int | None, typer.Option(help="Number of devices to split the CPU into, to try mirrored.")]
Tpu = Annotated[str, typer.Option(help="Name or address of a TPU; by default TPU_NAME or this machine's.")]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(duration: str, argument: str) -> float:
    """Converts `"90s"`, `"30m"` or `"1.5h"` to seconds; an error names the command's `argument`."""
    match = _DURATION.fullmatch(duration.strip())
    if not match:
        raise UserError(f"`{argument}`: {duration!r} is not a duration; write it like 90s, 30m or 24h")
    return float(match[1]) * _SECONDS[match[2]]


def replacements_of(percentages: str) -> tuple[float, ...]:
    """Converts `"80/10/10"` to probabilities."""
    try:
        return tuple(float(one) / 100 for one in percentages.split("/"))
    except ValueError:
        raise UserError(
            f"`replacements`: {percentages!r} cannot be read; write three numbers, such as 80/10/10"
        ) from None


def check_not_given(ctx: typer.Context, names: Iterable[str], reason: str) -> None:
    """Raises `UserError` if some of these arguments are on the command line, where they would be ignored.

    Args:
        ctx: the command's context; it tells a given value from an equal default.
        names: the arguments, as parameters of the command.
        reason: str. Such as "has no effect with `init`; leave it out".
    """
    if given := [f"`{name}`" for name in names if ctx.get_parameter_source(name).name == "COMMANDLINE"]:
        raise UserError(f"{', '.join(given)}: {reason}")


def listed(names: str) -> list[str]:
    """Splits `"a:1,b:2"` into a list; an empty string gives an empty list."""
    return [name for name in names.split(",") if name]


# Arguments of the library that a command takes under another name; all others have the same one.
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


def arguments_to_flags(message: str, parameters: Iterable[Any]) -> str:
    """Rewrites an error of the library for the command line: arguments in backticks become the command's flags.

    Args:
        message: str. Such as "`num_shards`: must be at least 1" or "give `bad_bytes='replace'`".
        parameters: the command's, from `typer.main.get_command`. Other names only lose their backticks.

    Example:
        >>> import typer
        >>> app = typer.Typer()
        >>> @app.command()
        ... def build(shards: int = 8, bad_bytes: str = "fail"): ...
        >>> arguments_to_flags("`num_shards`: must be at least 1", typer.main.get_command(app).params)
        '--shards: must be at least 1'
        >>> arguments_to_flags("fix it, or give `bad_bytes='replace'`", typer.main.get_command(app).params)
        'fix it, or give --bad-bytes replace'
    """
    known = {parameter.name: parameter for parameter in parameters}

    def as_flag(match: re.Match[str]) -> str:
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

    return _ARGUMENT.sub(as_flag, message)


def _literal(text: str | None) -> Any:
    """Evaluates `text` as a Python literal; any other text stays a string, and `None` gives `...`."""
    try:
        return ast.literal_eval(text) if text is not None else ...
    except (ValueError, SyntaxError):
        return text


def header_names(text_column: str | None, pair_column: str | None, label_column: str | None = None) -> dict[str, str]:
    """Returns the tables' names of the columns that have another name, by role."""
    names = {"text": text_column, "text_pair": pair_column, "label": label_column}
    return {role: name for role, name in names.items() if name}
