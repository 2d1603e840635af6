"""Predicting and evaluating with SavedModels: ours by their task's own reader, third-party ones by their signatures."""

import json
import shutil
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from commands.calls import refused

import keras_bert_scratch as kbs
from keras_bert_scratch.serving import inference, saved_model
from keras_bert_scratch.serving.saved_model import SavedModel
from keras_bert_scratch.serving.signatures import Signatures

TAGS = ("O", "B-PER", "I-PER")
OPTIONS = {"overlap": 8, "max_question_length": 8, "max_answer_length": 4, "null_threshold": 0.0}


@pytest.fixture(scope="module")
def ner(small, tokenizer, tmp_path_factory) -> tuple[kbs.FineTuned, Path]:
    """An entity model, and the SavedModel that was exported from it."""
    keras.utils.set_random_seed(2)
    model = kbs.BertTokenClassifier(kbs.BertBackbone(small.replace(initializer_range=1.0)), 3, TAGS)
    tuned = kbs.FineTuned(model, tokenizer, kbs.Spec("ner", ("text",), 16, TAGS, options={"overlap": 4}))
    path = tmp_path_factory.mktemp("ner") / "saved"
    kbs.export_saved_model(tuned, path, warm_up=False)
    return tuned, path


@pytest.fixture(scope="module")
def saved(ner) -> SavedModel:
    return SavedModel(ner[1])


CONLL = "".join(
    "".join(f"{word}\t{'B-PER' if word == 'otter' else 'O'}\n" for word in sentence.split()) + "\n"
    for sentence in ("the otter", "a heron " * 20, "the otter crosses the old river", "otter")
)


def test_words_are_asked_as_the_file_parts_them(ner, saved, monkeypatch):
    """Sentences of all lengths, in several calls; a sentence longer than a row is read in windows."""
    tuned, _ = ner
    Path("dev.conll").write_text(CONLL.replace("old", "o.l.d"))
    monkeypatch.setattr(saved_model, "BATCH_SIZE", 3)
    call, asked_at_once = Signatures.__call__, []

    def counting(self, raw):
        asked_at_once.append(len(raw["words"]))
        return call(self, raw)

    monkeypatch.setattr(Signatures, "__call__", counting)
    found, expected = (model.evaluation_of("dev.conll") for model in (saved, tuned))
    assert [line["words"] for line in found.lines] == [line["words"] for line in expected.lines]
    assert [line["tags"] for line in found.lines] == [line["tags"] for line in expected.lines]
    assert found.lines[2]["words"][4] == "o.l.d"
    assert found.loss is None
    assert asked_at_once == [2, 1, 1]  # windows, not rows, fill a call
    asked = [row["words"] for row, _ in saved.predict_file("dev.conll", {})]
    assert asked == [line["words"] for line in expected.lines]


def test_an_empty_string_at_the_end_of_a_list_is_not_taken_for_padding(ner, saved):
    tuned, _ = ner
    raw = {"words": [["heron", "", "otter"], ["otter", ""], []]}
    assert [row["words"] for row in saved.predict(raw)] == raw["words"]
    assert [row["tags"] for row in saved.predict(raw)] == [row["tags"] for row in tuned.predict(raw)]


def test_where_lists_are_not_counted_a_row_that_ends_in_an_empty_string_is_named(saved):
    """As in third-party SavedModels."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string, name="words")])
    def serve(words):
        return {"number": tf.reduce_sum(tf.cast(words != "", tf.int32), axis=1)}

    tf.saved_model.save(module, "theirs", signatures=serve)
    model = Signatures("theirs")
    assert model.predict({"words": [["heron", "", "otter"], ["a"]]}) == [{"number": 2}, {"number": 1}]
    with pytest.raises(kbs.UserError, match="row 2 has an empty string at the end of its words"):
        model.predict({"words": [["heron"], ["otter", ""]]})


@pytest.mark.slow
def test_without_task_json_only_outputs_are_known(ner):
    """As in third-party SavedModels."""
    shutil.copytree(ner[1], "theirs")
    Path("theirs/task.json").unlink()
    model = inference.load("theirs")
    assert isinstance(model, Signatures)
    Path("new.csv").write_text("text\nthe otter\na heron\n")
    (row, answer), _ = model.predict_file("new.csv", {}, show_progress=True)
    assert row == {"text": "the otter"}
    assert answer["words"] == ["the", "otter"]
    assert {"start_bytes", "num_entities"} <= set(answer)  # what our own answers are computed from
    assert kbs.predict("theirs", {"text": ["the otter"]})[0]["tags"] == answer["tags"]
    with pytest.raises(kbs.UserError, match=r"theirs: has no task\.json, which names the task of a SavedModel"):
        kbs.evaluate("theirs", {"words": [["a"]], "tags": [["O"]]})
    refused("predict", "theirs", "the otter", "--pair", "a heron", saying="not text, text_pair")
    with pytest.raises(kbs.UserError, match="theirs: takes text, or words, not poem"):
        model.predict({"poem": ["a"]})
    with pytest.raises(kbs.UserError, match="row 1 has None, which is not a string in the column 'text'"):
        model.predict({"text": [None]})


def test_a_saved_model_has_its_task_for_good(ner):
    with pytest.raises(kbs.UserError, match=r"`task`: .* was exported for ner, not qa"):
        kbs.predict(ner[1], {"text": ["a"]}, task="qa")
    with pytest.raises(kbs.UserError, match="saved: is a SavedModel; give the run or model that it was exported from"):
        kbs.FineTuned.load(ner[1])


class Doubled(tf.Module):
    """A SavedModel without text."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def serve(self, x):
        return {"y": 2 * x}


class Joined(tf.Module):
    """A SavedModel with three texts."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=name) for name in "abc"])
    def serve(self, a, b, c):
        return {"joined": a + b + c}


def test_a_saved_model_may_have_any_number_of_inputs(caplog):
    model = Joined()
    tf.saved_model.save(model, "three", signatures=model.serve)
    Path("new.csv").write_text("c,a,b\n3,1,2\n6,4\n")
    found = list(inference.load("three").predict_file("new.csv", {}, "skip"))
    assert found == [({"a": "1", "b": "2", "c": "3"}, {"joined": "123"})]
    assert "new.csv: left out 1 rows: number of cells" in caplog.text


def test_a_saved_model_without_text_is_named():
    model = Doubled()
    tf.saved_model.save(model, "numbers", signatures={"serving_default": model.serve})
    with pytest.raises(kbs.UserError, match="numbers: has no serving_default signature that takes raw text"):
        inference.load("numbers")


@pytest.mark.slow
def test_questions_without_answer_want_a_model_exported_for_them(small, tokenizer):
    """The data needs another option, but an exported model is fixed; without task.json, inputs have no known roles."""
    spec = kbs.Spec("qa", ("question", "context"), 32, options=OPTIONS)
    model = kbs.BertQuestionAnswerer(kbs.BertBackbone(small, pooler=False))
    kbs.export_saved_model(kbs.FineTuned(model, tokenizer, spec), "saved", warm_up=False)
    rows = {"question": ["who"], "context": ["an otter"], "answers": [[{"text": "otter", "answer_start": 3}]]}
    assert kbs.evaluate("saved", rows)["examples"] == 1
    with pytest.raises(kbs.UserError, match="saved: was exported with other values of unanswerable than this data"):
        kbs.evaluate("saved", {**rows, "answers": [[]]})
    # SQuAD's own format, by the task's reader.
    article = {"paragraphs": [{"context": "an otter", "qas": [{"question": "who", "id": "q1"}]}]}
    Path("new.json").write_text(json.dumps({"data": [article]}))
    [(row, answer)] = SavedModel("saved").predict_file("new.json", {})
    assert row == {"id": "q1", "question": "who", "context": "an otter"}
    assert answer["answer"] == "an otter"[answer["start"] : answer["end"]]
    Path("saved/task.json").unlink()  # as from another program: nothing tells the two inputs apart
    refused("predict", "saved", "who", "--pair", "an otter", saying="says what its inputs context, question are")
    Path("new.csv").write_text("question,context\nwho,an otter\n")
    [(row, again)] = inference.load("saved").predict_file("new.csv", {})
    assert (row, again["answer"]) == ({"context": "an otter", "question": "who"}, answer["answer"])
