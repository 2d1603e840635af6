"""The `keras-bert` program, and how each of its commands reports errors."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.exceptions import TyperException

from keras_bert_scratch.commands.arguments import arguments_to_flags
from keras_bert_scratch.errors import Stopped, UserError, WorkerLostError, os_error_as_user_error

USER_ERROR = 2
INTERRUPTED = 130
IGNORED_MESSAGES = ("triggered tf.function retracing", "unsaved custom gradients")  # parts of TensorFlow's warnings


class Program(TyperGroup):
    """A group of commands in which a usage error ends the process like every other error: one line, exit code 2."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **kwargs: Any) -> Any:
        words = list(sys.argv[1:] if args is None else args) or ["--help"]
        try:
            code = super().main(words, prog_name, **{**kwargs, "standalone_mode": False})
        except TyperException as error:
            context = getattr(error, "ctx", None)
            program = context.command_path if context else self.name
            _say(f"error: {error.format_message().rstrip('.')} ('{program} --help' lists all)")
            sys.exit(USER_ERROR)
        if kwargs.get("standalone_mode", True):
            sys.exit(code or 0)
        return code


app = typer.Typer(
    name="keras-bert",
    cls=Program,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def handle_errors(verb: Callable[..., None]) -> Callable[..., None]:
    """Wraps a command: one line and exit code 2 for errors that the user can fix, 130 for Ctrl-C, else a traceback."""

    @functools.wraps(verb)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            # TensorFlow uses oneDNN by default on some processors only; benchmarks/RESULTS.md measures another one.
            os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
            import_tensorflow_quietly()
            verb(*args, **kwargs)
        except UserError as error:
            raise _refused(error, verb, kwargs) from None
        except OSError as error:
            if (refusal := os_error_as_user_error(error)) is None:
                raise
            raise _refused(refusal, verb, kwargs) from None
        except Stopped as stopped:
            _say(str(stopped))
            raise typer.Exit(0) from None
        except WorkerLostError as lost:
            _say(f"{lost}; restarting together with the other workers")
            os.execv(sys.executable, sys.orig_argv)
        except KeyboardInterrupt as interrupt:
            _say(str(interrupt) or "interrupted")
            raise typer.Exit(INTERRUPTED) from None

    return run


def _refused(error: UserError, verb: Callable[..., None], arguments: Mapping[str, Any]) -> typer.Exit:
    """Prints the error, with the command's flags in place of arguments; returns the exception that ends the process."""
    # A command that takes its context may have options beside the parameters of its function.
    command = getattr(arguments.get("ctx"), "command", None)
    if command is None:
        alone = typer.Typer()
        alone.command()(verb)
        command = typer.main.get_command(alone)
    _say(f"error: {arguments_to_flags(str(error), command.params)}")
    return typer.Exit(USER_ERROR)


def import_tensorflow_quietly() -> None:
    """Imports TensorFlow without its messages on stderr, which no setting can stop and which would hide an error line.

    It also suppresses two warnings: of functions that are traced often, as a command may build several models, each
    with new functions; and of exported models without gradients, which inference does not need.

    With TF_CPP_MIN_LOG_LEVEL=0 all messages are shown.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        return
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow as tf

        tf.config.list_physical_devices()
        for logger in (tf.get_logger(), logging.getLogger("absl")):
            logger.addFilter(_matters)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def _matters(record: logging.LogRecord) -> bool:
    return not any(part in record.getMessage() for part in IGNORED_MESSAGES)


def _say(line: str) -> None:
    Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)
