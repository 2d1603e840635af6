"""JSON lines are JSON, whatever a model answers."""

import json
import math
from pathlib import Path

import pytest

from keras_bert_scratch.commands.json_lines import as_json, write_lines

BROKEN = {"text": "a heron", "scores": {"no": math.nan, "yes": 0.5}, "embedding": [math.inf, (-math.inf, 1)]}
READ = {"text": "a heron", "scores": {"no": None, "yes": 0.5}, "embedding": [None, [None, 1]]}


def no_json(constant: str) -> None:
    pytest.fail(f"{constant} is not JSON")


def test_what_is_no_number_is_null(capsys):
    write_lines([{"text": "水獭"}, BROKEN], Path("lines.jsonl"))
    capsys.readouterr()
    write_lines([{"text": "水獭"}, BROKEN], None)
    for lines in (Path("lines.jsonl").read_text(encoding="utf-8"), capsys.readouterr().out):
        assert [json.loads(line, parse_constant=no_json) for line in lines.splitlines()] == [{"text": "水獭"}, READ]
    assert as_json("水", ascii_only=False) == '"水"'
    assert as_json("水", ascii_only=True) == '"\\u6c34"'
