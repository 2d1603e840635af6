"""Scores next to the scores that they are compared with, as the screen shows them."""

import re

from keras_bert_scratch.commands.score_tables import results_as_tables
from keras_bert_scratch.commands.tables import print_results

BASELINES = {
    "majority": {"f1": 0.2, "majority": 0.6, "f1_by_label": {"x": 0.4, "y": 0.0}},
    "tfidf": {"f1": None, "majority": 0.6, "f1_by_label": {"x": 0.5, "y": 0.1}},
}
DEV = {"f1": 0.7, "majority": 0.6, "f1_by_label": {"x": 0.9, "y": 0.5}, "loss": 0.3, "examples": 1500}
OVER_SEEDS = {"f1": {"mean": 0.7, "sd": 0.1, "low": 0.5, "high": 0.9, "seeds": 2}}


def shown(results, capsys) -> list[list[str]]:
    """The cells of all rows."""
    print_results("of a run", results_as_tables(results))
    lines = [re.split(r"\s*[│┃]\s*", line.strip())[1:-1] for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line]


def test_baselines_and_tuned_options_stand_beside_the_score(capsys):
    tuned = {**DEV, "f1": 0.8, "options": {"threshold": {"x": 0.3, "y": 0.4}}}
    best = {**DEV, "step": 7}
    results = {"baselines": BASELINES, "best": best, "dev": DEV, "tuned_on_dev": tuned, "evaluations": [best]}
    assert shown(results, capsys) == [
        ["best step", "7"],
        ["dev examples", "1,500"],
        ["tuned threshold", "tuned on dev"],
        ["x", "0.3"],
        ["y", "0.4"],
        ["dev", "score", "tuned on dev", "majority", "tfidf"],
        ["f1", "0.7", "0.8", "0.2", "-"],
        ["loss", "0.3", "0.3", "-", "-"],
        ["dev f1 by label", "score", "tuned on dev", "majority", "tfidf"],
        ["x", "0.9", "0.9", "0.4", "0.5"],
        ["y", "0.5", "0.5", "0.0", "0.1"],
    ]


def test_several_seeds_and_a_search_are_tables(capsys):
    dev = {"f1": 0.7, "majority": 0.6, "examples": 8}
    results = {
        "baselines": BASELINES,
        "search": {"a=1": {"a": 1, "f1": 0.5, "sd": 0.2}, "a=2": {"a": 2, "f1": None, "sd": None}},
        "best_run": "a=1",
        "dev_by_seed": {"0": {"f1": 0.6, "majority": 0.6, "examples": 8}, "1": {"f1": None, "majority": 0.6}},
        "dev": dev,
        "dev_over_seeds": OVER_SEEDS,
    }
    assert shown(results, capsys) == [
        ["best run", "a=1"],
        ["dev examples", "8"],
        ["search", "a", "f1", "sd"],
        ["1 (best)", "1", "0.5", "0.2"],
        ["2", "2", "-", "-"],
        ["dev by seed", "f1"],
        ["0", "0.6"],
        ["1", "-"],
        ["dev", "mean", "sd", "low", "high", "seeds", "majority", "tfidf"],
        ["f1", "0.7", "0.1", "0.5", "0.9", "2", "0.2", "-"],
    ]


def test_without_dev_there_is_nothing_to_compare():
    results = {"dev": None, "steps": 3}
    assert results_as_tables(results) == {"steps": 3}


def test_square_brackets_are_shown(capsys):
    """Rich would read them as markup, and drop those that look like a style."""
    assert shown({"tokenizer of [red]": "data[red]/records"}, capsys) == [["tokenizer of [red]", "data[red]/records"]]
