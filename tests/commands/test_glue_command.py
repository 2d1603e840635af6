"""`keras-bert glue`: from folders to one table; the meaning of its flags; the contents of the table and its notes."""

import inspect
import json
import re
from pathlib import Path

import pytest
from commands.calls import keras_bert, refused
from tasks.glue.glue_data import write_copied, write_shipped

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.glue_report import notes, print_glue
from keras_bert_scratch.tasks.glue import benchmark
from keras_bert_scratch.tasks.glue.measured import over_seeds
from keras_bert_scratch.tasks.glue.published import PUBLISHED, SOURCES


@pytest.fixture
def init(small, tokenizer) -> Path:
    kbs.BertBackbone(small).save_pretrained("init", tokenizer)
    return Path("init")


def cells(output: str) -> list[list[str]]:
    """The rows of the tables in the output."""
    rows = (re.split(r"\s*[│┃]\s*", line.strip())[1:-1] for line in output.splitlines())
    return [row for row in rows if row]


@pytest.mark.usefixtures("eagerly")
def test_from_a_folder_to_a_table(init):
    """CoLA as GLUE ships it; SST-2 is there, but not selected."""
    write_shipped(Path("data"), "CoLA", "01101001")
    write_copied(Path("data"), "SST-2")
    argv = [
        "glue",
        "--init",
        init,
        "--data",
        "data",
        "--out",
        "out",
        "--tasks",
        "cola",
        "--epochs",
        "2",
        "--batch",
        "4",
    ]
    result = keras_bert(*argv, "--length", "16")
    assert result.exit_code == 0, result.output
    assert "CoLA, 1 of 1: fine-tuning in out/CoLA" in result.output
    run = json.loads(Path("out/CoLA/run.json").read_text())
    assert (run["settings"]["epochs"], run["settings"]["training"]["learning_rate"]) == (2.0, 5e-5)
    assert run["results"]["steps"] == 4
    matthews = run["results"]["dev"]["matthews"]
    ours = "-" if matthews is None else f"{100 * matthews:.1f}"
    assert cells(result.output) == [
        ["task", "metric", "dev", "majority", "base", "Medium", "Small", "Mini", "Tiny"],
        ["CoLA", "Matthews", ours, "-", "52.1", "38.0", "27.8", "0.0", "0.0"],
    ]
    assert re.fullmatch(r"index\tprediction\n(\d\t[01]\n){8}", Path("out/submission/CoLA.tsv").read_text())
    assert "for GLUE's server: out/submission/CoLA.tsv." in result.output
    assert sorted(path.name for path in Path("out").iterdir()) == ["CoLA", "glue.json", "submission"]
    again = keras_bert(*argv, "--length", "16")
    assert "CoLA, 1 of 1: out/CoLA is finished" in again.output
    assert cells(again.output) == cells(result.output)
    refused(*argv, "--length", "32", saying="out: holds CoLA of spec.max_length 16, not 32; use the same")


@pytest.mark.parametrize(
    "tasks",
    [["--tasks", "CoLA", "RTE"], ["--tasks", "CoLA,RTE"], ["--tasks=CoLA", "RTE"], ["--tasks", "CoLA RTE"]],
    ids=str,
)
def test_flags_are_the_arguments_of_the_function(tasks, monkeypatch):
    seen = {}
    parameters = list(inspect.signature(benchmark.glue).parameters)

    def noted(*args, **kwargs):
        seen.update(zip(parameters, args, strict=False))
        raise kbs.UserError("`max_length`: that was all")

    monkeypatch.setattr(benchmark, "glue", noted)
    argv = ["glue", "--init", "i", "--data", "tfds:glue", *tasks, "--out", "o", "--length", "64", "--seeds", "3"]
    argv += ["--bias-correction", "--dtype", "bfloat16", "--on-bad-row", "skip", "--seed", "7", "--save-every", "5m"]
    refused(*argv, saying="--length: that was all")
    names = ("init", "data", "out", "tasks", "how", "options", "on_bad_row", "seed", "seeds")
    how = kbs.FineTuning(epochs=3, batch_size=32, max_length=64, learning_rate=5e-5, bias_correction=True)
    options = kbs.RunOptions(dtype="bfloat16", save_seconds=300)
    expected = (Path("i"), "tfds:glue", Path("o"), ["CoLA", "RTE"], how, options, "skip", 7, 3)
    assert seen == dict(zip(names, expected, strict=True))


def test_errors_name_flags(init):
    write_shipped(Path("data"), "RTE")
    argv = ["glue", "--init", init, "--out", "out"]
    refused(*argv, "--data", "dat", saying="dat: no such folder; --data must be the folder of GLUE's tasks")
    refused(*argv, "--data", "data", "--tasks", "RTE", "BoolQ", saying="--tasks: 'BoolQ' is not a GLUE task")
    refused(*argv, "--data", "data", "--tasks", saying="'--tasks' requires an argument")
    refused(*argv, "--data", "data", "--tasks", "QQP", saying="data: has no folder QQP; .* the task from --tasks")
    (Path("data") / "RTE" / "dev.tsv").unlink()
    refused(*argv, "--data", "data", saying=r"data/RTE: has no dev\.tsv")


def results_of(**tasks) -> dict:
    """Results as `glue` returns them; each task has its metrics by set, and its other entries."""
    return {
        "init": "mnli",
        "tasks": {
            name: {"sets": sets, "three_class_init": None, "submission": {}, **more}
            for name, (sets, more) in tasks.items()
        },
        "left_out": {},
        "published": {"figures": PUBLISHED, "sources": SOURCES},
    }


def one_set(majority: float | None = None, **by_seed) -> dict:
    return {
        "metrics": {name: over_seeds(values) for name, values in by_seed.items()},
        "majority": dict.fromkeys(by_seed, majority),
    }


def test_a_set_has_a_row_for_each_metric_and_published_figures_stand_beside_it(capsys):
    results = results_of(
        MRPC=({"MRPC": one_set(0.5, f1=[0.8, 0.9], accuracy=[0.7, 0.7])}, {}),
        MNLI=({"MNLI-m": one_set(0.4, accuracy=[0.61]), "MNLI-mm": one_set(0.4, accuracy=[0.62])}, {}),
        AX=({}, {"submission": {"AX": {"file": "out/submission/AX.tsv"}}}),
    )
    print_glue(results, "out")
    assert cells(capsys.readouterr().out)[1:] == [
        ["MRPC", "F1", "85.0 ± 7.1", "50.0", "88.9", "86.6", "83.4", "81.1", "81.1"],
        ["", "accuracy", "70.0 ± 0.0", "50.0", "-", "81.6", "76.2", "71.8", "71.1"],
        ["MNLI-m", "accuracy", "61.0", "40.0", "84.6", "80.0", "77.6", "74.8", "70.2"],
        ["MNLI-mm", "accuracy", "62.0", "40.0", "83.4", "79.1", "77.0", "74.3", "70.3"],
        ["AX", "no labels", "-", "-", "-", "-", "-", "-", "-"],
    ]


@pytest.mark.parametrize(
    ("results", "said"),
    [
        (results_of(), "dev: our scores .*: published scores on the test sets, by GLUE's server"),
        (
            results_of(CoLA=({"CoLA": one_set(matthews=[None])}, {})),
            "CoLA: Matthews is undefined: all answers, or all labels of dev, are the same",
        ),
        (results_of(CoLA=({"CoLA": one_set(matthews=[None, 0.5, None])}, {})), "undefined for 2 of 3 seeds"),
        (
            results_of(WNLI=({"WNLI": one_set(0.563, accuracy=[0.42])}, {})),
            "WNLI: the majority class gives 56.3; lower scores are usual",
        ),
        (results_of(WNLI=({"WNLI": one_set(0.563, accuracy=[0.57])}, {})), r"WNLI: the majority class gives 56\.3\.$"),
        (
            results_of(RTE=({"RTE": one_set(0.5, accuracy=[0.6])}, {"three_class_init": {"accuracy": 0.7011}})),
            "RTE: 70.1 before fine-tuning, from the three classes of mnli",
        ),
        ({**results_of(), "left_out": {"QQP": "not in data", "AX": "no"}}, r"left out: QQP, AX\."),
    ],
)
def test_what_stands_below_the_table(results, said):
    assert any(re.search(said, note) for note in notes(results)), list(notes(results))
