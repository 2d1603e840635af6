"""Each task: reading, training, prediction and scores; a new task needs a row in `TASKS` and in the tables below."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but
from scipy import stats
from sklearn import metrics
from tasks.answers import check_same
from tasks.conftest import QUICK

import keras_bert_scratch as kbs
from keras_bert_scratch.serving.export import export_saved_model
from keras_bert_scratch.serving.saved_model import SavedModel
from keras_bert_scratch.tasks.classification import class_weights_of
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.registry import TASKS, get_task
from keras_bert_scratch.tasks.run import FineTuning, finetune


def animal(text: str) -> str:
    return "otter" if "otter" in text else "heron"


def table(task: str, sentences: list[str]) -> dict[str, list]:
    """Something that a small network can learn about the sentences."""
    pairs = sentences[1:] + sentences[:1]
    return {
        "classification": {"text": sentences, "label": [animal(text) for text in sentences]},
        "pair-classification": {
            "text": sentences,
            "text_pair": pairs,
            "label": [f"{animal(text)}s" for text in pairs],
        },
        "regression": {"text": sentences, "score": [1.5 if animal(text) == "otter" else -0.5 for text in sentences]},
        "multi-label": {
            "text": sentences,
            "labels": [[animal(text)] for text in sentences],
        },
        "qa": {
            "question": ["which animal" for _ in sentences],
            "context": sentences,
            "answers": [
                [{"text": animal(text), "answer_start": text.lower().index(animal(text))}] for text in sentences
            ],
        },
        "choice": {
            "context": sentences,
            # The right choice is the animal of the sentence; no other choice is an animal.
            "choices": [["river", animal(text), "lake"][number % 2 :][:3] for number, text in enumerate(sentences)],
            "label": [1 - number % 2 for number in range(len(sentences))],
        },
        "translation": {
            "source": [f"{animal(text)} {number % 6 + 1}" for number, text in enumerate(sentences)],
            "target": [f"the {animal(text)} and the {animal(text)}" for text in sentences],
        },
        "ner": {
            "words": [text.split() for text in sentences],
            "tags": [
                ["B-ANIMAL" if word in ("otter", "heron") else "O" for word in text.split()] for text in sentences
            ],
        },
    }[task]


def asked(model: FineTuned, data: dict[str, list], rows: int) -> dict[str, list[str]]:
    """The first rows as input of `predict`, by column."""
    columns = {name: data[name][:rows] for name in model.spec.columns if name in data}
    return columns or {"text": [" ".join(words) for words in data["words"][:rows]]}


CHAINS = "ner of chains in documents"  # with options that change the task's model and columns
# Every task, with its options where they are not the defaults.
VARIANTS = {
    **{task: (task, {}) for task in TASKS if get_task(task).tunable},
    "qa": ("qa", {"max_question_length": 8}),
    CHAINS: ("ner", {"crf": True, "document_context": True}),
}


@pytest.fixture(scope="module", params=slow_but(["classification"], VARIANTS))
def tuned(request, tmp_path_factory, small, tokenizer, sentences) -> tuple[FineTuned, dict[str, list]]:
    task, options = VARIANTS[request.param]
    data = table(task, sentences[:64])  # one batch of evaluation, so one shape to trace
    epochs = 12 if task == "translation" else 6  # it must learn to generate, too
    how = FineTuning(**{**QUICK, "epochs": epochs, "learning_rate": 1e-2})
    out = tmp_path_factory.mktemp("tasks") / request.param
    wide = small.replace(initializer_range=0.1)  # the paper's 0.02 suits a hidden size of 768, not 16
    finetune(task, wide, data, out, how=how, task_options=options, tokenizer=tokenizer)
    return FineTuned.load(out), data


@pytest.fixture(scope="module")
def exported(tuned, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model"
    export_saved_model(tuned[0], path, warm_up=False)
    return path


@pytest.fixture(scope="module")
def saved(exported) -> SavedModel:
    return SavedModel(exported)


LEARNED = {
    "classification": 0.95,
    "pair-classification": 0.8,
    "regression": 0.9,
    "multi-label": 0.9,
    "ner": 0.95,
    "qa": 90.0,
    "choice": 0.95,
    "translation": 95.0,
}


def test_a_small_network_learns_it(tuned):
    model, data = tuned
    name = model.task.best_by[0]
    _, examples = model.task.read(data, model.spec)
    assert model.evaluate(examples)[name] > LEARNED[model.spec.task]


def test_the_exported_signature_answers_as_predict_does(tuned, saved):
    model, data = tuned
    assert set(saved.columns) == set(model.spec.columns)
    more = {name: ["", "北京 ½ ß"] for name in model.spec.columns}
    more |= {name: [["北京", "½ ß"]] * 2 for name in model.task.list_columns}
    raw = {name: [*values, *more[name]] for name, values in asked(model, data, 5).items()}
    around = {
        name: ["the heron", "", "", "½ an otter", "", "a", "b"] for name in model.task.optional_columns(model.spec)
    }
    for given in (raw, {**raw, **around})[: 1 + bool(around)]:
        for ours, theirs in zip(model.predict(given), saved.predict(given), strict=True):
            check_same(json.loads(json.dumps(ours)), theirs)


def test_the_exported_model_is_measured_as_the_run(tuned, saved):
    """Only with its own signatures, which compute no loss."""
    model, data = tuned
    ours, theirs = model.evaluation_of(data), saved.evaluation_of(data)
    check_same({name: value for name, value in ours.results.items() if name != "loss"}, theirs.results, 2e-4)
    check_same(json.loads(json.dumps(ours.lines)), theirs.lines)


def test_a_spec_is_stored_and_read(tuned):
    model, _ = tuned
    model.save("again")
    assert kbs.Spec.load("again") == model.spec


def read(task: str, data: dict, **options):
    found = get_task(task)
    values = {field.name: field.default for field in found.Options.__dataclass_fields__.values()}
    return found.read(data, kbs.Spec(task, (), 16, options={**values, **options}))


# --- metrics, against scikit-learn and scipy


def decoded_of(predicted: list[int], classes: int) -> dict[str, np.ndarray]:
    return {"scores": np.eye(classes)[predicted]}


@pytest.mark.parametrize(
    ("true", "predicted", "expected"),
    [
        # Where Matthews is undefined, scikit-learn returns 0.0; F1 of a class that is never predicted is 0.
        ([1, 1, 1, 1], [1, 1, 1, 1], {"accuracy": 1.0, "f1_micro": 1.0, "f1": 1.0, "matthews": None, "majority": 1.0}),
        ([0, 0, 1], [0, 0, 0], {"f1": 0.0, "f1_macro": 0.4, "f1_micro": 2 / 3, "accuracy": 2 / 3, "matthews": None}),
        ([0, 1, 1, 0], [0, 1, 0, 0], {"f1": 2 / 3, "matthews": 0.5773502691896258}),
    ],
)
def test_scores_of_two_classes(true, predicted, expected):
    spec = kbs.Spec("classification", ("text",), 16, ("no", "yes"))
    results = get_task("classification").score(spec, decoded_of(predicted, 2), {"label": np.array(true)})
    assert {name: results[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_scores_of_classes_are_scikit_learns(classes):
    """Of five classes, the last is neither gold nor predicted: it counts as 0 in macro F1."""
    draws = np.random.default_rng(classes)
    true, predicted = draws.integers(0, min(classes, 4), (2, 50))
    names = tuple("abcde"[:classes])
    spec = kbs.Spec("classification", ("text",), 16, names)
    results = get_task("classification").score(spec, decoded_of(predicted.tolist(), classes), {"label": true})
    for average in ("macro", "micro"):
        expected = metrics.f1_score(true, predicted, labels=range(classes), average=average, zero_division=0.0)
        assert results[f"f1_{average}"] == pytest.approx(expected)
    assert results["f1_micro"] == pytest.approx(results["accuracy"])
    assert results["matthews"] == pytest.approx(metrics.matthews_corrcoef(true, predicted))
    assert results.get("f1") == (pytest.approx(metrics.f1_score(true, predicted)) if classes == 2 else None)
    assert results["majority"] == np.bincount(true).max() / 50


DRAWN = np.random.default_rng(1).integers(0, 6, (2, 88)) * 1.0  # with ties, as in STS-B


@pytest.mark.parametrize(
    ("true", "predicted", "correlated"),
    [
        ([0.0, 1.0, 5.0], [0.1, 2.0, 4.0], True),
        (*DRAWN, True),
        ([1.0, 2.0], [3.0, 3.0], False),
        ([2.0, 2.0], [1.0, 3.0], False),
    ],
    ids=["correlated", "drawn", "equal predictions", "equal scores"],
)
def test_correlations_are_scipys_or_undefined(true, predicted, correlated):
    """Starts from the model's outputs `(rows, 1)`: broadcast against labels `(rows,)`, they gave a Pearson of 28."""
    spec, task = kbs.Spec("regression", ("text",), 16), get_task("regression")
    outputs = tf.constant(np.reshape(predicted, (-1, 1)))
    decoded = {name: values.numpy() for name, values in task.decode(spec, outputs, None).items()}
    results = task.score(spec, decoded, {"score": np.array(true)})
    if correlated:
        assert results["pearson"] == pytest.approx(stats.pearsonr(true, predicted).statistic)
        assert results["spearman"] == pytest.approx(stats.spearmanr(true, predicted).statistic)
    else:
        assert (results["pearson"], results["spearman"]) == (None, None)
    assert results["rmse"] == pytest.approx(np.sqrt(np.mean(np.subtract(true, predicted) ** 2)))


def test_multi_label_scores_are_scikit_learns():
    draws = np.random.default_rng(0)
    true, scores = draws.integers(0, 2, (40, 3)), draws.random((40, 3))
    true[0], scores[0] = 0, 0  # a row without labels, predicted correctly: 0 in samples F1
    spec = kbs.Spec("multi-label", ("text",), 16, ("a", "b", "c"), options={"threshold": 0.5})
    results = get_task("multi-label").score(spec, {"scores": scores}, {"labels": true})
    for average in ("micro", "macro", "samples"):
        expected = metrics.f1_score(true, scores >= 0.5, average=average, zero_division=0.0)
        assert results[f"f1_{average}"] == pytest.approx(expected)
    by_label = metrics.f1_score(true, scores >= 0.5, average=None)
    assert list(results["f1_by_label"].values()) == pytest.approx(by_label.tolist())
    assert results["accuracy"] == pytest.approx(metrics.accuracy_score(true, scores >= 0.5))
    alone = get_task("multi-label").score(spec, {"scores": scores[:1]}, {"labels": true[:1]})
    assert (alone["f1_samples"], alone["accuracy"]) == (0.0, 1.0)


def test_a_single_label_is_scored_as_one_of_several_is():
    given, scores = np.array([[1], [0], [1], [0]]), np.array([[0.9], [0.8], [0.1], [0.2]])
    spec = kbs.Spec("multi-label", ("text",), 16, ("a",), options={"threshold": 0.5})
    results = get_task("multi-label").score(spec, {"scores": scores}, {"labels": given})
    assert (results["f1_micro"], results["f1_macro"], results["f1_by_label"]) == (0.5, 0.5, {"a": 0.5})
    assert (results["f1_samples"], results["accuracy"]) == (0.25, 0.5)


def test_a_label_is_given_from_the_threshold_on():
    """A logit of 0 is a probability of 0.5, and the threshold applies to probabilities."""
    spec = kbs.Spec("multi-label", ("text",), 16, ("a", "b", "c"), options={"threshold": 0.5})
    decoded = get_task("multi-label").decode(spec, tf.constant([[0.3, -0.1, 0.0], [-1.0, -1.0, -1.0]]), None)
    assert decoded["labels"].numpy().tolist() == [[b"a", b"c", b""], [b"", b"", b""]]
    assert decoded["num_labels"].numpy().tolist() == [2, 0]
    row = {name: value.numpy()[0] for name, value in decoded.items()}
    row["labels"] = [label.decode() for label in row["labels"]]
    assert get_task("multi-label").answer(spec, row)["labels"] == ["a", "c"]


# --- labels, weights


def test_labels_that_are_numbers_stand_in_their_order():
    spec, examples = read("classification", {"text": ["a", "b", "c"], "label": [10, np.int64(2), "1"]})
    assert spec.labels == ("1", "2", "10")
    assert examples.gold["label"].tolist() == [2, 1, 0]


@pytest.mark.parametrize(("asked", "weights"), [("none", None), ("balanced", [2 / 3, 2.0]), ("b=3, a=0.5", [0.5, 3.0])])
def test_class_weights(asked, weights):
    assert class_weights_of(asked, ["a", "a", "a", "b"], ["a", "b"]) == weights


@pytest.mark.parametrize(
    "asked", ["some", "a=1", "a=1,b=x", "a=1,b=2,c=3", "a=-1,b=1", "a=nan,b=1", "a=1,a=2,b=1", "a=0,b=0"]
)
def test_class_weights_that_are_refused(asked):
    with pytest.raises(kbs.UserError, match="`class_weights`"):
        class_weights_of(asked, ["a", "b"], ["a", "b"])


@pytest.mark.parametrize(("weights", "score"), [(None, "accuracy"), ([0.5, 2.0], "weighted_accuracy")])
def test_the_accuracy_of_training_is_called_weighted_if_it_is(weights, score):
    spec = kbs.Spec("classification", ("text",), 8, ("a", "b"), options={"class_weights": weights})
    assert get_task("classification").objectives(spec, None)[""].score == score


def test_class_weights_weigh_the_training_loss_alone(tokenizer):
    spec, examples = read(
        "classification", {"text": ["a", "b", "c", "d"], "label": ["x", "x", "x", "y"]}, class_weights="balanced"
    )
    data = kbs.TaskData(get_task("classification"), spec, examples, tokenizer)
    _, labels, weights = next(data.training_batches(4).as_numpy_iterator())
    assert weights.tolist() == pytest.approx([2.0 if label else 2 / 3 for label in labels])
    assert len(next(data.evaluation_batches(4).as_numpy_iterator())) == 2


@pytest.mark.parametrize(
    ("task", "data", "named"),
    [
        ("classification", {"text": ["a", "b"], "label": ["x", "x"]}, "all labels are 'x'"),
        ("classification", {"text": ["a", None], "label": ["x", "y"]}, "text"),
        ("classification", {"text": ["a", "b"], "label": ["x", None]}, "label"),
        ("classification", {"text": ["a", "b"], "label": ["x"]}, "must have equal lengths"),
        ("classification", {"text": ["a", "b"]}, "label"),
        ("pair-classification", {"text": ["a", "b"], "label": ["x", "y"]}, "text_pair"),
        ("regression", {"text": ["a", "b"], "score": [1.0, float("nan")]}, "score"),
        ("regression", {"text": ["a", "b"], "score": ["1,5", "2"]}, "score"),
        ("regression", {"text": ["a", "b"], "score": [1.0, -1e39]}, r"has -1e\+39, which is too large for float32"),
        ("multi-label", {"text": ["a", "b"], "labels": [[], []]}, "no row has a label"),
    ],
)
def test_what_cannot_be_learnt_from_is_named(task, data, named):
    with pytest.raises(kbs.UserError, match=named):
        read(task, data)


def test_a_label_that_was_not_trained_on_is_named():
    spec, _ = read("classification", {"text": ["a", "b"], "label": ["x", "y"]})
    Path("dev.csv").write_text("text,label\na,x\nb,maybe\n")
    with pytest.raises(kbs.UserError, match=r"dev\.csv: line 3 .*'maybe'"):
        get_task("classification").read("dev.csv", spec)
