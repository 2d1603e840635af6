"""What an evaluation returns besides metrics: lines with gold answers, and the worst errors."""

import dataclasses
import json
import math
from contextlib import nullcontext
from pathlib import Path

import pytest
from evaluated import TAGS, answered, classified, scores_of, spec_of

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.registry import TASKS, get_task


def entity(text: str, type_: str, score: float) -> dict:
    return {"text": text, "type": type_, "start": 0, "end": 1, "score": score}


def tagged(tags: str, gold: str, *scores: float) -> dict:
    """A line of ner: tags of the words `w0 w1 ...`, and the scores of the entities that the tags form."""
    given = tags.split()
    entities = [entity("", "", score) for score in scores]
    return {"words": [f"w{n}" for n in range(len(given))], "tags": given, "entities": entities, "gold": gold.split()}


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
            (-2 * math.log(1e-7) / 3,),  # a score of 0 has a large but finite loss
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
        # In strict IOB2 an entity begins with B-; what is scored as missed is shown as missed.
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
    error = get_task(spec.task).wrong_answer(spec, line)
    if severity is None:
        assert error is None
    else:
        assert error.severity == pytest.approx(severity)
        assert error.shown == shown


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
    severities = [get_task("ner").wrong_answer(spec, line).severity for line in lines]
    assert sorted(range(4), key=lambda number: severities[number], reverse=True) == [3, 1, 0, 2]


def test_answers_with_fewer_right_words_are_worse_than_surer_ones():
    spec = spec_of("qa")
    lines = [
        answered("old otter", ["otter"], 0.9),
        answered("heron", ["otter"], 0.1),
        answered("heron", ["otter"], 0.2),
    ]
    severities = [get_task("qa").wrong_answer(spec, line).severity for line in lines]
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


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_task_has_a_picture_or_refuses_one_beforehand(name):
    """`test_error_analysis.py` tests the breakdowns; `evaluate` checks this before it measures."""
    task, none = get_task(name), {"fill-mask", "generate"}
    with pytest.raises(kbs.UserError, match=f"the task {name} has no picture") if name in none else nullcontext():
        task.check_shows(errors=False, picture=True)
    with (
        pytest.raises(kbs.UserError, match=f"`errors`: the task {name} has no list")
        if name in none | {"embed"}
        else nullcontext()
    ):
        task.check_shows(errors=True, picture=False)
