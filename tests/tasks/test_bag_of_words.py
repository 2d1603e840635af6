"""Bag-of-words baselines: their predictions, what they learn, and tasks without them."""

import logging

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks import bag_of_words
from keras_bert_scratch.tasks.bag_of_words import tfidf_probabilities, tfidf_regression
from keras_bert_scratch.tasks.registry import get_task

WORDS = ("heron", "otter", "river", "meadow", "sleeps", "swims")
DRAWS = np.random.default_rng(0)
TEXTS = [" ".join(DRAWS.choice(WORDS, 4)) for _ in range(40)]
OTHERS = TEXTS[7:] + TEXTS[:7]


def test_a_text_is_answered_as_scikit_learn_does():
    given = np.array([["heron" in text, "swims" in text] for text in TEXTS], np.int32)
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    words, asked = vectorizer.fit_transform(TEXTS[:30]), vectorizer.transform(TEXTS[30:])
    found = tfidf_probabilities({"text": TEXTS[:30]}, given[:30], {"text": TEXTS[30:]})
    for label in (0, 1):
        model = LogisticRegression(solver="liblinear", C=10).fit(words, given[:30, label])
        np.testing.assert_allclose(found[:, label], model.predict_proba(asked)[:, 1], atol=1e-6)
    numbers = np.array([len(text) for text in TEXTS], np.float32)
    expected = Ridge().fit(words, numbers[:30]).predict(asked)
    found = tfidf_regression({"text": TEXTS[:30]}, numbers[:30], {"text": TEXTS[30:]})
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_the_words_of_a_pair_are_told_apart():
    """The label depends only on which text holds which word."""
    raw = {"text": ["heron", "otter"] * 8, "text_pair": ["otter", "heron"] * 8}
    given = np.array([[1], [0]] * 8)
    assert (tfidf_probabilities(raw, given, raw)[:, 0] > 0.5).tolist() == [True, False] * 8


def test_a_label_that_all_or_none_have_needs_no_words():
    given = np.array([[1, 0]] * 40)
    assert tfidf_probabilities({"text": TEXTS}, given, {"text": ["heron"]}).tolist() == [[1.0, 0.0]]


def test_texts_without_words_have_no_such_answer():
    raw = {"text": ["a", "!"], "text_pair": ["", "b"]}
    assert tfidf_probabilities(raw, np.array([[1], [0]]), raw) is None
    assert tfidf_regression(raw, np.array([1.0, 2.0]), raw) is None
    assert tfidf_probabilities({**raw, "text_pair": ["heron", "otter"]}, np.array([[1], [0]]), raw) is not None


@pytest.mark.parametrize(("labels", "rows"), [(1, 10), (50, 4)])
def test_of_many_texts_some_are_learnt_from(labels, rows, monkeypatch, caplog):
    monkeypatch.setattr(bag_of_words, "MOST_CHARACTERS", 100)
    monkeypatch.setattr(bag_of_words, "MOST_CHARACTERS_BY_LABELS", 2000)
    with caplog.at_level(logging.WARNING):
        found = bag_of_words._some_rows({"text": ["heron"] * 20, "text_pair": ["otter"] * 20}, labels)
    assert len(set(found.tolist())) == len(found) == rows
    assert f"is trained on {rows} of 20 rows" in caplog.text


def test_the_rows_that_are_learnt_from_keep_their_labels(monkeypatch):
    given = np.array([["heron" in text] for text in TEXTS], np.int32)
    with monkeypatch.context() as patch:
        patch.setattr(bag_of_words, "MOST_CHARACTERS", 500)
        rows = bag_of_words._some_rows({"text": TEXTS}, 1)
        found = tfidf_probabilities({"text": TEXTS}, given, {"text": TEXTS})
    assert 10 < len(rows) < 30
    some = {"text": [TEXTS[row] for row in rows]}
    np.testing.assert_array_equal(found, tfidf_probabilities(some, given[rows], {"text": TEXTS}))


PAIRS = {"text": TEXTS, "text_pair": OTHERS}
# By task: the columns, and the expected metrics of a constant answer.
CONSTANT = {
    "classification": ({"text": TEXTS, "label": ["b"] * 25 + ["a"] * 15}, {"accuracy": 0.25, "f1_macro": 0.2}),
    "pair-classification": (
        {**PAIRS, "label": ["c"] * 20 + ["a", "b"] * 10},
        {"accuracy": 0.0, "majority": 0.5, "matthews": None},
    ),
    "multi-label": (
        {"text": TEXTS, "labels": [["x"]] * 20 + [["x", "y"]] * 20},
        {"accuracy": 0.0, "f1_micro": 2 / 3, "f1_macro": 0.5},
    ),
    "regression": (
        {**PAIRS, "score": [float(number) for number in range(40)]},
        {"rmse": np.sqrt(15**2 + 399 / 12), "pearson": None},
    ),
}


@pytest.mark.parametrize("task", CONSTANT)
def test_the_baselines_of_a_task(task):
    """Trained on the first 30 rows and evaluated on the last 20, with the task's own metrics."""
    columns, expected = CONSTANT[task]
    found = get_task(task)
    options = {field.name: field.default for field in found.Options.__dataclass_fields__.values()}
    spec = kbs.Spec(task, (), 16, options=options)
    spec, train = found.read({name: values[:30] for name, values in columns.items()}, spec)
    _, dev = found.read({name: values[20:] for name, values in columns.items()}, spec)
    baselines = found.baselines(spec, train, dev)
    constant = baselines["mean" if task == "regression" else "majority"]
    assert {name: constant[name] for name in expected} == pytest.approx(expected)
    assert baselines["tfidf"].keys() == constant.keys()


TOLD = [text.split()[0] for text in TEXTS]
LEARNT = {
    "two classes": ("classification", {"label": [str("heron" in text) for text in TEXTS]}, "accuracy"),
    "six classes": ("classification", {"label": TOLD, "text": TOLD}, "accuracy"),
    "labels": ("multi-label", {"labels": [sorted(set(text.split())) for text in TEXTS]}, "f1_micro"),
    "a number": ("regression", {"score": [text.count("heron") - text.count("otter") for text in TEXTS]}, "pearson"),
}


@pytest.mark.parametrize("what", LEARNT)
def test_what_words_tell_is_learnt(what):
    task, columns, metric = LEARNT[what]
    found = get_task(task)
    spec = kbs.Spec(task, (), 16, options={"threshold": 0.5} if task == "multi-label" else {})
    spec, examples = found.read({"text": TEXTS, **columns}, spec)
    assert found.baselines(spec, examples, examples)["tfidf"][metric] > 0.95


@pytest.mark.parametrize("task", ["ner", "qa", "choice"])
def test_other_tasks_have_none(task):
    assert get_task(task).baselines(None, None, None) == {}
