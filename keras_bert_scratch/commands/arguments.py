"""Arguments that several verbs take, each described once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.errors import UserError

Corpus = Annotated[
    list[str],
    typer.Argument(
        help="Text files (.gz too), folders of .txt files, or package:NAME for the text in an installed package."
    ),
]
Documents = Annotated[
    str,
    typer.Option(help="What parts one document from the next: blank-lines, or files (blank lines part paragraphs)."),
]
Out = Annotated[Path, typer.Option(help="Folder to make; an unfinished run in it is continued.")]
Batch = Annotated[int, typer.Option(help="Rows per step.")]
Length = Annotated[int, typer.Option(help="Tokens per row.")]
BiasCorrection = Annotated[
    bool,
    typer.Option("--bias-correction", help="Correct Adam's bias, which Google's code does not; good for short runs."),
]
Seed = Annotated[int, typer.Option(help="All chance comes from it.")]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(duration: str) -> float:
    """`"90s"`, `"30m"` or `"1.5h"` in seconds."""
    match = _DURATION.fullmatch(duration.strip())
    if not match:
        raise UserError(f"--budget: {duration!r} is no duration; write it like 90s, 30m or 24h")
    return float(match[1]) * _SECONDS[match[2]]
