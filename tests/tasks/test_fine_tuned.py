"""Evaluation and prediction with a run: what holds for every task, tested on classification."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tasks.conftest import run_file, tuned

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks import fine_tuned
from keras_bert_scratch.tasks.fine_tuned import FineTuned

PAIRS = {"text": ["a heron", "an otter"] * 4, "text_pair": ["a river", "a river"] * 4, "label": ["yes", "no"] * 4}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, small, tokenizer, eager_functions) -> Path:
    with eager_functions():
        return tuned(small, tokenizer, PAIRS, tmp_path_factory.mktemp("pairs") / "run").path


@pytest.mark.usefixtures("eagerly")
def test_a_model_of_pairs_takes_pairs_alone(pairs):
    assert json.loads((pairs / "task.json").read_text())["columns"] == ["text", "text_pair"]
    assert len(kbs.predict(pairs, {"text": ["a heron"], "text_pair": ["a river"]})) == 1
    with pytest.raises(kbs.UserError, match="'text' and 'text_pair', not 'text'; give exactly"):
        kbs.predict(pairs, {"text": ["a heron"]})
    with pytest.raises(kbs.UserError, match="text_pair"):
        kbs.evaluate(pairs, {"text": ["a heron"], "label": ["yes"]})
    Path("single.csv").write_text("text,label\na heron,yes\n")
    with pytest.raises(kbs.UserError, match=r"single\.csv: .*text_pair"):
        kbs.evaluate(pairs, "single.csv")


@pytest.mark.usefixtures("eagerly")
def test_columns_in_memory_may_have_other_names_too(small, tokenizer, few):
    data = {"text": ["nothing"] * 16, "review": few["text"], "animal": few["label"]}
    names = {"text": "review", "label": "animal"}
    tuned(small, tokenizer, data, header_names=names)
    expected = kbs.evaluate("run", {"text": few["text"], "label": few["label"]})  # our own names work, too
    assert kbs.evaluate("run", data) == kbs.evaluate("run", data, names) == expected
    with pytest.raises(kbs.UserError, match=r"no column 'text' or .*; .* name it with `text_column"):
        kbs.evaluate("run", {"poem": ["a"], "label": ["otter"]})
    assert kbs.Spec.load("run").header_names == names


def test_what_is_no_table_is_named(finished):
    with pytest.raises(kbs.UserError, match=r"a path or columns by name, not DataFrame; .* give dict\(frame\)"):
        kbs.evaluate(finished, DataFrame())


class DataFrame:
    """Stands for pandas's class: neither a path nor a mapping."""


def test_a_model_of_texts_takes_no_pairs(finished):
    with pytest.raises(kbs.UserError, match="reads 'text', not 'text' and 'text_pair'"):
        kbs.predict(finished, {"text": ["a heron"], "text_pair": ["a river"]})


@pytest.mark.usefixtures("eagerly")
def test_columns_may_have_other_names(small, tokenizer, few):
    for name in ("train", "dev"):
        with Path(f"{name}.csv").open("w", newline="") as file:
            rows = zip(few["text"], few["label"], strict=True)
            csv.writer(file).writerows([("review", "animal"), *rows])
    names = {"text": "review", "label": "animal"}
    tuned(small, tokenizer, "train.csv", dev="dev.csv", header_names=names)
    assert json.loads(Path("run/task.json").read_text())["header_names"] == names
    assert kbs.evaluate("run", "dev.csv") == run_file("run")["results"]["dev"]
    Path("plain.csv").write_text(Path("dev.csv").read_text().replace("review,animal", "text,label"))
    with pytest.raises(kbs.UserError, match=r"plain\.csv: has no column 'review', but 'text', 'label'"):
        kbs.evaluate("run", "plain.csv")
    plain = {"text": "text", "label": "label"}
    assert kbs.evaluate("run", "plain.csv", plain) == run_file("run")["results"]["dev"]


# --- evaluation and prediction


def test_every_example_weighs_the_same_in_an_evaluation(finished, animals, monkeypatch):
    """Also the single example of the last batch; one label is wrong on purpose."""
    monkeypatch.setattr(fine_tuned, "BATCH_SIZE", 7)
    texts = ["The heron sleeps.", *animals["text"][:14]]
    labels = ["otter", *animals["label"][:14]]
    model = FineTuned.load(finished)
    scores = [row["scores"] for row in model.predict({"text": texts})]
    losses = [-np.log(row[label]) for row, label in zip(scores, labels, strict=True)]
    results = kbs.evaluate(finished, {"text": texts, "label": labels})
    assert results["loss"] == pytest.approx(np.mean(losses), abs=1e-3)
    assert results["accuracy"] == pytest.approx(14 / 15, abs=1e-4)


def test_answers_keep_their_order_and_do_not_depend_on_their_neighbours(finished, animals, monkeypatch):
    model = FineTuned.load(finished)
    texts = [*animals["text"][:9], "", "otter", " ".join(animals["text"]), "otter"]
    alone = [model.predict({"text": [text]})[0] for text in texts]
    monkeypatch.setattr(fine_tuned, "BATCH_SIZE", 4)
    together = model.predict({"text": texts})
    for one, other in zip(alone, together, strict=True):
        assert one["label"] == other["label"]
        assert list(one["scores"].values()) == pytest.approx(list(other["scores"].values()), abs=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_no_row_is_padded_further_than_its_batch_needs(finished, monkeypatch):
    model = FineTuned.load(finished)
    shapes = set()
    features = type(model.task).features

    def seen(*arguments):
        found = features(*arguments)
        shapes.add(int(found.inputs["token_ids"].shape[1]))
        return found

    monkeypatch.setattr(type(model.task), "features", seen)
    monkeypatch.setattr(fine_tuned, "BATCH_SIZE", 2)
    model.predict({"text": ["heron", "otter", "the heron watches the old river before dawn again and again"]})
    assert min(shapes) < 8 < max(shapes)


def test_no_rows_have_no_answers(finished):
    assert kbs.predict(finished, {"text": []}) == []


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["a heron", None], "row 2 has None, which is not a string in the column 'text'"),
        ([5], "row 1 has 5, which is not a string in the column 'text'"),
        (["a", "good \ud800"], "row 2 has a lone surrogate or bytes that are not UTF-8 in the column 'text'"),
        ("a heron", "'text' is a single text; give a list of texts"),
    ],
    ids=str,
)
def test_what_is_no_text_is_not_answered(finished, texts, said):
    with pytest.raises(kbs.UserError, match=f"columns in memory: {said}"):
        kbs.predict(finished, {"text": texts})


@pytest.mark.usefixtures("eagerly")
def test_texts_may_come_in_an_array(finished):
    texts = np.array(["a heron", "an otter"])
    assert kbs.predict(finished, {"text": texts}) == kbs.predict(finished, {"text": list(texts)})


@pytest.mark.usefixtures("eagerly")
def test_a_stream_is_answered_in_flat_memory(finished, monkeypatch):
    monkeypatch.setattr(fine_tuned, "ROWS_AT_ONCE", 4)
    taken = []

    def rows():
        for number in range(10):
            taken.append(number)
            yield {"text": f"otter {number}"}

    stream = FineTuned.load(finished).predict_stream(rows())
    row, answer = next(stream)
    assert (row["text"], set(answer)) == ("otter 0", {"label", "score", "scores"})
    assert len(taken) <= 5
    assert [row["text"] for row, _ in stream] == [f"otter {number}" for number in range(1, 10)]


@pytest.mark.usefixtures("eagerly")
def test_with_progress_bad_rows_are_found_before_the_first_answer(finished):
    Path("texts.jsonl").write_text('{"text": "a heron"}\n' * 5 + '{"text": 5}\n')
    model = FineTuned.load(finished)
    with pytest.raises(kbs.UserError, match=r"texts\.jsonl: line 6"):
        next(model.predict_file("texts.jsonl", {}, show_progress=True))
    assert len(list(model.predict_file("texts.jsonl", {}, "skip", show_progress=True))) == 5
