"""What a cell may hold: a number, or several labels."""

import pytest
from small_tables import LABELS, SCORE, TEXT, rows_of

import keras_bert_scratch as kbs


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("4.5", 4.5), (" -1e-3 ", -1e-3), ("5", 5.0), (".5", 0.5), ("5.", 5.0), ("+2", 2.0),
        ("4,5", None), ("nan", None), ("inf", None), ("1e999", None), ("1_000", None), ("٣", None), ("", None),
    ],
)  # fmt: skip
def test_numbers_are_finite(cell, number):
    content = f'text,score\na,"{cell}"\n'
    if number is not None:
        assert rows_of(content, columns=[TEXT, SCORE]) == [("a", number)]
    else:
        with pytest.raises(kbs.UserError, match=r"line 2 has '.*', which is not a finite number in the column 'score'"):
            rows_of(content, columns=[TEXT, SCORE])


@pytest.mark.parametrize(
    ("value", "number"),
    [("4", 4.0), ('"4.5"', 4.5), ("true", None), ("null", None), ("NaN", None), ("1" + "0" * 400, None), ("[1]", None)],
)
def test_numbers_in_json(value, number):
    content = f'{{"text": "a", "label": {value}}}'
    if number is not None:
        assert rows_of(content, "t.jsonl", [TEXT, SCORE]) == [("a", number)]
    else:
        with pytest.raises(kbs.UserError, match=r"line 1 has .* in the column 'label'"):
            rows_of(content, "t.jsonl", [TEXT, SCORE])


@pytest.mark.parametrize(
    ("name", "cell", "labels"),
    [
        ("t.csv", '"b, a"', ("b", "a")), ("t.csv", "a", ("a",)), ("t.csv", "", ()), ("t.tsv", "a,10", ("a", "10")),
        ("t.csv", '"a,,b"', None), ("t.csv", '"a,a"', None), ("t.csv", "a;b", None), ("t.csv", "a|b", None),
        ("t.csv", "\"['a', 'b']\"", None), ("t.csv", '"a,nan"', None),
        ("t.jsonl", '["b", " a", "c,d", 2]', ("b", "a", "c,d", "2")), ("t.jsonl", "[]", ()),
        ("t.jsonl", '"a,b"', None), ("t.jsonl", '["a", null]', None), ("t.jsonl", "[0, 1, 1]", None),
        ("t.jsonl", "null", None),
    ],
)  # fmt: skip
def test_several_labels(name, cell, labels):
    content = {
        "t.csv": f"text,labels\nx,{cell}\n",
        "t.tsv": f"text\tlabels\nx\t{cell}\n",
        "t.jsonl": f'{{"text": "x", "labels": {cell}}}',
    }[name]
    if labels is not None:
        assert rows_of(content, name, [TEXT, LABELS]) == [("x", labels)]
    else:
        with pytest.raises(kbs.UserError, match=r"line [12] has "):
            rows_of(content, name, [TEXT, LABELS])
