"""Tables with given names for their columns and labels."""

from pathlib import Path

import pytest
from tasks.data.small_tables import COLUMNS, LABEL, TEXT

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.data.named_table import NamedTable
from keras_bert_scratch.tasks.data.tables import names_in_file, read_table

MEANING = {"0": "no", "1": "yes", "no": "no", "yes": "yes"}


def rows_of(content: str, name: str = "t.tsv", on_bad_row: str = "fail", **named) -> list[tuple]:
    Path(name).write_text(content)
    source = NamedTable(name, **named)
    names = names_in_file(COLUMNS, {"text": "other"}, source)  # the table's own names take precedence
    table = read_table(source, (TEXT, LABEL), header_names=names, on_bad_row=on_bad_row)
    return list(zip(table.lines, *table.columns.values(), strict=True))


@pytest.mark.parametrize(
    ("content", "name", "named", "rows"),
    [
        ("a\t1\nb\t0\n", "t.tsv", {"names": ("text", "label")}, [(1, "a", "1"), (2, "b", "0")]),
        ('"a, ""b",1\n', "t.csv", {"names": ("text", "label")}, [(1, 'a, "b', "1")]),
        ("S\tL\na\t1\n", "t.tsv", {"header_names": {"text": "s", "label": "l"}}, [(2, "a", "1")]),
        ("S\t L\na\t1\n", "t.tsv", {"header_names": {"text": "s", "label": "l"}, "labels": MEANING}, [(2, "a", "yes")]),
        (
            '{"text": "a", "label": 1}\n',
            "t.jsonl",
            {"header_names": {"label": "label"}, "labels": MEANING},
            [(1, "a", "yes")],
        ),
        (
            "text\tlabel\na\tno\nb\t 1\n",
            "t.tsv",
            {"header_names": {"label": "label"}, "labels": MEANING},
            [(2, "a", "no"), (3, "b", "yes")],
        ),
    ],
)
def test_rows_by_their_names(content, name, named, rows):
    assert rows_of(content, name, **named) == rows


@pytest.mark.parametrize(
    ("content", "named", "saying"),
    [
        ("a\t1\nb\n", {"names": ("text", "label")}, r"t\.tsv: line 2 has 1 cell, but there are 2 columns"),
        (
            "text\tlabel\na\t2\n",
            {"header_names": {"label": "label"}, "labels": MEANING},
            r"line 2 has the label '2', which is not one of '0', '1'",
        ),
        (
            "text\tlabel\na\t\n",
            {"header_names": {"label": "label"}, "labels": MEANING},
            r"line 2 has a blank label in the column 'label'",
        ),
        (
            "text\tlabel\na\t1\n",
            {"header_names": {"label": "gold"}, "labels": MEANING},
            r"t\.tsv: has no column 'gold'",
        ),
    ],
)
def test_rows_that_cannot_be(content, named, saying):
    with pytest.raises(kbs.UserError, match=saying):
        rows_of(content, **named)


def test_a_run_learns_what_labels_mean():
    Path("t.tsv").write_text("text\tlabel\na\t1\nb\t0\n")
    task = kbs.get_task("classification")
    source = NamedTable("t.tsv", {"label": "label"}, labels=MEANING)
    spec, examples = task.read(source, kbs.Spec("classification", (), 8))
    assert (spec.labels, examples.gold["label"].tolist(), examples.origin) == (("no", "yes"), [1, 0], "t.tsv")
