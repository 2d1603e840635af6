"""Calling the command line from a test."""

import re
import sys

from typer.testing import CliRunner

from keras_bert_scratch.commands.main import app

KERAS_BERT = [sys.executable, "-m", "keras_bert_scratch"]


def keras_bert(*argv: str):
    return CliRunner().invoke(app, [str(word) for word in argv])


def refused(*argv: str, saying: str) -> None:
    """The command exits with code 2, and its only error is the last line on stderr; stderr matches `saying`."""
    result = keras_bert(*argv)
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert re.search(saying, result.stderr), result.stderr
    lines = result.stderr.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], result.stderr
    assert "Traceback" not in result.output
