"""Several seeds and several settings: what is reported and which model is kept; the runs only return given scores."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from tasks.conftest import QUICK

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks import repetition, search
from keras_bert_scratch.tasks.registry import get_task
from keras_bert_scratch.tasks.repetition import selection_score, spread
from keras_bert_scratch.tasks.search import PAPER_GRID, combinations
from keras_bert_scratch.tasks.trial import Trial
from keras_bert_scratch.training.run_directory import RunDirectory


@pytest.mark.parametrize("number", [2, 3, 5, 20])
def test_the_interval_is_students(number):
    values = np.random.default_rng(number).normal(0.8, 0.02, number)
    found = spread(values.tolist())
    low, high = stats.t.interval(0.95, number - 1, loc=values.mean(), scale=stats.sem(values))
    expected = {"mean": values.mean(), "sd": values.std(ddof=1), "low": low, "high": high, "seeds": number}
    assert found == pytest.approx(expected, abs=5e-5)


def test_one_value_has_no_interval():
    assert spread([0.5]) == {"mean": 0.5, "sd": None, "low": None, "high": None, "seeds": 1}


@pytest.mark.parametrize(
    ("results", "best_by", "best"),
    [
        ([0.1, 0.3, 0.2], ("f1", "max"), 1),
        ([0.1, 0.3, 0.05], ("f1", "min"), 2),
        ([-0.2, 0.0, -0.1], ("f1", "max"), 1),  # 0 is not undefined
        ([None, -0.5, math.nan], ("f1", "max"), 1),
        ([None, 0.5, 0.7], ("f1", "min"), 1),
        ([0.4, 0.4], ("f1", "max"), 0),
    ],
    ids=str,
)
def test_the_best_is_the_best_by_its_metric(results, best_by, best):
    assert max(range(len(results)), key=lambda number: selection_score({"f1": results[number]}, best_by)) == best


# --- runs with given scores


@pytest.fixture
def scored(monkeypatch):
    """Takes a function that returns the accuracy for a trial and a seed; returns the list of the runs that start."""
    made = []

    def score_by(accuracy):
        def run(self, out, seed):
            directory = RunDirectory(out, {**self.settings, "seed": seed})
            if not directory.finished:
                made.append(f"{out.parent.name}/{out.name}" if out.name.startswith("seed-") else out.name)
                directory.finish({"dev": {"accuracy": accuracy(self, seed), "examples": 4}})
            return directory

        monkeypatch.setattr(Trial, "run", run)
        return made

    def load(path):
        return SimpleNamespace(save=lambda folder: (Path(folder) / "model").write_text(Path(path).name))

    for module in (repetition, search):
        monkeypatch.setattr(module, "FineTuned", SimpleNamespace(load=load))
    return score_by


ROWS = {"text": ["a heron", "an otter"] * 2, "label": ["x", "y"] * 2}


def tune(config, tokenizer, dev=ROWS, out="run", **arguments) -> dict:
    how = kbs.FineTuning(**QUICK)
    run = kbs.finetune("classification", config, ROWS, out, dev, how, tokenizer=tokenizer, **arguments)
    return run.results


def test_the_best_combination_is_kept(small, tokenizer, scored):
    made = scored(lambda trial, seed: 0.5 + trial.how.learning_rate * 100 + trial.train.spec.options["label_smoothing"])
    grid = {"learning_rate": [1e-3, 3e-3, 2e-3], "label_smoothing": [0.1, 0.0]}
    results = tune(small, tokenizer, search=grid)
    assert results["best_run"] == "learning_rate=0.003,label_smoothing=0.1"
    assert results["dev"] == {"accuracy": pytest.approx(0.9), "examples": 4}
    assert (made[:3], len(made)) == (
        [f"learning_rate={rate},label_smoothing={part}" for rate, part in ((0.001, 0.1), (0.001, 0), (0.003, 0.1))],
        6,
    )
    assert results["search"][made[1]] == {
        "learning_rate": 1e-3,
        "label_smoothing": 0.0,
        "accuracy": pytest.approx(0.6),
    }
    assert Path("run/model").read_text() == results["best_run"]
    assert results["baselines"]["majority"]["accuracy"] == 0.5


def test_the_mean_over_seeds_decides(small, tokenizer, scored):
    """The higher mean wins, not the best single run; a setting with an undefined seed ranks last."""
    accuracies = {8: [0.5, 0.9], 4: [0.75, 0.8], 2: [None, 1.0]}
    made = scored(lambda trial, seed: accuracies[trial.how.batch_size][seed - 3])
    results = tune(small, tokenizer, search={"batch_size": [8, 4, 2]}, seed=3, seeds=2)
    assert results["best_run"] == "batch_size=4"
    assert results["best_seed"] == 4
    assert results["dev"]["accuracy"] == pytest.approx(0.775)
    assert results["dev_over_seeds"]["accuracy"] == spread([0.75, 0.8])
    assert results["search"]["batch_size=8"] == {
        "batch_size": 8,
        "accuracy": 0.7,
        **{name: spread([0.5, 0.9])[name] for name in ("sd", "low", "high", "seeds")},
    }
    assert results["search"]["batch_size=2"]["seeds"] == 1
    assert Path("run/model").read_text() == "batch_size=4"
    assert Path("run/batch_size=4/model").read_text() == "seed-4"
    assert made == [f"batch_size={size}/seed-{seed}" for size in (8, 4, 2) for seed in (3, 4)]


def test_what_is_finished_is_not_repeated(small, tokenizer, scored):
    grid = {"learning_rate": [1e-3, 2e-3, 3e-3]}

    def dies(trial, seed):
        if trial.how.learning_rate == 2e-3:
            raise KeyboardInterrupt
        return 0.5

    made = scored(dies)
    with pytest.raises(KeyboardInterrupt):
        tune(small, tokenizer, search=grid)
    assert not Path("run/model").exists()
    scored(lambda trial, seed: 0.7)
    results = tune(small, tokenizer, search=grid)
    assert made == [f"learning_rate={rate}" for rate in (0.001, 0.002, 0.002, 0.003)]
    assert [row["accuracy"] for row in results["search"].values()] == [0.5, 0.7, 0.7]
    assert tune(small, tokenizer, search=grid) == results
    assert len(made) == 4
    with pytest.raises(kbs.UserError, match=r"search\.learning_rate \[0\.001, 0\.002, 0\.003\], not \[0\.001\]"):
        tune(small, tokenizer, search={"learning_rate": [1e-3]})


def test_seeds_of_other_rates_are_another_run(small, tokenizer, scored):
    scored(lambda trial, seed: 0.5)
    tune(small, tokenizer, seeds=2)
    content = json.loads(Path("run/run.json").read_text())
    content["settings"]["training"]["learning_rate"] = 1e-5
    Path("run/run.json").write_text(json.dumps(content))
    with pytest.raises(kbs.UserError, match=r"training\.learning_rate 1e-05, not 0\.003"):
        tune(small, tokenizer, seeds=2)


def test_the_baselines_are_made_once(small, tokenizer, scored, monkeypatch):
    scored(lambda trial, seed: 0.5)
    asked, task = [], type(get_task("classification"))
    monkeypatch.setattr(task, "baselines", lambda self, *arguments: asked.append(1) or {"majority": {"accuracy": 0.5}})
    tune(small, tokenizer, search={"batch_size": [4, 8]}, seeds=2)
    summaries = ["run/run.json", "run/batch_size=4/run.json", "run/batch_size=8/run.json"]
    for file in summaries:
        assert json.loads(Path(file).read_text())["results"]["baselines"] == {"majority": {"accuracy": 0.5}}
    assert asked == [1]
    assert "baselines" not in tune(small, tokenizer, dev=None, out="alone", seeds=2)


@pytest.mark.parametrize(
    ("grid", "named"),
    [
        ({"lr": [1e-3]}, "'lr' is unknown; choose among epochs, batch_size"),
        ({"threshold": [0.4]}, "'threshold' is unknown"),
        ({"batch_size": [8.5]}, "batch_size needs values of type int, not 8.5"),
        ({"learning_rate": ["fast"]}, "learning_rate needs values of type float, not 'fast'"),
        ({"learning_rate": []}, "needs a list of values"),
        ({"class_weights": "none"}, "needs a list of values"),
        ({"learning_rate": [1e-3, 0.001]}, "has a value twice"),
        ({"batch_size": [8, 0]}, "`batch_size`"),
        ({"learning_rate": [1e-3, -1.0]}, "`learning_rate`"),
        ({"max_length": [16, 65]}, "65 tokens are more than the 64 positions"),
        ({"label_smoothing": [0.1, 1.0]}, "`label_smoothing`"),
        ({"freeze_layers": [0, 2]}, "`freeze_layers`: the model has 1 layers"),
    ],
    ids=str,
)
def test_what_cannot_be_searched_is_refused_before_anything_is_written(grid, named, small, tokenizer):
    with pytest.raises(kbs.UserError, match=named):
        tune(small, tokenizer, search=grid)
    assert not Path("run").exists()


def test_a_search_needs_something_to_choose_by(small, tokenizer):
    with pytest.raises(kbs.UserError, match="`search`: needs `dev`"):
        tune(small, tokenizer, dev=None, search={"batch_size": [4, 8]})


def test_combinations():
    task = get_task("classification")
    grid = {"class_weights": ["none", "a/b=1,c=2"], "patience": [1], "epochs": [3]}
    assert combinations(grid, task) == {
        "class_weights=none,patience=1,epochs=3": {"class_weights": "none", "patience": 1, "epochs": 3},
        "class_weights=a%2Fb%3D1%2Cc%3D2,patience=1,epochs=3": {
            "class_weights": "a/b=1,c=2",
            "patience": 1,
            "epochs": 3,
        },
    }
    assert len(combinations(PAPER_GRID, task)) == 18
