"""`--search`: how it reads a grid, and what it writes."""

import json
import re
from pathlib import Path

import pytest
from commands.calls import keras_bert, refused

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.grid import grid_of
from keras_bert_scratch.tasks.search import PAPER_GRID


@pytest.mark.parametrize(
    ("words", "task", "grid"),
    [
        (
            ["learning_rate=2e-5,3e-5", "batch=16"],
            "classification",
            {"learning_rate": [2e-5, 3e-5], "batch_size": [16]},
        ),
        (["--layer-decay=0.9, 1", "length=32"], "regression", {"layer_decay": [0.9, 1.0], "max_length": [32]}),
        (["bias-correction=true,False", "patience=2"], "ner", {"bias_correction": [True, False], "patience": [2]}),
        (["threshold=0.4,tuned"], "multi-label", {"threshold": [0.4, "tuned"]}),
        (["class-weights=none,balanced"], "pair-classification", {"class_weights": ["none", "balanced"]}),
        ([], "qa", {}),
    ],
    ids=str,
)
def test_words_become_values(words, task, grid):
    found = grid_of(words, task)
    assert found == grid
    assert [list(map(type, values)) for values in found.values()] == [list(map(type, each)) for each in grid.values()]


def test_the_papers_grid_has_a_name():
    """Devlin et al. 2019, appendix A.3; other settings may be added."""
    found = grid_of(["paper", "label-smoothing=0,0.1"], "classification")
    assert found == {
        "batch_size": [16, 32],
        "learning_rate": [5e-5, 3e-5, 2e-5],
        "epochs": [2, 3, 4],
        "label_smoothing": [0, 0.1],
    }
    assert set(PAPER_GRID) < set(found)


FINETUNE = ("finetune", "--train", "t.csv", "--dev", "t.csv", "--init", "a", "--out", "r")


@pytest.mark.parametrize(
    ("words", "saying"),
    [
        (["fast"], "--search: 'fast' is not a grid; write learning_rate=2e-5,5e-5, or paper"),
        (["rate=1"], "--search: 'rate' is unknown; choose among epochs, batch, length"),
        (["threshold=0.5"], "--search: 'threshold' is unknown"),
        (["batch=16,x"], "--search: batch cannot be 'x'"),
        (["batch=16.5"], "--search: batch cannot be '16.5'"),
        (["learning_rate=1e-4,"], "--search: learning_rate cannot be ''"),
        (["bias_correction=1"], "--search: bias_correction cannot be '1'"),
        (["paper", "batch=8"], "--search: batch is given twice"),
    ],
    ids=str,
)
def test_words_that_are_refused(words, saying):
    refused(*FINETUNE, *(argument for word in words for argument in ("--search", word)), saying=saying)


@pytest.mark.slow
def test_a_search_by_commands(records):
    """With real runs: all are kept, and the folder's model is that of the best run."""
    Path("t.csv").write_text("text,label\n" + "the heron,bird\nthe otter,animal\n" * 8)
    argv = ["finetune", "--train", "t.csv", "--dev", "t.csv", "--preset", "bert-tiny", "--vocab", records / "vocab.txt"]
    argv += ["--length", "16", "--epochs", "1", "--search", "batch=4,8", "--search", "learning_rate=1e-5,1e-3"]
    result = keras_bert(*argv, "--seeds", "2", "--out", "run")
    assert result.exit_code == 0, result.output
    results = json.loads(Path("run/run.json").read_text())["results"]
    assert len(results["search"]) == 4
    assert max(row["accuracy"] for row in results["search"].values()) == results["dev"]["accuracy"]
    of_run, of_seed = (Path("run") / results["best_run"] / f"seed-{results['best_seed']}", Path("run"))
    assert kbs.evaluate(of_run, "t.csv") == kbs.evaluate(of_seed, "t.csv")
    assert re.search(r"\d \(best\)", result.output)
    assert keras_bert(*argv, "--seeds", "2", "--out", "run").exit_code == 0
