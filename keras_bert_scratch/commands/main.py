"""`keras-bert`: the verbs, and how every one of them ends when something is wrong."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console

from keras_bert_scratch.commands import demo, evaluate, export, finetune, inspect, predict, pretrain, tfrecords, vocab
from keras_bert_scratch.errors import UserError

USER_ERROR = 2
INTERRUPTED = 130

app = typer.Typer(
    name="keras-bert",
    help="BERT from scratch: learn a vocabulary, pretrain, fine-tune, export, serve.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def ends_well(verb: Callable[..., None]) -> Callable[..., None]:
    """One line and exit code 2 for what the user can mend, 130 for Ctrl-C; a traceback only for our own mistakes."""

    @functools.wraps(verb)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            verb(*args, **kwargs)
        except UserError as error:
            _say(f"error: {error}")
            raise typer.Exit(USER_ERROR) from None
        except KeyboardInterrupt:
            _say("interrupted; what was finished is kept, and the same command goes on from there")
            raise typer.Exit(INTERRUPTED) from None

    return run


def _say(line: str) -> None:
    Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)


for module in (demo, vocab, tfrecords, pretrain, finetune, evaluate, predict, export, inspect):
    verb = getattr(module, module.__name__.rpartition(".")[2])
    app.command(epilog=f"Example:\n\n{module.EXAMPLE}")(ends_well(verb))


def main() -> None:
    """The entry of the `keras-bert` script."""
    # TensorFlow's own chatter hides the one line that matters; set either variable to have it back.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    app()
