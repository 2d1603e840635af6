"""Each task by commands alone: from a file to a run, its results, its answers, and those of its SavedModel."""

import json
import re
from pathlib import Path

import pytest
from commands.calls import keras_bert, refused
from tasks.answers import check_same

import keras_bert_scratch as kbs
from keras_bert_scratch.commands import predict, tables


@pytest.mark.usefixtures("eagerly")
def test_many_labels_go_from_table_to_answers(records):
    """By commands alone, in one epoch: a run, its results, an evaluation, a file of answers, a SavedModel."""
    rows = [{"text": "the heron", "labels": ["bird", "wader"]}, {"text": "the otter", "labels": []}] * 4
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    argv = ["finetune", "--task", "multi-label", "--threshold", "0.4", "--train", "t.jsonl", "--dev", "t.jsonl"]
    argv += ["--preset", "bert-tiny", "--vocab", records / "vocab.txt", "--batch", "4", "--length", "16"]
    result = keras_bert(*argv, "--epochs", "1", "--out", "run")
    assert result.exit_code == 0, result.output
    assert "dev f1 by label" in result.output
    assert json.loads(Path("run/task.json").read_text())["options"] == {"threshold": 0.4}
    evaluated = keras_bert("evaluate", "run", "--data", "t.jsonl")
    assert "f1 micro" in evaluated.output
    for model in ("run", "saved"):
        if model == "saved":
            assert keras_bert("export", "run", "--out", "saved").exit_code == 0
        answered = keras_bert("predict", model, "--data", "t.jsonl", "--out", f"{model}.jsonl")
        assert answered.exit_code == 0, answered.output
        lines = [json.loads(line) for line in Path(f"{model}.jsonl").read_text().splitlines()]
        assert [line["text"] for line in lines] == [row["text"] for row in rows]
        assert all("scores" in line for line in lines)
    refused("predict", "run", "--data", "t.jsonl", "--out", "run.jsonl", saying=r"run\.jsonl: exists already")
    refused("predict", "run", saying="TEXT, --data: give texts or a table")
    refused("predict", "run", "a", "--out", "x.jsonl", saying="--out: is for --data")
    refused("predict", "run", "a", "b", "--pair", "c", saying="--pair: 1 second texts for 2 texts")


QUESTION = {"query": "who", "context": "the heron swims", "id": "q7"}
CHOICE = {"context": "a bird", "choices": ["heron", "otter"]}
# By task: what it is trained on, what it is asked about, its own flags, and a metric of it.
ROADS = {
    "ner": (
        "The O\nheron B-BIRD\n\nAn O\notter B-ANIMAL\n\n",
        {"text": "The heron, and an otter."},
        ["--text-column", "1", "--label-column", "-1"],
        "f1 conlleval",
    ),
    "qa": (
        json.dumps({**QUESTION, "answers": [{"text": "heron", "answer_start": 4}]}) + "\n",
        QUESTION,
        ["--text-column", "query", "--max-question-length", "4"],
        "exact match",
    ),
    "choice": (json.dumps({**CHOICE, "label": 0}) + "\n", CHOICE, [], "random guess"),
}


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("task", ROADS)
def test_a_task_goes_from_file_to_answers(task, records):
    labelled, asked, flags, metric = ROADS[task]
    train = "train.conll" if task == "ner" else "train.jsonl"
    Path(train).write_text(labelled * 4)
    Path("new.jsonl").write_text(json.dumps(asked) + "\n")
    argv = ["finetune", "--task", task, "--train", train, "--dev", train, "--preset", "bert-tiny", "--batch", "4"]
    argv += ["--vocab", records / "vocab.txt", "--length", "32", "--epochs", "1", "--out", "run", *flags]
    result = keras_bert(*argv)
    assert result.exit_code == 0, result.output
    assert metric in keras_bert("evaluate", "run", "--data", train).output
    # The run remembers what the file calls its columns, a SavedModel does not.
    names = ["--text-column", "text"] if task == "ner" else []
    result = keras_bert("predict", "run", "--data", "new.jsonl", "--out", "of_run.jsonl", *names)
    assert result.exit_code == 0, result.output
    assert keras_bert("export", "run", "--out", "saved").exit_code == 0
    names = ["--text-column", "query"] if task == "qa" else []
    result = keras_bert("predict", "saved", "--data", "new.jsonl", "--out", "of_saved.jsonl", *names)
    assert result.exit_code == 0, result.output
    of_run, of_saved = (json.loads(Path(f"{name}.jsonl").read_text()) for name in ("of_run", "of_saved"))
    check_same({name: value for name, value in of_run.items() if name != "id"}, of_saved)
    if task == "qa":
        assert of_run["id"] == "q7"
        assert of_run["answer"] == of_run["context"][of_run["start"] : of_run["end"]]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"label": "yes", "score": 0.75, "scores": {}}, "yes\t0.750"),
        ({"label": "yes", "scores": [0.2, 0.8]}, '{"label": "yes", "scores": [0.2, 0.8]}'),
        ({"score": 2.5}, "2.500"),
        ({"answer": "the otter", "score": 0.5, "n_best": []}, "the otter\t0.500"),
        ({"entities": [{"text": "Rome", "type": "LOC", "score": 0.9}], "words": ["Rome"]}, "Rome (LOC 0.90)"),
        ({"entities": [], "words": ["a"]}, "no entities"),
    ],
)
def test_an_answer_on_the_screen(answer, line):
    assert predict._line(answer) == line


def test_a_question_is_asked_with_its_passage(small, tokenizer):
    options = {"overlap": 4, "max_question_length": 4, "max_answer_length": 3, "unanswerable": False}
    spec = kbs.Spec("qa", ("question", "context"), 32, options=options)
    model = kbs.BertQuestionAnswerer(kbs.BertBackbone(small, pooler=False))
    kbs.FineTuned(model, tokenizer, spec).save("model")
    result = keras_bert("predict", "model", "who", "--pair", "the heron")
    answer, _, question, passage = result.output.rstrip("\n").split("\t")
    assert (question, passage) == ("who", "the heron")
    assert answer in ("the", "heron", "the heron")
    refused("predict", "model", "who", saying="reads 'question' and 'context', which it was trained on")


def test_results_of_several_things_are_a_table_of_their_own(capsys):
    by_type = {"LOC": {"f1": 0.5, "support": 1200}, "PER": {"f1": None, "support": 0}}
    tables.print_results("of a run", {"dev": {"f1": 0.25, "by_type": by_type, "list": [1]}, "nothing": None})
    shown = [re.split(r"\s*[│┃]\s*", line.strip())[1:-1] for line in capsys.readouterr().out.splitlines()]
    rows = [row for row in shown if row]
    assert rows == [
        ["dev f1", "0.25"],
        ["dev by type", "f1", "support"],
        ["LOC", "0.5", "1,200"],
        ["PER", "-", "0"],
    ]
