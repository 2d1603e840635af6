"""Fine-tuning with one setting: what its options change, its baselines, and what is tuned on dev."""

import json
from pathlib import Path

import numpy as np
import pytest
from tasks.conftest import QUICK

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.training.callbacks import METRICS_FILE, read_metrics

pytestmark = pytest.mark.usefixtures("eagerly")


def tune(task, config, tokenizer, data, out="run", dev=None, task_options=None, **changes):
    how = kbs.FineTuning(**{**QUICK, "epochs": 1, **changes})
    return kbs.finetune(task, config, data, out, dev, how, task_options=task_options, tokenizer=tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "options", "score"),
    [
        ("classification", {}, "accuracy"),
        ("classification", {"class_weights": "balanced"}, "weighted_accuracy"),
        ("multi-label", {}, "label_accuracy"),
    ],
)
def test_a_score_of_training_has_the_name_of_one_on_dev_only_if_it_is_the_same(
    task, options, score, small, tokenizer, few
):
    """The scores are computed from the predictions; the tiny learning rate changes no weight."""
    still = small.replace(hidden_dropout=0.0, attention_dropout=0.0, initializer_range=0.5)
    labels = np.array(["otter"] * 12 + ["heron"] * 4)
    gold = {"labels": [[one] for one in labels]} if task == "multi-label" else {"label": list(labels)}
    data = {"text": few["text"], **gold}
    tune(task, still, tokenizer, data, dev=data, task_options=options, learning_rate=1e-12)
    answers = kbs.predict("run", {"text": few["text"]})
    scores = np.array([[row["scores"][name] for name in ("heron", "otter")] for row in answers])
    right = (labels == "otter") == (scores[:, 1] > scores[:, 0])
    expected = {
        "accuracy": right.mean(),
        "weighted_accuracy": np.average(right, weights=np.where(labels == "otter", 16 / 24, 16 / 8)),
        "label_accuracy": ((scores >= 0.5) == np.stack([labels == "heron", labels == "otter"], axis=1)).mean(),
    }
    (row,) = read_metrics(Path("run") / METRICS_FILE)
    assert {name: value for name, value in row.items() if "accuracy" in name} == {
        score: pytest.approx(expected[score], abs=1e-6)
    }


@pytest.mark.slow
def test_label_smoothing_is_of_training_alone(small, tokenizer, few):
    """With class weights, against the formulas; the tiny learning rate changes no weight. Also checks baselines."""
    still = small.replace(hidden_dropout=0.0, attention_dropout=0.0, initializer_range=0.5)
    options = {"label_smoothing": 0.3, "class_weights": "heron=1,otter=3"}
    labels = ["otter"] * 4 + ["heron"] * 12
    data = {**few, "label": labels}
    run = tune("classification", still, tokenizer, data, dev=data, task_options=options, learning_rate=1e-12)
    scores = [list(row["scores"].values()) for row in kbs.predict("run", {"text": few["text"]})]
    right = np.array(labels) == "otter"
    log_scores, weights = np.log(scores), np.where(right, 3.0, 1.0)
    plain = -np.where(right, log_scores[:, 1], log_scores[:, 0])
    assert run.results["dev"]["loss"] == pytest.approx(plain.mean(), abs=1e-4)
    smoothed = 0.7 * plain - 0.3 * log_scores.mean(axis=1)
    (row,) = read_metrics(Path("run") / METRICS_FILE)
    assert row["loss"] == pytest.approx(np.average(smoothed, weights=weights), rel=1e-4)
    baselines = json.loads(Path("run/run.json").read_text())["results"]["baselines"]
    assert baselines["majority"]["accuracy"] == 0.75
    assert baselines["tfidf"].keys() == baselines["majority"].keys()
    with pytest.raises(kbs.UserError, match=r"spec\.options\.label_smoothing 0\.3, not 0\.0"):
        tune("classification", still, tokenizer, data, dev=data, learning_rate=1e-12)


@pytest.fixture(scope="module")
def topics(few) -> dict[str, list]:
    """Rare labels: none is predicted at a threshold of 0.5."""
    labels = [["otter"] if number % 4 == 0 else [] for number in range(16)]
    return {
        "text": few["text"],
        "labels": [[*row, "day"] if number % 8 == 0 else row for number, row in enumerate(labels)],
    }


@pytest.mark.slow
def test_thresholds_are_tuned_on_dev(small, tokenizer, topics, monkeypatch):
    """After the best epoch; a run that is interrupted while it stores them and resumed ends in the same results."""
    data, options = topics, {"threshold": "tuned"}
    run = tune("multi-label", small, tokenizer, data, dev=data, task_options=options)
    found = run.results["tuned_on_dev"]
    assert run.results["dev"]["f1_micro"] == run.results["best"]["f1_micro"] < found["f1_micro"]
    for folder in ("run", "run/best"):
        assert kbs.evaluate(folder, data) == {name: value for name, value in found.items() if name != "options"}
    stored = json.loads(Path("run/task.json").read_text())["options"]["threshold"]
    assert found["options"]["threshold"] == pytest.approx(stored, abs=1e-4)
    for answer in kbs.predict("run", {"text": data["text"]}):
        given = {label for label, score in answer["scores"].items() if score >= stored}
        assert set(answer["labels"]) == given

    save = FineTuned.save

    def killed(self, directory):
        if Path(directory).name == "again":
            monkeypatch.setattr(FineTuned, "save", save)
            raise KeyboardInterrupt
        save(self, directory)

    monkeypatch.setattr(FineTuned, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        tune("multi-label", small, tokenizer, data, "again", dev=data, task_options=options)
    assert not Path("again/task.json").exists()
    again = tune("multi-label", small, tokenizer, data, "again", dev=data, task_options=options)
    assert again.results == run.results
    assert Path("again/task.json").read_text() == Path("run/task.json").read_text()


def test_tuning_needs_dev_data(small, tokenizer, topics):
    with pytest.raises(kbs.UserError, match="`threshold`: needs `dev`"):
        tune("multi-label", small, tokenizer, topics, task_options={"threshold": "tuned"})
    assert not Path("run").exists()


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_what_is_no_smoothing_is_refused(smoothing, small, tokenizer, few):
    with pytest.raises(kbs.UserError, match="`label_smoothing`: must be at least 0 and below 1"):
        tune("pair-classification", small, tokenizer, few, task_options={"label_smoothing": smoothing})
