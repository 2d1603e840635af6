"""A case: what a user does, the expected outcome, and the verdict."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import app

SHOWN = 160  # characters of the outcome


class NotHereError(Exception):
    """The case needs something that this machine lacks; the message says what."""


class Case(NamedTuple):
    """What a user does.

    Args:
        group: str. The number of the section, and the subject of the case.
        name: str. In a user's words.
        run: callable. Does it, checks the outcome, and may return it for the report.
        says: tuple of str. What the one line of the error must contain; empty if no error is expected.
    """

    group: str
    name: str
    run: Callable[[], Any]
    says: tuple[str, ...] = ()


class Verdict(NamedTuple):
    """The verdict on a case: `right`, `clear`, `wrong` or `not run here`, and the outcome."""

    word: str
    came: str


class Group(list[Case]):
    """The cases of one subject; `right` and `clear` add a function as a case.

    Args:
        name: str. As `Case.group`.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def right(self, name: str, *arguments: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Adds a function that must return when called with the arguments; its assertions say what is right."""
        return self._add(name, (), arguments)

    def clear(self, name: str, *says: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Adds a function that must raise a `UserError` of one line that contains all of `says`."""
        return self._add(name, says, ())

    def _add(self, name: str, says: tuple[str, ...], arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            self.append(Case(self.name, name, lambda: function(*arguments), says))
            return function

        return add


def judge(case: Case) -> Verdict:
    """Runs a case in a separate folder and returns the verdict; catches every error of the case."""
    came = io.StringIO()  # prints and logs are not part of the report
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["KERAS_BERT_CACHE"] = str(Path(folder) / "cache")
        with contextlib.redirect_stdout(came), contextlib.redirect_stderr(came):
            return _judge(case)


def _judge(case: Case) -> Verdict:
    try:
        found = case.run()
    except NotHereError as reason:
        return Verdict("not run here", str(reason))
    except kbs.UserError as error:
        message = str(error)
        missing = [words for words in case.says if words not in message]
        if not case.says or missing or "\n" in message:
            return Verdict("wrong", _short(f"{message} (does not say {missing})" if missing else message))
        return Verdict("clear", _short(message))
    except (Exception, SystemExit) as error:
        return Verdict("wrong", _short(f"{type(error).__name__}: {error}"))
    if case.says:
        return Verdict("wrong", _short(f"no error, but {found}"))
    return Verdict("right", _short("" if found is None else str(found)))


def _short(text: str) -> str:
    line = re.sub(rf"{re.escape(tempfile.gettempdir())}/tmp\w+/", "", " ".join(text.split()))
    return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."


def keras_bert(*argv: Any) -> str:
    """Returns what the command prints. If it ends with one line and code 2, raises the `UserError` that it shows."""
    result = CliRunner().invoke(app, [str(word) for word in argv])
    if result.exit_code == 0:
        return result.output
    lines = result.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    if result.exit_code == 2 and len(errors) == 1 and lines[-1] == errors[0]:
        raise kbs.UserError(errors[0].removeprefix("error: "))
    raise AssertionError(f"code {result.exit_code}, {result.exception!r}: {result.output[-300:]}")


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """Collects the warnings that the library logs in the block."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("keras_bert_scratch")
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
