"""The experiments: tables and claims by numbers, what they measure by brute force, each of them at a smoke size."""

import importlib
import json
import math
import re
import runpy
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy import stats

import keras_bert_scratch as kbs

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
STUDIES = ("bidirectional", "size", "masking", "when_it_pays", "features", "students")


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    """Python finds beside a script what it imports."""
    monkeypatch.syspath_prepend(EXPERIMENTS)


@pytest.fixture
def study():
    return importlib.import_module("study")


@pytest.fixture
def hidden_words():
    return importlib.import_module("hidden_words")


def made(study, claims=(), **settings):
    columns = {"right": study.Column("right"), "loss": study.Column("loss", ".2f", "low")}
    return study.Study(Path("out"), "A study", settings, columns, list(claims))


# --- tables


def test_a_table_has_means_and_deviations(study):
    asked = made(study)
    for seed, (right, loss) in enumerate([(0.5, 2.0), (0.6, 2.5), (0.7, 3.0)]):
        asked.measure("one", seed, lambda right=right, loss=loss: {"right": right, "loss": loss})
    asked.measure("once", 0, lambda: {"right": 0.25, "loss": None})
    lines = asked.report().split("\n")
    assert lines[0] == "| 3 seeds | right | loss |"
    assert lines[2:] == ["| one | 60.0% ± 10.0 | 2.50 ± 0.50 |", "| once | 25.0% |  |"]


@pytest.mark.parametrize(
    ("metric", "better", "worse", "outcome"),
    [
        ("right", [0.7, 0.71, 0.72], [0.5, 0.52, 0.51], "shown"),
        ("right", [0.5, 0.52, 0.51], [0.7, 0.71, 0.72], "**contradicted**"),
        ("right", [0.5, 0.7, 0.6], [0.6, 0.5, 0.6], "not shown"),
        ("loss", [2.0, 2.1, 2.0], [3.0, 3.1, 3.1], "shown"),
        ("loss", [3.0, 3.1, 3.1], [2.0, 2.1, 2.0], "**contradicted**"),
    ],
)
def test_a_claim_is_judged_by_a_paired_test(study, metric, better, worse, outcome):
    asked = made(study, [study.Claim("a", "b", metric, "a is better")])
    for seed in range(3):
        for row, values in (("a", better), ("b", worse)):
            asked.measure(row, seed, lambda value=values[seed]: {metric: value})
    test = stats.ttest_rel(better, worse)
    low, high = test.confidence_interval()
    scale, places, unit = (100, 1, " points") if metric == "right" else (1, 2, "")
    difference = f"{scale * (low + high) / 2:+.{places}f} ± {scale * (high - low) / 2:.{places}f}{unit}"
    assert asked.report().split("\n")[-1] == f"| a is better | {difference} | {outcome} |"
    assert (test.pvalue < 0.05) == (outcome != "not shown")


def test_a_claim_needs_two_seeds_of_both_rows(study):
    asked = made(study, [study.Claim("a", "b", "right", "a is better")])
    for seed in range(2):
        asked.measure("a", seed, lambda: {"right": 0.5})
    asked.measure("b", 0, lambda: {"right": 0.5})
    assert asked.report().endswith("| a is better | | not measured with two seeds |")


def test_what_is_measured_is_kept(study):
    made(study, size=1).measure("one", 0, lambda: {"right": 0.5, "loss": 1.0})

    def never():
        raise AssertionError("it was measured already")

    again = made(study, size=1)
    again.measure("one", 0, never)
    assert "| one | 50.0% | 1.00 |" in again.report()
    with pytest.raises(kbs.UserError, match=r"out: holds a study with \{'size': 1\}; ask for the same"):
        made(study, size=2)


def test_processes_share_a_study_by_its_seeds(study, capsys):
    """Each `Study` has locks of its own, as each process has."""
    one, other = made(study), made(study)
    seeds = one.seeds(2)
    assert next(seeds) == 0
    assert list(other.seeds(2)) == [1]
    assert "seed 0: another process measures it" in capsys.readouterr().out
    other.measure("one", 1, lambda: {"right": 0.5, "loss": 1.0})
    one.measure("one", 0, lambda: {"right": 0.7, "loss": 1.0})
    assert "| one | 60.0% ± 14.1 |" in one.report()
    seeds.close()  # or the end of its process
    assert list(other.seeds(2)) == [0, 1]


# --- what is measured


def test_hidden_words_are_in_the_middle_and_the_same_each_time(hidden_words, records):
    data = kbs.PretrainingRecords(records)
    first, again = (list(hidden_words.hide(data, 50, batch=8, length=32)) for _ in range(2))
    assert sum(len(hidden.words) for hidden in first) == 50
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.words, other.words)
        sizes = one.inputs["padding_mask"].sum(axis=1)
        assert (one.positions >= sizes // 4).all()
        assert (one.positions < 3 * sizes // 4).all()
        np.testing.assert_array_equal(one.inputs["token_ids"][np.arange(len(one.words)), one.positions], one.words)


@pytest.mark.parametrize("direction", ["both", "left-to-right", "right-to-left"])
def test_a_model_is_asked_where_it_does_not_see_the_word(hidden_words, records, small, tokenizer, direction, eagerly):
    """What it says does not depend on the hidden word, but on its neighbours."""
    model_class = kbs.BertMaskedLM if direction == "both" else kbs.BertCausalLM
    model = model_class(kbs.BertBackbone(small.replace(direction=direction, initializer_range=0.3), pooler=False))
    model.save_pretrained("model", tokenizer)
    data = kbs.PretrainingRecords(records)
    hidden = list(hidden_words.hide(data, 12, batch=12, length=32))
    said = hidden_words.said_by(Path("model"), data, 12, batch=12, length=32)
    np.testing.assert_allclose(np.exp(said).sum(axis=1), 1, rtol=1e-4)

    def asked(change):
        token_ids = hidden[0].inputs["token_ids"].copy()
        rows = np.arange(12)
        token_ids[rows, hidden[0].positions + change] = 7
        inputs = {**hidden[0].inputs, "token_ids": token_ids}
        with pytest.MonkeyPatch.context() as patch:
            same = hidden_words.Hidden(inputs, hidden[0].positions, hidden[0].words)
            patch.setattr(hidden_words, "hide", lambda *args, **kwargs: iter([same]))
            return hidden_words.said_by(Path("model"), data, 12)

    np.testing.assert_allclose(asked(0), said, atol=1e-5)
    for change, seen in ((-1, direction != "right-to-left"), (1, direction != "left-to-right")):
        assert (np.abs(asked(change) - said).max() > 1e-3) == seen


def test_two_one_way_models_are_joined_by_bayes(hidden_words):
    """Where left and right are independent given the word, the join is the posterior of both."""
    draws = np.random.default_rng(0)
    prior = np.array([1.0, 4.0, 20.0])
    left, right = draws.dirichlet(np.ones(4), 3), draws.dirichlet(np.ones(5), 3)  # of a neighbour, given the word
    posterior = prior[:, None, None] * left[:, :, None] * right[:, None, :]
    of_left, of_right = (prior[:, None] * one / (prior[:, None] * one).sum(0) for one in (left, right))
    for at_left in range(4):
        told = hidden_words.joined(np.log(of_left[:, [at_left] * 5].T), np.log(of_right.T), prior)
        np.testing.assert_array_equal(told.argmax(1), posterior[:, at_left].argmax(0))


def test_frequencies_are_those_of_the_words_in_rows(hidden_words, records, monkeypatch):
    monkeypatch.setattr(hidden_words, "COUNTED", 300)
    data = kbs.PretrainingRecords(records)
    found = hidden_words.frequencies(data)
    assert found.min() == 0.5
    assert found.sum() == pytest.approx(300 + 0.5 * data.vocab_size)
    rows = list(hidden_words.rows_of(data, 40))
    assert len(rows) == 40
    assert not {0, 2, 3, 4} & {int(word) for row in rows for word in row}  # special tokens
    assert not found[[0, 2, 3, 4]].max() > 0.5


def test_counting_reaches_what_its_formulas_say():
    """Of three words: 0 1 0 1 2 0 1."""
    counted, tokens = importlib.import_module("counted_bounds"), np.array([0, 1, 0, 1, 2, 0, 1])
    left, hidden, right = np.array([0, 1]), np.array([1, 2]), np.array([2, 0])
    found = counted.bounds(tokens, tokens[:-1], tokens[1:], left, hidden, right, 3)
    frequency = np.array([4, 4, 2]) / 10
    pairs = np.array([[0, 3, 0], [1, 0, 1], [1, 0, 0]])

    def losses(weight, both):
        for one, word, other in zip(left, hidden, right, strict=True):
            scores = (pairs[one] + weight * frequency) / (pairs[one].sum() + weight)
            if both:
                scores = scores * (pairs[:, other] + weight * frequency[other]) / (pairs.sum(1) + weight)
            yield -math.log(scores[word] / scores.sum())

    best = [min(np.mean(list(losses(weight, both))) for weight in counted.WEIGHTS) for both in (False, True)]
    expected = [-np.log(frequency[hidden]).mean(), *best]
    assert [loss for loss, _ in found.values()] == pytest.approx(expected, rel=1e-5)
    assert found["left neighbour"][1] == 0.5


def test_what_a_task_is_measured_on_is_not_learned_from():
    corpus = importlib.import_module("corpus")
    seen = "A film that is as long as it is good, or nearly so."
    documents = [["One.", "A Film, that is as long", "as it is good, or nearly so; yes."], ["Two."], ["Good film."]]
    assert list(corpus.without(documents, [seen, "Good film."])) == documents[1:]


def test_features_leave_the_encoder_as_it_is(small, eagerly):
    features, lstm = importlib.import_module("features"), importlib.import_module("lstm")
    backbone = kbs.BertBackbone(small.replace(num_layers=4))
    ones = np.ones((2, 6), "int32")
    inputs = {"token_ids": ones * np.arange(5, 11, dtype="int32"), "segment_ids": 0 * ones, "padding_mask": ones}
    layers = [np.asarray(one) for one in backbone.encode_layers(inputs)]
    for layers_of, how in features.LAYERS.values():
        on_top = features.Features(backbone, layers_of, how)
        model = kbs.BertTokenClassifier(on_top, num_classes=2)
        seen = []
        assert {id(weight) for one in on_top.lstms for weight in one.weights} <= {
            id(weight) for weight in model.trainable_weights
        }
        for one in on_top.lstms:
            one.call = lambda vectors, mask=None, seen=seen, **_: (seen.append(np.asarray(vectors)), vectors)[1]
        on_top(inputs)
        chosen = layers[layers_of]
        expected = np.mean(chosen, axis=0) if how == "weighted" else np.concatenate(chosen, axis=-1)
        np.testing.assert_allclose(seen[0], expected, atol=1e-5)
        assert not {id(weight) for weight in model.trainable_weights} & {id(weight) for weight in backbone.weights}
    backbone.trainable = True
    with_lstm = lstm.WithBiLSTM(backbone)
    assert tuple(kbs.BertTextClassifier(with_lstm, num_classes=3)(inputs).shape) == (2, 3)
    assert with_lstm(inputs)["sequence_output"].shape == (2, 6, small.hidden_size)


# --- the studies


@pytest.fixture
def task_files():
    """Files as the publishers' are, of a few rows that we wrote."""
    for folder in ("SST-2", "wnut17", "squad"):
        Path("tasks", folder).mkdir(parents=True)
    for part in ("train", "dev"):
        rows = "".join(f"the {kind} film number {number}\t{number % 2}\n" for number in range(20) for kind in ("good",))
        Path("tasks/SST-2", f"{part}.tsv").write_text("sentence\tlabel\n" + rows)
        Path("tasks/wnut17", f"{part}.conll").write_text("Anna\tB-person\nlives\tO\nhere\tO\n\n" * 20)
        context = "Anna lives in Bern. She is a baker."
        questions = [
            {"id": f"q{number}", "question": "Where does Anna live?", "answers": [{"text": "Bern", "answer_start": 14}]}
            for number in range(8)
        ]
        page = {"title": "Anna", "paragraphs": [{"context": context, "qas": questions}]}
        Path("tasks/squad", f"{part}.json").write_text(json.dumps({"version": "1.1", "data": [page]}))
    for part in ("train", "valid"):
        Path("tasks", f"{part}.txt").write_text("Anna NNP I-NP B-PER\nlives VBZ I-VP O\n\n" * 20)
    return Path("tasks")


def run(monkeypatch, name, *arguments):
    """A script as a command; ends without an exit code."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXPERIMENTS / f"{name}.py"), run_name="__main__")
    assert not ended.value.code


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_runs_and_goes_on(name, monkeypatch, task_files, capsys):
    given = {"features": ("--conll", task_files), "when_it_pays": ("--tasks", task_files, "--minutes", "0.05")}
    asked = (name, "out", "--scale", "smoke", "--seeds", "1", *given.get(name, ("--tasks", task_files)))
    run(monkeypatch, *asked)
    table = capsys.readouterr().out.partition("\n\n| ")[2]
    measured = json.loads(Path("out/measured.json").read_text())
    assert all(f"| {row} |" in table for row in measured["rows"])
    monkeypatch.setattr(kbs, "pretrain", None)
    monkeypatch.setattr(keras.Model, "fit", None)
    run(monkeypatch, *asked)  # all of it is measured
    again = capsys.readouterr().out
    assert "== " not in again
    assert again.endswith(table)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_says_what_it_claims(name):
    text = runpy.run_path(str(EXPERIMENTS / f"{name}.py"))["__doc__"]
    assert f"python experiments/{name}.py OUT" in text
    assert re.search("^Claim: ", text, re.MULTILINE)
    assert re.search("^Cost", text, re.MULTILINE)


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_scales_fit_each_other(scale):
    sizes = importlib.import_module("scales").scale_of(scale)
    config = kbs.BertConfig.preset(sizes.preset)
    config.check_length(max(sizes.length, sizes.second_length, sizes.window))


def test_an_unknown_scale_is_refused():
    with pytest.raises(kbs.UserError, match="`scale`: 'large' is unknown; choose one of smoke, laptop, paper"):
        importlib.import_module("scales").scale_of("large")


def test_the_tables_of_results_are_what_was_measured():
    report = importlib.import_module("report")
    page = report.PAGE.read_text(encoding="utf-8")
    assert {name for _, name, _ in report.TABLE.findall(page)} == set(STUDIES)
    assert {file.stem for file in report.RESULTS.glob("*.json")} <= set(STUDIES)
    assert report.with_tables(page) == page
