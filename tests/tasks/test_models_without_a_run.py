"""Folders that no run wrote: damaged ones, and models of other programs, used for a task."""

import json
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint
from keras_bert_scratch.tasks.fine_tuned import FineTuned


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda file: file.write_text("{"), "is damaged"),
        (lambda file: file.write_text("{}"), "is damaged"),
        (lambda file: file.write_text('{"task": "classification", "max_length": "9", "labels": ["a"]}'), "is damaged"),
        (
            lambda file: file.write_text(file.read_text().replace("classification", "poetry")),
            "the unknown task 'poetry'",
        ),
    ],
    ids=["no json", "nothing in it", "wrong kinds", "unknown task"],
)
def test_what_is_no_fine_tuned_model_is_named(small, tokenizer, damage, named):
    spec = kbs.Spec("classification", ("text",), 32, ("no", "yes"))
    FineTuned(kbs.BertTextClassifier(kbs.BertBackbone(small), 2), tokenizer, spec).save("model")
    damage(Path("model/task.json"))
    with pytest.raises(kbs.UserError, match=named):
        FineTuned.load("model")


def test_another_program_s_task_is_no_task(small, tokenizer, caplog):
    """KerasHub's presets have a `task.json` too."""
    kbs.BertTextClassifier(kbs.BertBackbone(small), 2).save_pretrained("model", tokenizer)
    Path("model/task.json").write_text(json.dumps({"module": "keras_hub", "class_name": "BertTextClassifier"}))
    checkpoint = read_checkpoint("model")
    assert checkpoint.task is None
    assert any("task.json: is another program's" in note for note in checkpoint.notes)
    write_checkpoint(checkpoint, "theirs", "huggingface")
    assert not Path("theirs/task.json").exists()
    assert FineTuned.load("model").spec.task == "classification"


def test_a_model_of_next_sentences_is_for_no_task(small, tokenizer):
    kbs.BertNextSentencePredictor(kbs.BertBackbone(small)).save_pretrained("model", tokenizer)
    with pytest.raises(kbs.UserError, match=r"holds no task\.json"):
        FineTuned.load("model")


@pytest.mark.parametrize(
    ("arguments", "task", "labels"),
    [
        ({"num_classes": 2}, "classification", ("LABEL_0", "LABEL_1")),
        ({"num_classes": 2, "label_names": ("no", "yes")}, "classification", ("no", "yes")),
        ({"num_classes": 1}, "regression", ()),
        ({"num_classes": 2, "problem_type": "multi_label_classification"}, "multi-label", ("LABEL_0", "LABEL_1")),
    ],
)
@pytest.mark.usefixtures("eagerly")
def test_a_classifier_of_another_program_answers(small, tokenizer, arguments, task, labels, caplog):
    kbs.BertTextClassifier(kbs.BertBackbone(small), **arguments).save_pretrained("model", tokenizer)
    model = FineTuned.load("model")
    assert (model.spec.task, model.spec.labels, model.spec.columns) == (task, labels, ("text",))
    assert "holds no task.json; treated as a model for" in caplog.text
    assert len(model.predict({"text": ["a", "b"]})) == 2


TAGS = ("O", "B-PER", "I-PER")


@pytest.mark.parametrize(
    ("made", "asked", "task", "columns", "labels"),
    [
        (lambda backbone: kbs.BertTokenClassifier(backbone, 3, TAGS), None, "ner", ("text",), TAGS),
        (kbs.BertQuestionAnswerer, None, "qa", ("question", "context"), ()),
        (kbs.BertMultipleChoice, None, "choice", ("context", "choices"), ()),
        (
            lambda backbone: kbs.BertTextClassifier(backbone, 2),
            "pair-classification",
            "pair-classification",
            ("text", "text_pair"),
            ("LABEL_0", "LABEL_1"),
        ),
        (
            lambda backbone: kbs.BertTextClassifier(backbone, 1, "multi_label_classification"),
            "multi-label",
            "multi-label",
            ("text",),
            ("LABEL_0",),
        ),
    ],
)
@pytest.mark.usefixtures("eagerly")
def test_another_program_s_model_answers_for_the_task_of_its_head(small, tokenizer, made, asked, task, columns, labels):
    made(kbs.BertBackbone(small)).save_pretrained("model", tokenizer)
    model = FineTuned.load("model", task=asked)
    assert (model.spec.task, model.spec.columns, model.spec.labels) == (task, columns, labels)
    raw = {name: [["a", "b"]] if name == "choices" else ["a heron"] for name in columns}
    assert len(kbs.predict("model", raw, task=asked)) == 1


@pytest.mark.parametrize(
    ("made", "asked", "message"),
    [
        (kbs.BertPretrainer, "qa", r"holds a BertPretrainer, which has no head for qa; train one with .*--task qa"),
        (lambda backbone: kbs.BertTextClassifier(backbone, 2), "ner", "labels are none; ner needs tags"),
        (lambda backbone: kbs.BertTokenClassifier(backbone, 2, ("X", "Y")), None, "labels are X, Y; ner needs tags"),
        (
            lambda backbone: kbs.BertTextClassifier(backbone, 2, "multi_label_classification"),
            "classification",
            "is a model for multi_label_classification",
        ),
        (kbs.BertPretrainer, "poetry", "`task`: 'poetry' is unknown"),
    ],
)
def test_a_model_without_a_head_for_the_task_is_named(small, tokenizer, made, asked, message):
    made(kbs.BertBackbone(small)).save_pretrained("model", tokenizer)
    with pytest.raises(kbs.UserError, match=message):
        FineTuned.load("model", task=asked)


@pytest.mark.parametrize(
    ("outputs", "asked", "message"),
    [
        (
            1,
            "classification",
            "computes 1 scores for a text; the task classification needs a score for each of at least two",
        ),
        (2, "regression", "computes 2 scores for a text; the task regression needs one score"),
    ],
)
def test_outputs_that_do_not_fit_the_task_are_named(small, tokenizer, outputs, asked, message):
    kbs.BertTextClassifier(kbs.BertBackbone(small), outputs).save_pretrained("model", tokenizer)
    told = json.loads(Path("model/config.json").read_text())
    told.pop("problem_type")
    Path("model/config.json").write_text(json.dumps(told))
    with pytest.raises(kbs.UserError, match=message):
        FineTuned.load("model", task=asked)


def test_a_run_is_asked_for_its_own_task(small, tokenizer):
    spec = kbs.Spec("classification", ("text",), 32, ("no", "yes"))
    FineTuned(kbs.BertTextClassifier(kbs.BertBackbone(small), 2), tokenizer, spec).save("model")
    assert FineTuned.load("model", task="classification").spec == spec
    with pytest.raises(kbs.UserError, match="was fine-tuned for classification, not multi-label"):
        FineTuned.load("model", task="multi-label")
