"""Each task by commands alone: from a file to a run, its results, its answers, and the answers of its SavedModel."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands.calls import keras_bert, refused
from fast_and_slow import slow_but
from tasks.answers import check_same

import keras_bert_scratch as kbs
from keras_bert_scratch.commands import error_tables, predict, tables
from keras_bert_scratch.tasks.evaluation import Evaluation
from keras_bert_scratch.tasks.examples import Examples


def lines_of(file: str) -> list[dict]:
    return [json.loads(line) for line in Path(file).open()]


@pytest.mark.slow
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
    shown = ["--errors", "3", "--picture", "errors.png", "--out", "gold.jsonl"]
    evaluated = keras_bert("evaluate", "run", "--data", "t.jsonl", *shown)
    assert "f1 micro" in evaluated.output
    assert re.search(r"bird .* \d .* \d .* \d ", evaluated.output)  # counts: right, missed, spurious
    assert Path("errors.png").read_bytes().startswith(b"\x89PNG")
    lines = lines_of("gold.jsonl")
    assert [(line["text"], line["gold"]) for line in lines] == [(row["text"], row["labels"]) for row in rows]
    for flags, said in {
        ("--out", "gold.jsonl"): "gold.jsonl: exists already",
        ("--picture", "errors.png"): "errors.png: exists already",
        ("--picture", "a.jpg"): "--picture: is a PNG.* not 'a.jpg'",
        ("--errors", "0"): "--errors: must be at least 1, not 0",
        ("--errors", "some"): "Invalid value for '--errors'",
        ("--length", "9"): "--length, --batch: cannot be given with a table",
    }.items():
        refused("evaluate", "run", "--data", "t.jsonl", *flags, saying=said)
    on_records = ("evaluate", "run", "--data", records, "--errors", "5", "--out", "a")
    refused(*on_records, saying="--out, --errors: cannot be given with records")
    for model in ("run", "saved"):
        if model == "saved":
            assert keras_bert("export", "run", "--out", "saved").exit_code == 0
        answered = keras_bert("predict", model, "--data", "t.jsonl", "--out", f"{model}.jsonl")
        assert answered.exit_code == 0, answered.output
        lines = lines_of(f"{model}.jsonl")
        assert [line["text"] for line in lines] == [row["text"] for row in rows]
        assert all("scores" in line for line in lines)
    of_saved = keras_bert("evaluate", "saved", "--data", "t.jsonl").output.splitlines()
    assert of_saved[1:4] == evaluated.output.splitlines()[1:4]
    assert not any("loss" in line for line in of_saved)
    refused("predict", "run", "--data", "t.jsonl", "--out", "run.jsonl", saying=r"run\.jsonl: exists already")
    refused("predict", "run", saying="TEXT, --data: give one of them, texts or a table")
    refused("predict", "run", "a", "--out", "x.jsonl", saying="--out: is only for --data")
    refused("predict", "run", "a", "b", "--pair", "c", saying="--pair: 1 second texts for 2 texts")


QUESTION = {"query": "who", "context": "the heron swims", "id": "q7"}
CHOICE = {"context": "a bird", "choices": ["heron", "otter"]}
# By task: the training data, a row to predict, the task's own flags, and one of its metrics.
ROADS = {
    "ner": (
        "The O\nheron B-BIRD\n\nAn O\notter B-ANIMAL\n\n",
        {"text": "The heron, and an otter."},
        ["--text-column", "1", "--label-column", "-1", "--length", "16", "--crf", "--document-context"],
        "f1 conlleval",
    ),
    "qa": (
        json.dumps({**QUESTION, "answers": [{"text": "heron", "answer_start": 4}]}) + "\n",
        QUESTION,
        ["--text-column", "query", "--max-question-length", "4", "--length", "32"],
        "exact match",
    ),
    "choice": (json.dumps({**CHOICE, "label": 0}) + "\n", CHOICE, ["--length", "16"], "random guess"),
    "translation": (
        json.dumps({"de": "Der Reiher.", "en": "The heron."}) + "\n",
        {"source": "Der Reiher.", "n": 1},
        ["--text-column", "de", "--label-column", "en", "--length", "12", "--label-smoothing", "0"],
        "chrf",
    ),
}


GOLD = {"ner": [["O", "B-BIRD"], ["O", "B-ANIMAL"]], "qa": [["heron"]], "choice": [0], "translation": ["The heron."]}


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("task", slow_but([], ROADS))
def test_a_task_goes_from_file_to_answers(task, records):
    labelled, asked, flags, metric = ROADS[task]
    train = "train.conll" if task == "ner" else "train.jsonl"
    Path(train).write_text(labelled * 4)
    Path("new.jsonl").write_text(json.dumps(asked) + "\n")
    argv = ["finetune", "--task", task, "--train", train, "--dev", train, "--preset", "bert-tiny", "--batch", "4"]
    argv += ["--vocab", records / "vocab.txt", "--epochs", "1", "--out", "run", *flags]
    result = keras_bert(*argv)
    assert result.exit_code == 0, result.output
    # The new rows name their text column differently from the training file.
    names = {"ner": ["--text-column", "text"], "translation": ["--text-column", "source"]}.get(task, [])
    assert keras_bert("export", "run", "--out", "saved").exit_code == 0
    for model in ("run", "saved"):
        result = keras_bert("predict", model, "--data", "new.jsonl", "--out", f"of_{model}.jsonl", *names)
        assert result.exit_code == 0, result.output
    of_run, of_saved = (lines_of(f"of_{name}.jsonl") for name in ("run", "saved"))
    check_same(of_run, of_saved)
    result = keras_bert(
        "evaluate", "run", "--data", train, "--out", "gold.jsonl", "--errors", "2", "--picture", "a.png"
    )
    assert result.exit_code == 0, result.output
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    # The sentences around a sentence are read, but not written again.
    assert not {"text_before", "text_after"} & lines_of("gold.jsonl")[0].keys()
    assert metric in result.output
    assert re.search(r"errors: \d of \d rows", result.output)
    assert [line["gold"] for line in lines_of("gold.jsonl")] == GOLD[task] * 4
    if task == "qa":
        [answer] = of_run
        assert answer["id"] == "q7"
        assert answer["answer"] == answer["context"][answer["start"] : answer["end"]]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"label": "yes", "score": 0.75, "scores": {}}, "yes\t0.750"),
        ({"label": "yes", "scores": [0.2, 0.8]}, '{"label": "yes", "scores": [0.2, 0.8]}'),
        ({"score": 2.5}, "2.500"),
        ({"answer": "the otter", "score": 0.5, "n_best": []}, "the otter\t0.500"),
        ({"entities": [{"text": "Rome", "type": "LOC", "score": 0.9}], "words": ["Rome"]}, "Rome (LOC 0.90)"),
        ({"entities": [], "words": ["a"]}, "no entities"),
        ({"translation": "The heron.", "score": -0.5, "alternatives": []}, "The heron.\t-0.500"),
    ],
)
def test_an_answer_on_the_screen(answer, line):
    assert predict._line(answer) == line


@pytest.mark.slow
def test_a_question_is_asked_with_its_passage(small, tokenizer):
    options = {"overlap": 4, "max_question_length": 4, "max_answer_length": 3, "unanswerable": False}
    spec = kbs.Spec("qa", ("question", "context"), 32, options=options)
    model = kbs.BertQuestionAnswerer(kbs.BertBackbone(small, pooler=False))
    kbs.FineTuned(model, tokenizer, spec).save("model")
    result = keras_bert("predict", "model", "who", "--pair", "the heron")
    answer, _, question, passage = result.output.rstrip("\n").split("\t")
    assert (question, passage) == ("who", "the heron")
    assert answer in ("the", "heron", "the heron")
    refused("predict", "model", "who", saying="reads 'question' and 'context', not ")


def classified(labels: list[str], gold: list[int], text: str) -> Evaluation:
    """Rows that are each predicted as the label after their own."""
    scores = np.roll(np.eye(len(labels)), 1, axis=1)[gold]
    decoded = {"label": np.array([labels[number].encode() for number in scores.argmax(1)], object), "scores": scores}
    spec = kbs.Spec("classification", ("text",), 16, tuple(labels))
    examples = Examples("memory", {"text": [text] * len(gold)}, {"label": np.array(gold)}, "")
    return Evaluation(spec, examples, decoded, None)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_errors_fit_the_screen(width, capsys, monkeypatch):
    """Names that are too long are broken, not lost; the text is cut; brackets are no markup."""
    monkeypatch.setenv("COLUMNS", str(width))
    labels = ["no", "a_label_with_a_name_that_is_longer_than_any_column_of_the_table_would_be"]
    error_tables.print_errors(classified(labels, [0, 0], "[red]one\ntwo[/red] " + "more " * 99), 1)
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "errors: 2 of 2 rows, worst first"
    assert max(map(len, lines)) <= width
    [row] = [line for line in lines if line.startswith("│ 1 ")]
    assert "[red]one two[/red]" in row
    assert "│ 1.000 │" in row
    assert "┃ score ┃" in lines[1]
    assert row.rstrip("│ ").endswith("…")
    answers = [re.split(r"\s*[│┃]\s*", line)[3] for line in lines if line.count("│") > 5]
    assert "".join(answers) == labels[1]


@pytest.mark.parametrize("width", [20, 40])
def test_no_column_vanishes_on_a_narrow_screen(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    labels = ["no", "a_label_with_a_name_that_is_longer_than_any_column_of_the_table_would_be"]
    error_tables.print_errors(classified(labels, [0, 0], "an otter"), 1)
    lines = capsys.readouterr().out.splitlines()
    assert [word in "".join(lines) for word in ("gold", "answer", "score", "1.000", "text", "an otter")] == [True] * 6
    answers = [re.split(r"\s*[│┃]\s*", line)[3] for line in lines if line.count("│") > 5]
    assert "".join(answers) == labels[1]
    metrics = ("right", "missed", "spurious", "precision", "recall", "f1")
    tables.print_results("of a run", {"label": {labels[1]: dict.fromkeys(metrics, 0.8765)}, "path": "a/" * 60})
    shown = [re.split(r"\s*[│┃]\s*", line) for line in capsys.readouterr().out.splitlines()]
    assert "".join(row[2] for row in shown if len(row) == 4) == "a/" * 60
    columns = ["".join(cells) for cells in zip(*(row for row in shown if len(row) == 9), strict=True)]
    assert columns[1:-1] == [f"label{labels[1]}", *(f"{name}0.8765" for name in metrics)]


def test_a_confusion_that_is_wider_than_the_screen_is_told_by_its_pairs(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    few, many = ["no", "yes"], [f"the label {number}" for number in range(20)]
    error_tables.print_errors(classified(few, [0, 0, 1], "a"), 1)
    assert re.search(r"gold \\ answer .* no .* yes .*no .* 0 .* 2 .* yes .* 1 .* 0 ", capsys.readouterr().out, re.S)
    error_tables.print_errors(classified(many, [3, 3, 7], "a"), 1)
    shown = capsys.readouterr().out
    assert re.search(r"label 3 .*label 4 .* 2 .*\n.*label 7 .*label 8 .* 1 ", shown)
    assert shown.count("the label 5") == 0
    assert "most frequent" not in shown
    error_tables.print_errors(classified(many, [*range(20), *range(20)], "a"), 1)
    assert "of " not in capsys.readouterr().out.splitlines()[-1]
    more = [f"the label {number}" for number in range(21)]
    error_tables.print_errors(classified(more, [*range(21)], "a"), 1)
    assert capsys.readouterr().out.splitlines()[-1] == "the 20 most frequent of 21 pairs of labels"


def test_no_errors_are_no_table(capsys):
    found = classified(["no", "yes"], [0], "a")
    found.decoded["label"][:], found.decoded["scores"][:] = b"no", [1.0, 0.0]
    error_tables.print_errors(found, 5)
    assert capsys.readouterr().out.startswith("errors: 0 of 1 rows\n┏━━━━━━━━━━━━━━━┳")


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


@pytest.mark.usefixtures("eagerly")
def test_embeddings_go_from_file_to_arrays(small, tokenizer):
    """From a model's folder alone, with the task's options and the similarity of pairs; no training."""
    kbs.BertPretrainer(kbs.BertBackbone(small)).save_pretrained("model", tokenizer)
    Path("texts.en").write_text("the heron\n\nan otter\n")
    Path("sts.csv").write_text("text,text_pair,score\nthe heron,a heron,4\nthe heron,an otter,1\ndawn,dawn,5\n")
    ask = ["--task", "embed", "--pooling", "max", "--layers=-1,-2"]
    for out in ("e.jsonl", "e.npz", "e.parquet"):
        result = keras_bert("predict", "model", "--data", "texts.en", "--out", out, *ask)
        assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in Path("e.jsonl").read_text().splitlines()]
    assert [(row["line"], row["text"]) for row in rows] == [(1, "the heron"), (3, "an otter")]
    found = np.load("e.npz")
    np.testing.assert_array_equal(found["embedding"], np.array([row["embedding"] for row in rows], "float32"))
    assert found["embedding"].shape == (2, 2, 16)
    assert pq.read_table("e.parquet")["line"].to_pylist() == [1, 3]
    shown = keras_bert("predict", "model", "the heron", "--task", "embed", "--no-normalize").stdout
    vector, text = shown.rstrip("\n").split("\t")
    assert (len(json.loads(vector)), text) == (16, "the heron")
    assert np.linalg.norm(json.loads(vector)) > 2
    alike = keras_bert("predict", "model", "dawn", "--pair", "dawn", "--task", "embed").stdout
    assert alike == "1.000\tdawn\tdawn\n"
    results = keras_bert("evaluate", "model", "--data", "sts.csv", "--task", "embed", "--layers", "all").stdout
    assert re.search(r"by layer.*pearson.*spearman", results)
    assert "loss" not in results
    result = keras_bert("predict", "model", "--data", "sts.csv", "--pair-column", "text_pair", "--task", "embed")
    assert json.loads(result.stdout.splitlines()[2])["similarity"] == pytest.approx(1.0)
    assert keras_bert("export", "model", "--out", "saved", "--task", "embed", "--pooling", "cls").exit_code == 0
    assert kbs.Spec.load("saved").options["pooling"] == "cls"
    refused("predict", "saved", "a", "--task", "embed", "--pooling", "max", saying="--pooling: the options of saved")
    refused("predict", "saved", "a", "--task", "ner", saying="--task: saved was exported for embed, not ner")
    refused("predict", "model", "a", "--task", "embed", "--pooling", "men", saying="--pooling: 'men' is unknown")
    refused(
        "finetune",
        "--task",
        "embed",
        "--init",
        "model",
        "--train",
        "sts.csv",
        "--out",
        "run",
        saying="is not trained by",
    )


@pytest.mark.parametrize("verb", ["predict", "evaluate", "export", "finetune"])
def test_help_shows_the_options_of_a_task_that_is_named(verb):
    for arguments, expected in (([], False), (["--task", "embed"], verb != "finetune"), (["--task", "ner"], False)):
        assert ("--pooling" in keras_bert(verb, *arguments, "--help").output) == expected
    # Settings that training fixes are options of `finetune` alone.
    assert ("--overlap" in keras_bert(verb, "--task", "ner", "--help").output) == (verb == "finetune")


@pytest.mark.usefixtures("eagerly")
def test_arrays_are_for_embeddings(small, tokenizer):
    kbs.BertTextClassifier(kbs.BertBackbone(small), 2).save_pretrained("model", tokenizer)
    Path("t.csv").write_text("text\na heron\n")
    refused("predict", "model", "--data", "t.csv", "--out", "a.npz", saying=r"a\.npz: .* files hold only embeddings")
    assert not Path("a.npz").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_a_translator_comes_of_two_files_alone():
    """Trained for a second, without an initial model or vocabulary; each line is answered, even an empty one."""
    Path("a.de").write_text("Der Reiher.\nDer Otter.\n" * 4)
    Path("a.en").write_text("The heron.\nThe otter.\n" * 4)
    Path("new.de").write_text("Der Otter.\n\nDer\u2028Reiher.\n")
    argv = ["finetune", "--task", "translation", "--train", "a.de,a.en", "--preset", "bert-tiny", "--length", "16"]
    argv += ["--batch-tokens", "128", "--budget", "1s", "--vocab-size", "60", "--dtype", "bfloat16", "--out", "run"]
    result = keras_bert(*argv)
    assert result.exit_code == 0, result.output
    vocabulary = Path("run/vocab.txt").read_text().splitlines()
    assert {"R", "##e", "."} <= set(vocabulary)
    assert len(vocabulary) <= 60
    asked = ["--beams", "3", "--alternatives", "2", "--alignment", "--out", "answers.jsonl"]
    assert keras_bert("predict", "run", "--data", "new.de", *asked).exit_code == 0
    lines = lines_of("answers.jsonl")
    assert [line["source"] for line in lines] == ["Der Otter.", "", "Der\u2028Reiher."]
    for line in lines:
        assert len(line["alternatives"]) == 1
        found = line["alignment"]
        assert np.shape(found["weights"]) in ((len(found["target"]), len(found["source"])), (0,))
    assert lines[1]["translation"] == ""
    refused(*argv[:-1], "other", "--decoder-init", "nowhere", saying="nowhere")
    refused(
        *argv[:3], "--train", "a.de,new.de", "--out", "c", saying="a.de has 8 lines, but new.de has 3; aligned files"
    )
    argv = ["finetune", "--train", "a.csv", "--out", "other"]
    for flags in ([], ["--vocab", "run/vocab.txt"], ["--preset", "bert-tiny"]):
        refused(*argv, *flags, saying="--init: give it alone, or --preset with --vocab")


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_a_student_is_distilled_and_goes_on_with_labels(records):
    Path("t.csv").write_text("text,label\n" + "the heron,yes\nthe otter,no\n" * 4)
    Path("new.csv").write_text("text\nthe heron\nan otter\n")
    argv = ["finetune", "--train", "t.csv", "--preset", "bert-tiny", "--vocab", records / "vocab.txt"]
    assert keras_bert(*argv, "--batch", "4", "--length", "16", "--epochs", "1", "--out", "teacher").exit_code == 0
    small = ["--batch", "2", "--length", "16", "--epochs", "1"]
    argv = ["distill", "--teacher", "teacher", "--preset", "bert-tiny", "--text", "new.csv", *small]
    result = keras_bert(*argv, "--dev", "t.csv", "--hidden", "1:2", "--attention", "2:1", "--out", "student")
    assert result.exit_code == 0, result.output
    assert "accuracy" in result.output
    assert json.loads(Path("student/task.json").read_text()) == json.loads(Path("teacher/task.json").read_text())
    result = keras_bert("finetune", "--init", "student", "--train", "t.csv", *small, "--out", "tuned")
    assert result.exit_code == 0, result.output
    assert "random numbers" not in result.output  # the head is kept
    argv = ["distill", "--teacher", "teacher", "--text", "new.csv", "--out", "x"]
    refused(*argv, saying="--student, --preset: give exactly one of them, a model or a size")
    argv += ["--preset", "bert-tiny"]
    refused(*argv, "--hidden", "1-2", saying="--hidden: '1-2' is not a pair of layers; write pairs such as 1:3,2:6")
    refused(*argv, "--hidden", "1:9", saying="--hidden: the teacher has the layers 0 to 2, not 9")
    refused(*argv, "--temperature", "0", saying="--temperature: must be a number above 0, not 0.0")
