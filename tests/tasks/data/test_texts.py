"""Labelled texts: unknown labels, bad rows that are left out, and scores where the task expects classes."""

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.registry import get_task

GOLD = {"classification": "label", "multi-label": "labels"}


def read(task, source, labels=(), on_bad_row="fail"):
    found = get_task(task)
    spec = kbs.Spec(task, ("text",) if labels else (), 8, labels, options=dataclasses.asdict(found.Options()))
    return found.read(source, spec, on_bad_row)[1]


@pytest.mark.parametrize("task", GOLD)
def test_an_unknown_label_is_named_or_its_row_is_left_out_and_counted(task, caplog):
    Path("dev.csv").write_text(f'text,{GOLD[task]}\na,no\n"b\nb",Yes\nc,yes\n')
    expected = r"dev\.csv: line 3 has the label 'Yes', which is not one of 'no', 'yes'; did you mean 'yes'\?, or skip"
    with pytest.raises(kbs.UserError, match=expected):
        read(task, "dev.csv", ("no", "yes"))
    found = read(task, "dev.csv", ("no", "yes"), "skip")
    assert (found.raw["text"], dict(found.skipped)) == (["a", "c"], {"unknown label": 1})
    assert found.gold[GOLD[task]].tolist() == ([0, 1] if task == "classification" else [[1, 0], [0, 1]])
    assert found.digest == read(task, {"text": ["a", "c"], GOLD[task]: found_labels(task)}, ("no", "yes")).digest
    assert "dev.csv: left out 1 rows: unknown label" in caplog.text
    with pytest.raises(kbs.UserError, match=r"dev\.csv: no row has one of the labels x"):
        read(task, "dev.csv", ("x",), "skip")


def found_labels(task):
    return ["no", "yes"] if task == "classification" else [["no"], ["yes"]]


def test_a_row_of_a_format_without_lines_is_a_row():
    pq.write_table(pa.table({"text": ["a", "b"], "label": ["no", "maybe"]}), "dev.parquet")
    with pytest.raises(kbs.UserError, match=r"dev\.parquet: row 2 has the label 'maybe'"):
        read("classification", "dev.parquet", ("no", "yes"))


ROWS = {
    "classification": ("a.csv", "text\nfirst\nse,cond\nthird\n", "1 rows: number of cells"),
    "ner": ("a.jsonl", '{"text": "first"}\n{"text": 2}\n{"text": "third"}\n', "1 rows: no text"),
    "choice": (
        "a.jsonl",
        '{"context": "a", "choices": ["b", "c"]}\n{"context": "a", "choices": []}\n',
        "1 rows: no choices",
    ),
    "qa": (
        "a.jsonl",
        '{"question": "a", "context": "b"}\n{"question": "a", "context": 5}\n',
        "1 questions: no text",
    ),
    "fill-mask": ("a.jsonl", '{"text": "[MASK]"}\n{"text": "none"}\n', "1 rows: no [MASK]"),
    "embed": ("a.csv", "text\nfirst\nse,cond\n", "1 rows: number of cells"),
}


@pytest.mark.parametrize("task", ROWS)
def test_rows_that_are_left_out_of_a_prediction_are_counted(task, caplog):
    name, content, counted = ROWS[task]
    Path(name).write_text(content)
    found = get_task(task)
    spec = kbs.Spec(task, found.columns, 128, options={**vars(found.Options()), **vars(found.PredictionOptions())})
    with pytest.raises(kbs.UserError, match=name):
        list(found.unlabelled(name, spec))
    assert list(found.unlabelled(name, spec, "skip"))
    assert f"{name}: left out {counted}" in caplog.text


@pytest.mark.parametrize("on_bad_row", ["fail", "skip"])
def test_scores_are_no_classes(on_bad_row):
    Path("train.tsv").write_text("text\tlabel\na\t2\nb\t3.5\nc\t1.25\n")
    with pytest.raises(
        kbs.UserError, match=r"train\.tsv: line 3 has the label '3\.5', which is a score.* task regression"
    ):
        read("classification", "train.tsv", on_bad_row=on_bad_row)
    assert len(read("classification", {"text": ["a", "b"], "label": ["1.0", "2.0"]})) == 2
    assert len(read("classification", {"text": ["a", "b"], "label": ["2.5", "none"]})) == 2
