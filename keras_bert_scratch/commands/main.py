"""`keras-bert`: registration of the commands."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from keras_bert_scratch.commands import (
    attend,
    convert,
    curves,
    demo,
    distill,
    evaluate,
    export,
    finetune,
    glue,
    inspect,
    launch,
    predict,
    pretrain,
    search,
    serve,
    tfrecords,
    vocab,
)
from keras_bert_scratch.commands.app import app, handle_errors
from keras_bert_scratch.version import WRITTEN_BY


def _tell_version(asked: bool) -> None:
    if asked:
        print(WRITTEN_BY)
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """BERT from scratch: learn a vocabulary, pretrain, fine-tune, export, serve."""


VERBS = (
    demo,
    vocab,
    tfrecords,
    pretrain,
    launch,
    finetune,
    distill,
    glue,
    evaluate,
    predict,
    search,
    export,
    serve,
    convert,
    inspect,
    curves,
    attend,
)
for module in VERBS:
    verb = getattr(module, module.__name__.rpartition(".")[2])
    kind = getattr(module, "COMMAND", None)
    app.command(cls=kind, epilog=f"Example:\n\n{module.EXAMPLE}\n\n{getattr(module, 'ELSEWHERE', '')}")(
        handle_errors(verb)
    )


def main() -> None:
    """The entry point of the `keras-bert` script."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # Texts may contain characters that stdout's encoding lacks. Python raises an error for them, except on stderr.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    app()
