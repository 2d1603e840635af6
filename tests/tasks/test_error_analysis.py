"""Confusion matrices, and scores by label, type and length, against scikit-learn and sacreBLEU."""

import random

import numpy as np
import pytest
import sacrebleu
from evaluated import LABELS, TAGS, answered, classified, spec_of
from sklearn import metrics

from keras_bert_scratch.tasks.error_analysis import ByLabel, Confusion
from keras_bert_scratch.tasks.registry import get_task


def test_a_confusion_matrix_is_scikit_learns():
    draws = np.random.default_rng(0)
    true, predicted = draws.integers(0, 3, (2, 50))
    found = classified(np.eye(3)[predicted], true).breakdown
    np.testing.assert_array_equal(found.counts, metrics.confusion_matrix(true, predicted))
    assert found.labels == LABELS


def test_the_most_frequent_confusions_come_first():
    found = Confusion(LABELS, np.array([[9, 2, 0], [5, 0, 0], [0, 1, 7]]))
    assert found.pairs == [(5, "b", "a"), (2, "a", "b"), (1, "c", "b")]


def test_scores_by_label_are_scikit_learns():
    draws = np.random.default_rng(0)
    true, given = draws.integers(0, 2, (2, 40, 3))
    given[:, 2] = 0  # never predicted: its precision is 0
    names = [[{LABELS[n] for n in np.flatnonzero(row)} for row in some] for some in (true, given)]
    lines = [{"gold": sorted(right), "labels": sorted(answer)} for right, answer in zip(*names, strict=True)]
    table = get_task("multi-label").breakdown(spec_of("multi-label"), lines).table
    expected = metrics.precision_recall_fscore_support(true, given, zero_division=0.0)
    for number, label in enumerate(LABELS):
        row = table[label]
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx(
            [v[number] for v in expected[:3]], abs=1e-4
        )
        assert row["right"] + row["missed"] == expected[3][number]
        assert row["right"] + row["spurious"] == given[:, number].sum()


def test_entities_by_type_are_those_of_the_metrics():
    chance = random.Random(0)
    rows = [[chance.choice(TAGS) for _ in range(9)] for _ in range(80)]
    task, spec = get_task("ner"), spec_of("ner", TAGS)
    gold = [[chance.choice(TAGS) for _ in range(9)] for _ in range(80)]
    decoded = {"tags": np.array([[tag.encode() for tag in row] for row in rows], object), "num_words": [9] * 80}
    by_type = task.score(spec, decoded, {"tags": [[TAGS.index(tag) for tag in row] for row in gold]})["by_type"]
    lines = [{"tags": row, "gold": right} for row, right in zip(rows, gold, strict=True)]
    table = task.breakdown(spec, lines).table
    for type_, scores in by_type.items():
        assert {name: table[type_][name] for name in ("precision", "recall", "f1")} == pytest.approx(
            {name: scores[name] for name in ("precision", "recall", "f1")}, abs=1e-4
        )
        assert table[type_]["right"] + table[type_]["missed"] == scores["support"]


def test_choices_are_confused_by_their_number():
    lines = [
        {"choices": ["x", "y"], "gold": 0, "label": 1},
        {"choices": ["x", "y", "z"], "gold": 2, "label": 2},
    ]
    found = get_task("choice").breakdown(spec_of("choice"), lines)
    assert found.table["0"] == {"0": 0, "1": 1, "2": 0}
    assert found.counts.sum() == 2


def test_numbers_stand_beside_their_answers():
    found = get_task("regression").breakdown(spec_of("regression"), [{"gold": 1.0, "score": 2.5}])
    assert (found.true, found.given) == ([1.0], [2.5])


def test_questions_are_measured_by_the_words_of_their_shortest_answer():
    lines = [
        answered("otter", ["otter", "the old otter"], 0.9),
        answered("heron", ["otter"], 0.9),
        answered("old otter", ["the very old otter"], 0.9),
        answered("grey heron", ["a grey heron swims"], 0.9),
    ]
    found = get_task("qa").breakdown(spec_of("qa"), lines)
    assert found.groups == "words of the answer"
    assert found.table == {
        "1": {"rows": 2, "exact_match": 50.0, "f1": 50.0},
        "3 to 4": {"rows": 2, "exact_match": 0.0, "f1": 80.0},
    }
    unanswerable = spec_of("qa", unanswerable=True)
    lines = [answered("", [], 0.9), answered("heron", [], 0.9), answered("", ["otter"], 0.9)]
    assert get_task("qa").breakdown(unanswerable, lines).table == {
        "0": {"rows": 2, "exact_match": 50.0, "f1": 50.0},
        "1": {"rows": 1, "exact_match": 0.0, "f1": 0.0},
    }


def test_translations_are_measured_by_the_words_of_the_source():
    draws = random.Random(0)
    lines = [
        {
            "source": " ".join("abcdefghij"[: draws.randint(1, 9)]),
            "translation": " ".join(draws.choices("abc", k=8)),
            "gold": " ".join(draws.choices("abc", k=8)),
        }
        for _ in range(60)
    ]
    table = get_task("translation").breakdown(spec_of("translation"), lines).table
    assert list(table) == ["1", "2", "3 to 4", "5 to 8", "9 to 16"]
    some = [line for line in lines if 5 <= len(line["source"].split()) <= 8]
    written, references = ([line[name] for line in some] for name in ("translation", "gold"))
    assert table["5 to 8"] == {
        "rows": len(some),
        "bleu": pytest.approx(sacrebleu.corpus_bleu(written, [references]).score, abs=1e-4),
        "chrf": pytest.approx(sacrebleu.corpus_chrf(written, [references]).score, abs=1e-4),
    }


def test_similarities_stand_beside_their_scores_and_layers_beside_each_other():
    gold, by_layer = [0.0, 1.0, 2.0], [[0.1, 0.9], [0.2, 0.8], [0.3, 0.1]]
    task, spec = get_task("embed"), spec_of("embed", layers="-2,-1")
    found = task.breakdown(
        spec, [{"gold": score, "similarity": some[0]} for score, some in zip(gold, by_layer, strict=True)]
    )
    assert (found.true, found.given) == (gold, [0.1, 0.2, 0.3])
    found = task.breakdown(
        spec, [{"gold": score, "similarity": some} for score, some in zip(gold, by_layer, strict=True)]
    )
    assert {layer: (row["rows"], row["spearman"]) for layer, row in found.table.items()} == {
        "-2": (3, 1.0),
        "-1": (3, -1.0),
    }


def test_what_does_not_count_is_no_ratio():
    assert ByLabel.of(("a",), [set()], [set()]).table["a"] == {
        "right": 0,
        "missed": 0,
        "spurious": 0,
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
    }
