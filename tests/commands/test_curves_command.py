"""`keras-bert curves`: tables on the screen, and a picture."""

import re
from pathlib import Path

from commands.calls import keras_bert, refused
from training.logged import a_run, measured


def cells(output: str) -> list[list[str]]:
    """The cells of each line of a table."""
    return [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in output.splitlines() if line[0] in "│┃"]


def test_runs_are_compared_on_the_screen_and_as_a_picture():
    a_run("runs/a", results=measured(8.5, 7.25), finished=True)
    a_run("runs/b", vocabulary="b" * 64, results=measured(8.75))
    result = keras_bert("curves", "runs/a", "runs/b", "--out", "curves.png")
    assert result.exit_code == 0, result.output
    assert cells(result.stdout) == [
        ["run", "state", "step", "time", "loss"],
        ["a", "finished", "40", "0:01:12", "7.25 at 40"],
        ["b", "unfinished", "40", "0:01:12", "8.75 at 20"],
        ["differs", "a", "b"],
        ["vocabulary", "aaaaaa", "bbbbbb"],
    ]
    assert result.stdout.startswith("pretraining: best values on held-out data, with steps\n")
    assert "note: pretraining: the vocabularies differ, so losses and accuracies cannot be compared\n" in result.stdout
    assert Path("curves.png").read_bytes().startswith(b"\x89PNG")
    refused("curves", "runs", "--out", "curves.png", saying=r"curves\.png: exists already")
    refused("curves", "runs", "--out", "curves.pdf", saying="--out: is a PNG, so give it a name that ends in .png")


def test_a_metric_of_training_alone_stands_beside_those_on_held_out_data():
    a_run("a", results=measured(8.5, 7.25))
    a_run("b", results=measured(8.75))
    result = keras_bert("curves", "a", "b", "--metric", "tokens", "--metric", "loss")
    assert result.exit_code == 0, result.output
    assert cells(result.stdout)[:3] == [
        ["run", "state", "step", "time", "tokens (training, last)", "loss"],
        ["a", "unfinished", "40", "0:01:12", "1000 at 40", "7.25 at 40"],
        ["b", "unfinished", "40", "0:01:12", "1000 at 40", "8.75 at 20"],
    ]


def test_a_metric_is_shown_once_and_may_be_called_like_another_column():
    a_run("a", results=measured(8.5, 7.25))
    flags = ["--metric", "loss", "--metric", "loss", "--metric", "step"]
    result = keras_bert("curves", "a", *flags, "--out", "curves.png")
    assert result.exit_code == 0, result.output
    assert cells(result.stdout) == [
        ["run", "state", "step", "time", "loss", "step"],
        ["a", "unfinished", "40", "0:01:12", "7.25 at 40", "40 at 40"],
    ]
    assert Path("curves.png").exists()


def test_many_runs_stand_below_each_other_and_the_last_step_counts_where_nothing_was_held_out():
    for number in range(7):
        a_run(f"seeds/seed-{number}", seed=number, batch_size=16 + number)
    result = keras_bert("curves", "seeds", "--metric", "accuracy")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("pretraining: values at the last step\n")
    rows = cells(result.stdout)
    assert rows[1] == ["seed-0", "unfinished", "40", "0:01:12", "0.2 at 40"]
    assert rows[8:10] == [["differs", "seed", "batch size"], ["seed-0", "0", "16"]]
    assert not list(Path().glob("*.png"))


def test_what_is_no_run_and_no_metric_is_said_in_flags():
    a_run("run")
    refused("curves", "none", saying="none: no such folder")
    refused("curves", "run", "--metric", "bleu", saying="--metric: no run has 'bleu'; the runs have accuracy")
    refused("curves", "run", "--by", "days", saying="--by: 'days' is unknown")
    refused("curves", saying="Missing argument 'runs'")
