"""Texts with their line numbers: files of lines, tables, and how these are told apart."""

import gzip
import json
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.data.numbered_texts import numbered_texts

LINES = [(1, "a"), (3, " b, c\td ")]


@pytest.mark.parametrize(
    ("name", "content", "names", "found"),
    [
        ("a.txt", b"a\n\n b, c\td \r\n  \n", {}, LINES),
        ("a.en", b"\xef\xbb\xbfa\n \t\n b, c\td ", {}, LINES),
        ("a", b"text\nb", {}, [(1, "text"), (2, "b")]),
        ("a.en.gz", gzip.compress(b"a\n\n b, c\td \n", mtime=0), {}, LINES),
        ("a.txt", b"label\tSentence1\nx\ta\ny\tb", {}, [(2, "a"), (3, "b")]),
        ("a.txt", b"label\treview\nx\ta\ny\tb", {}, [(1, "label\treview"), (2, "x\ta"), (3, "y\tb")]),
        ("a.txt", b"label\treview\nx\ta\ny\tb", {"text": "review"}, [(2, "a"), (3, "b")]),
        ("a.csv", b'text,n\n"a\nb",1\n"",2\n', {}, [(2, "a\nb"), (4, "")]),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": "b"}', {}, [(1, "a"), (3, "b")]),
    ],
)
def test_a_file_of_lines_or_a_table(name, content, names, found):
    Path(name).write_bytes(content)
    assert [(row["line"], row["text"]) for row in numbered_texts(name, names, "fail")] == found


def test_columns_in_memory_and_pairs():
    assert list(numbered_texts({"text": ["a"]}, {}, "fail")) == [{"text": "a", "line": 1}]
    Path("a.jsonl").write_text(json.dumps({"text": "a", "other": "b"}))
    found = list(numbered_texts("a.jsonl", {"text_pair": "other"}, "fail"))
    assert found == [{"text": "a", "text_pair": "b", "line": 1}]


def test_a_line_that_is_no_text_is_named_or_counted(caplog):
    Path("a.en").write_bytes(b"a\n\xff\nb\0\nc\n")
    with pytest.raises(
        kbs.UserError, match=r"a\.en: line 2 is not UTF-8 .* or skip such rows with `on_bad_row='skip'`"
    ):
        list(numbered_texts("a.en", {}, "fail"))
    assert [row["line"] for row in numbered_texts("a.en", {}, "skip")] == [1, 4]
    assert "left out 1 rows: not UTF-8" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b" \n\n", r"a\.txt: holds no texts"),
        ("a.en", None, r"a\.en: no such file"),
        (".", None, r"\.: is a folder"),
        ("a.csv", b"title\na\n", r"a\.csv: has no column 'text' or"),
        ("a.en", "a\n".encode("utf-16"), r"a\.en: is UTF-16"),
    ],
)
def test_what_holds_no_texts_is_named(name, content, message):
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(kbs.UserError, match=message):
        list(numbered_texts(name, {}, "fail"))


def test_lines_are_a_stream(monkeypatch):
    Path("a.txt").write_text("a\n" * 10 + "\0\n")
    rows = numbered_texts("a.txt", {}, "fail")
    assert [next(rows)["line"] for _ in range(10)][-1] == 10
    with pytest.raises(kbs.UserError, match="line 11 contains a NUL"):
        next(rows)
