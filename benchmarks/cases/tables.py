"""Section 3, tables: each row is read as in the file, or an error names file, line and remedy."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import keras_bert_scratch as kbs
from benchmarks.cases.case import Group, keras_bert, logged
from benchmarks.cases.small import tokenizer, tuned_on_pairs, vocab

rows, skipping, columns = Group("3 rows of tables"), Group("3 --on-bad-row"), Group("3 columns of tables")
GROUPS = (rows, skipping, columns)


def read(name: str, content: str | bytes, task: str = "classification", **options: Any) -> kbs.TaskData:
    """Reads a table with this content in the same way as fine-tuning does."""
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return kbs.TaskData.read(task, name, tokenizer(), max_length=32, **options)


def texts(data: kbs.TaskData) -> list[str]:
    """Returns the texts that were read."""
    return list(data.examples.raw["text"])


for _name, _file, _content, _says in (
    (
        "a .csv row with more cells than the header",
        "t.csv",
        "text,label\nok,y\nGood, really,x\n",
        ("line 3", "3 cells"),
    ),
    ("a .csv row with fewer cells than the header", "t.csv", "text,label\nok,y\nGood\n", ("line 3", "1 cell")),
    ("a stray tab in a .tsv row", "t.tsv", "text\tlabel\na\tb\tx\n", ("line 2", "3 cells")),
    ("a quote that is never closed", "t.csv", 'text,label\na,x\n"b,y\nc,x\nd,y\n', ("line 3", "never closed")),
    ("a quote that is closed rows later", "t.csv", 'text,label\n"b,y\nc,x\n"d, e",y\n', ("line 2", "closed in line 4")),
    ("a blank label", "t.csv", "text,label\na,x\nb,\n", ("line 3", "blank label")),
    ("a label of blanks", "t.csv", "text,label\na,x\nb,   \n", ("line 3", "blank label")),
    ("a label nan", "t.csv", "text,label\na,x\nb,nan\n", ("line 3", "'nan'", "missing value")),
    ("a label NaN in JSON", "t.jsonl", '{"text": "a", "label": NaN}\n', ("line 1", "not a label")),
    ("a label null in JSON", "t.jsonl", '{"text": "a", "label": null}\n', ("line 1", "no value")),
    ("lines that end in a lone CR", "t.csv", "text,label\ra,x\rb,y\r", ("carriage returns", "line feeds")),
    ("another ending", "t.xlsx", "PK", ("ending", "rename")),
    ("a JSON array as .jsonl", "t.jsonl", '[{"text": "a", "label": 1}]', ("JSON array", "one object per line")),
    ("a header twice", "t.csv", "text,label,Text \na,x,b\n", ("twice", "rename")),
):

    @rows.clear(_name, f"{_file}: ", *_says)
    def _(file: str = _file, content: str = _content) -> Any:
        data = read(file, content)
        return texts(data), data.spec.labels


for _name, _file, _content, _texts, _labels in (
    ("blanks around a label are no part of it", "t.csv", "text,label\na, x\nb,x \nc,y\n", "abc", ("x", "y")),
    ("integer labels have the order of numbers", "t.csv", "text,label\na,10\nb,2\nc,1\n", "abc", ("1", "2", "10")),
    ("a lone CR within a text splits no row", "t.csv", "text,label\na\rb,x\nc,y\n", ["a\rb", "c"], ("x", "y")),
    ("a lone CR within a .tsv text splits no row", "t.tsv", "text\tlabel\na\rb\tx\nz\ty\n", ["a\rb", "z"], ("x", "y")),
    ("texts null, NA, nan stay texts", "t.csv", "text,label\nnull,x\nNA,y\nnan,x\n", ["null", "NA", "nan"], ("x", "y")),
    (
        "a text 'null' in JSON stays a text",
        "t.jsonl",
        '{"text": "null", "label": 1}\n{"text": "z", "label": 2}',
        ["null", "z"],
        ("1", "2"),
    ),
    ("a comma within quotes", "t.csv", 'text,label\n"Good, really",x\nz,y\n', ["Good, really", "z"], ("x", "y")),
    ("a line feed within quotes", "t.csv", 'text,label\n"a\nb",x\nz,y\n', ["a\nb", "z"], ("x", "y")),
    ("quotes in a .tsv are text", "t.tsv", 'text\tlabel\n"a b\tx\nz\ty\n', ['"a b', "z"], ("x", "y")),
    (".CSV", "T.CSV", "text,label\na,x\nz,y\n", ["a", "z"], ("x", "y")),
    (".csv.gz", "t.csv.gz", gzip.compress(b'text,label\n"a, b",x\nz,y\n'), ["a, b", "z"], ("x", "y")),
    (".TSV.bz2", "t.TSV.bz2", bz2.compress(b"text\tlabel\na\tx\nz\ty\n"), ["a", "z"], ("x", "y")),
    (
        ".jsonl",
        "t.jsonl",
        '{"text": "a, \\n b", "label": 2}\n{"text": "c", "label": 10}\n',
        ["a, \n b", "c"],
        ("2", "10"),
    ),
    (
        ".jsonl.gz",
        "t.jsonl.gz",
        gzip.compress(b'{"text": "a", "label": "x"}\n{"text": "z", "label": "y"}\n'),
        ["a", "z"],
        ("x", "y"),
    ),
    ("Windows' line ends and byte order mark", "t.csv", "\ufefftext,label\r\na,x\r\nz,y\r\n", ["a", "z"], ("x", "y")),
    ("case and blanks of the header do not matter", "t.csv", " Text ,LABEL\na,x\nz,y\n", ["a", "z"], ("x", "y")),
):

    @rows.right(_name, _file, _content, list(_texts), _labels)
    def _(file: str, content: str | bytes, expected: list[str], labels: tuple[str, ...]) -> str:
        data = read(file, content)
        assert texts(data) == expected, texts(data)
        assert data.spec.labels == labels, data.spec.labels
        return f"{texts(data)}, {labels}"


BAD = "text,label\nz,x\na,b,c\nd,\ne,nan\nf,g,h\ni,y\n"


@skipping.right("on_bad_row='skip' counts the rows by reason")
def _() -> str:
    with logged() as messages:
        data = read("t.csv", BAD, on_bad_row="skip")
    assert (texts(data), data.spec.labels) == (["z", "i"], ("x", "y"))
    told = " ".join(messages)
    assert all(words in told for words in ("2 rows: number of cells", "1 rows: blank label", "1 rows: missing label"))
    return told


@skipping.clear("without it the first bad row is the error, which tells of it", "t.csv: line 3", "on_bad_row='skip'")
def _() -> None:
    read("t.csv", BAD)


@skipping.clear("a table of bad rows alone", "t.csv: every row is bad", "blank label: 2")
def _() -> None:
    read("t.csv", "text,label\na,\nb,\n", on_bad_row="skip")


@skipping.clear("on_bad_row='drop'", "`on_bad_row`", "'drop'", "'skip'")
def _() -> None:
    read("t.csv", BAD, on_bad_row="drop")


def command(train: str, *more: str) -> str:
    """Runs `keras-bert finetune` on a table."""
    small = ["--preset", "bert-l2-h128", "--vocab", vocab(), "--batch", "2", "--length", "8", "--epochs", "1"]
    return keras_bert("finetune", "--train", train, "--out", "run", *small, *more)


@skipping.clear("keras-bert finetune on a bad row tells of the flag", "t.csv: line 3", "--on-bad-row skip")
def _() -> None:
    Path("t.csv").write_text(BAD)
    command("t.csv")


@columns.right("--text-column, --pair-column, --label-column name the columns, and the run stores them")
def _() -> str:
    Path("t.csv").write_text("first,second,stars\na,b,1\nc,d,2\n")
    command("t.csv", "--text-column", "first", "--pair-column", "second", "--label-column", "stars")
    stored = json.loads(Path("run/task.json").read_text())
    assert stored["columns"] == ["text", "text_pair"]
    assert stored["header_names"] == {"text": "first", "text_pair": "second", "label": "stars"}
    assert "accuracy" in keras_bert("evaluate", "run", "--data", "t.csv")  # without naming the columns again
    keras_bert("predict", "run", "--data", "t.csv", "--out", "answers.jsonl")
    assert len(Path("answers.jsonl").read_text().splitlines()) == 2
    return str(stored["header_names"])


@columns.clear("a table without the named column tells of the flag", "t.csv: has no column 'body'", "--text-column")
def _() -> None:
    Path("t.csv").write_text("text,label\na,1\nc,2\n")
    command("t.csv", "--text-column", "body")


@columns.clear("a table without a label's column", "t.csv: has no column 'label'", "`label_column='...'`")
def _() -> None:
    read("t.csv", "text,stars\na,1\n")


for _column in ("score", "label"):

    @columns.right(f"the score of regression in a column {_column!r}", _column)
    def _(column: str) -> None:
        data = read("t.csv", f"text,{column}\na,4.5\nb,-1e-3\n", "regression")
        assert [round(float(value), 4) for value in next(iter(data.examples.gold.values()))] == [4.5, -0.001]


@columns.clear("a score that is no number", "t.csv: line 2", "'4,5'", "not a finite number")
def _() -> None:
    read("t.csv", 'text,score\na,"4,5"\n', "regression")


@columns.clear("a model of pairs is asked about single texts", "'text' and 'text_pair'", "not 'text'")
def _() -> None:
    kbs.predict(tuned_on_pairs(), {"text": ["a"]})


@columns.clear("a model of pairs is measured on a table without the second column", "t.csv: ", "'text_pair'")
def _() -> None:
    Path("t.csv").write_text("text,label\na,bird\n")
    kbs.evaluate(tuned_on_pairs(), "t.csv")
