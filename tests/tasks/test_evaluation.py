"""What an evaluation tells beside metrics: lines with what is right, the worst errors, what is taken for what."""

import dataclasses
import json
import math
import random
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
from sklearn import metrics

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.error_analysis import ByLabel, Confusion
from keras_bert_scratch.tasks.evaluation import Evaluation
from keras_bert_scratch.tasks.examples import Examples
from keras_bert_scratch.tasks.registry import TASKS, get_task

LABELS = ("a", "b", "c")
TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def spec_of(task: str, labels: tuple[str, ...] = LABELS, **options) -> kbs.Spec:
    return kbs.Spec(task, ("text",), 16, labels, options=options)


def scores_of(*values: float) -> dict[str, float]:
    return dict(zip(LABELS, values, strict=False))


def entity(text: str, type_: str, score: float) -> dict:
    return {"text": text, "type": type_, "start": 0, "end": 1, "score": score}


def tagged(tags: str, gold: str, *scores: float) -> dict:
    """A line of ner: tags of the words `w0 w1 ...`, and the scores of the entities that they spell."""
    given = tags.split()
    entities = [entity("", "", score) for score in scores]
    return {"words": [f"w{n}" for n in range(len(given))], "tags": given, "entities": entities, "gold": gold.split()}


def answered(answer: str, gold: list[str], score: float = 0.5) -> dict:
    return {"answer": answer, "score": score, "gold": gold}


@pytest.mark.parametrize(
    ("spec", "line", "severity", "shown"),
    [
        (spec_of("classification"), {"label": "a", "scores": scores_of(0.6, 0.4, 0.0), "gold": "a"}, None, None),
        (
            spec_of("classification"),
            {"label": "b", "score": 0.9, "scores": scores_of(0.1, 0.9, 0.0), "gold": "a"},
            (0.9,),
            {"gold": "a", "answer": "b", "score": 0.9},
        ),
        (
            spec_of("multi-label"),
            {"labels": ["b", "a"], "scores": scores_of(0.9, 0.9, 0.1), "gold": ["a", "b"]},
            None,
            0,
        ),
        (
            spec_of("multi-label"),
            {"labels": ["b"], "scores": scores_of(0.25, 0.5, 0.0), "gold": []},
            (-(math.log(0.75) + math.log(0.5)) / 3,),
            {"gold": "none", "answer": "b", "loss": pytest.approx(-(math.log(0.75) + math.log(0.5)) / 3)},
        ),
        (
            spec_of("multi-label"),
            {"labels": [], "scores": scores_of(0.0, 0.0, 0.0), "gold": ["c", "a"]},
            (-2 * math.log(1e-7) / 3,),  # a score of 0 costs much, but not infinitely much
            {"gold": "a, c", "answer": "none", "loss": pytest.approx(-2 * math.log(1e-7) / 3)},
        ),
        (spec_of("regression"), {"score": 2.0, "gold": 2.0}, None, None),
        (
            spec_of("regression"),
            {"score": 1.5, "gold": 4.0},
            (2.5,),
            {"gold": 4.0, "answer": 1.5, "difference": -2.5},
        ),
        (spec_of("choice"), {"label": 1, "choices": ["x", "y"], "choice": "y", "score": 0.9, "gold": 1}, None, None),
        (
            spec_of("choice"),
            {"label": 1, "choices": ["x", "y"], "choice": "y", "score": 0.9, "gold": 0},
            (0.9,),
            {"gold": "x", "answer": "y", "score": 0.9},
        ),
        (spec_of("ner", TAGS), tagged("B-PER I-PER O", "B-PER I-PER O", 0.9), None, None),
        (
            spec_of("ner", TAGS),
            tagged("B-PER O B-LOC B-LOC", "B-PER I-PER B-LOC O", 0.9, 0.8, 0.7),
            (0.9, 1),
            {"missed": "w0 w1 (PER)", "spurious": "w0 (PER 0.90), w3 (LOC 0.70)"},
        ),
        # Strictly an entity begins with B-: what is scored as missed is shown as missed.
        (spec_of("ner", TAGS), tagged("I-PER O", "B-PER O", 0.9), (0.0, 1), {"missed": "w0 (PER)", "spurious": ""}),
        (spec_of("qa"), answered("The otter", ["a heron", "otter"]), None, None),
        (
            spec_of("qa"),
            answered("old otter", ["otter", "otter"]),
            (-200 / 3, 0.5),
            {"gold": "otter", "answer": "old otter", "score": 0.5, "f1": pytest.approx(200 / 3)},
        ),
        (spec_of("qa", unanswerable=True), answered("", []), None, None),
        (
            spec_of("qa", unanswerable=True),
            answered("otter", [], 0.75),
            (0.0, 0.75),
            {"gold": "none", "answer": "otter", "score": 0.75, "f1": 0.0},
        ),
        (
            spec_of("qa", unanswerable=True),
            answered("", ["otter"]),
            (0.0, 0.5),
            {"gold": "otter", "answer": "none", "score": 0.5, "f1": 0.0},
        ),
    ],
)
def test_what_is_wrong_with_an_answer(spec, line, severity, shown):
    error = get_task(spec.task).wrong(spec, line)
    if severity is None:
        assert error is None
    else:
        assert error.severity == pytest.approx(severity)
        assert error.shown == shown


def evaluation(task: str, spec: kbs.Spec, decoded: dict, gold: dict, raw: dict, **more) -> Evaluation:
    return Evaluation(dataclasses.replace(spec, task=task), Examples("memory", raw, gold, "", **more), decoded, None)


def classified(scores, gold) -> Evaluation:
    scores = np.array(scores)
    decoded = {"label": np.array([LABELS[n].encode() for n in scores.argmax(1)], object), "scores": scores}
    texts = [f"t{number}" for number in range(len(gold))]
    return evaluation("classification", spec_of("classification"), decoded, {"label": np.array(gold)}, {"text": texts})


def test_the_surest_errors_come_first_and_right_answers_not_at_all():
    found = classified([[0.6, 0.4, 0], [0.3, 0.7, 0], [0.1, 0, 0.9], [0.3, 0.7, 0]], [1, 1, 0, 2])
    assert [(row, error.shown["gold"], error.shown["answer"]) for row, error in found.errors()] == [
        (2, "a", "c"),
        (3, "c", "b"),
        (0, "b", "a"),
    ]


def test_entities_that_are_only_missed_come_last_the_most_first():
    lines = [
        tagged("O O O", "B-PER B-LOC O"),
        tagged("B-PER O", "O O", 0.4),
        tagged("O O", "B-PER O"),
        tagged("B-PER O", "O O", 0.8),
    ]
    spec = spec_of("ner", TAGS)
    severities = [get_task("ner").wrong(spec, line).severity for line in lines]
    assert sorted(range(4), key=lambda number: severities[number], reverse=True) == [3, 1, 0, 2]


def test_answers_with_fewer_right_words_are_worse_than_surer_ones():
    spec = spec_of("qa")
    lines = [
        answered("old otter", ["otter"], 0.9),
        answered("heron", ["otter"], 0.1),
        answered("heron", ["otter"], 0.2),
    ]
    severities = [get_task("qa").wrong(spec, line).severity for line in lines]
    assert sorted(range(3), key=lambda number: severities[number], reverse=True) == [2, 1, 0]


# --- lines


def test_lines_are_those_of_predict_and_what_the_file_says():
    found = classified([[0.6, 0.4, 0], [0.25, 0.75, 0]], [1, 1])
    assert found.lines[1] == {
        "text": "t1",
        "label": "b",
        "score": 0.75,
        "scores": scores_of(0.25, 0.75, 0.0),
        "gold": "b",
    }


@pytest.mark.parametrize(
    ("task", "data", "gold"),
    [
        ("classification", {"text": ["x", "y"], "label": ["2", "10"]}, ["2", "10"]),
        ("multi-label", {"text": ["x", "y"], "labels": [["b", "a"], []]}, [["a", "b"], []]),
        ("regression", {"text": ["x", "y"], "score": [1.5, -2]}, [1.5, -2.0]),
        ("choice", {"context": ["x"], "choices": [["y", "z"]], "label": ["B"]}, [1]),
        ("ner", {"words": [["x", "y"]], "tags": [["I-LOC", "S-PER"]]}, [["B-LOC", "B-PER"]]),
        (
            "qa",
            {
                "question": ["q", "r"],
                "context": ["an otter", "a heron"],
                "answers": [[{"text": "otter", "answer_start": 3}] * 2, []],
            },
            [["otter", "otter"], []],
        ),
    ],
)
def test_what_is_right_is_told_as_the_file_writes_it(task, data, gold):
    found = get_task(task)
    options = dataclasses.asdict(found.Options())
    spec, examples = found.read(data, kbs.Spec(task, (), 128, options=options))
    rows = [{name: values[row] for name, values in examples.gold.items()} for row in range(len(examples))]
    told = [
        found.gold_of(spec, {name: getattr(v, "tolist", lambda v=v: v)() for name, v in row.items()}) for row in rows
    ]
    assert json.loads(json.dumps(told)) == gold


@pytest.mark.usefixtures("eagerly")
def test_lines_are_in_the_order_of_the_file_and_keep_the_ids(small, tokenizer):
    """Batches are sorted by length; a question without an id has none in its line."""
    rows = [
        {
            "question": "who",
            "context": f"the heron {'swims ' * number}",
            "answers": [{"text": "the", "answer_start": 0}],
        }
        for number in (9, 0, 4)
    ]
    rows[1]["id"] = rows[2]["id"] = ""
    rows[0]["id"] = "q1"
    paragraphs = [
        {"context": row["context"], "qas": [{name: row[name] for name in ("question", "answers", "id") if row[name]}]}
        for row in rows
    ]
    Path("dev.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    options = {
        "overlap": 4,
        "max_question_length": 4,
        "max_answer_length": 3,
        "null_threshold": 0.0,
        "unanswerable": False,
    }
    spec = kbs.Spec("qa", ("question", "context"), 32, options=options)
    model = kbs.FineTuned(kbs.BertQuestionAnswerer(kbs.BertBackbone(small, pooler=False)), tokenizer, spec)
    lines = model.evaluation_of("dev.json").lines
    assert [line["context"] for line in lines] == [row["context"] for row in rows]
    assert [line.get("id") for line in lines] == ["q1", None, None]
    assert all(line["answer"] == line["context"][line["start"] : line["end"]] for line in lines)
    predicted = [{**row, **answer} for row, answer in model.predict_file("dev.json", {})]
    assert [{name: line[name] for name in line if name != "gold"} for line in lines] == predicted


# --- what is taken for what, against scikit-learn


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
    given[:, 2] = 0  # never answered: its precision is 0
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


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_task_has_a_picture_or_refuses_one_beforehand(name):
    """Those that have a breakdown are tested above; `evaluate` asks before it measures."""
    task, none = get_task(name), {"fill-mask", "generate"}
    with pytest.raises(kbs.UserError, match=f"`picture`: the task {name} has none") if name in none else nullcontext():
        task.check_shows(errors=False, picture=True)
    with (
        pytest.raises(kbs.UserError, match=f"`errors`: the task {name} has no list")
        if name in none | {"embed"}
        else nullcontext()
    ):
        task.check_shows(errors=True, picture=False)


def test_what_does_not_count_is_no_ratio():
    assert ByLabel.of(("a",), [set()], [set()]).table["a"] == {
        "right": 0,
        "missed": 0,
        "spurious": 0,
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
    }
