"""Runs: what they leave, that they resume exactly, and what they refuse."""

import contextlib
import csv
import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.errors import Stopped
from keras_bert_scratch.tensor_file import read_tensors
from keras_bert_scratch.training import pretraining, schedules
from keras_bert_scratch.training.callbacks import MetricsLog, StateKeeper, read_metrics
from keras_bert_scratch.training.options import RunOptions, TrainingOptions
from keras_bert_scratch.training.pretraining import (
    EVALUATION_SEED,
    SecondPhase,
    evaluate_pretrained,
    pretrain,
)
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.train_function import TrainFunction
from keras_bert_scratch.training.training_state import steps_taken

STEPS = 60


def run_it(records, small, out, **changes):
    arguments = {
        "training": TrainingOptions(steps=STEPS, learning_rate=1e-3),
        "batch_size": 4,
        "max_length": 32,
        **changes,
    }
    return pretrain(kbs.PretrainingRecords(records), small, out, **arguments)


def weights(run: Path | str) -> dict[str, np.ndarray]:
    return read_tensors(Path(run) / "model.weights.h5")


@pytest.fixture(scope="module")
def finished(records, small, tmp_path_factory, curves_are_not_drawn):
    out = tmp_path_factory.mktemp("runs") / "run"
    with curves_are_not_drawn():  # but here
        run_it(records, small, out, held_out=kbs.PretrainingRecords(records))
    return out


def test_a_finished_run_describes_itself(finished):
    names = {entry.name for entry in finished.iterdir()}
    assert names == {
        *("config.json", "vocab.txt", "tokenizer_config.json", "model.weights.h5"),
        *("run.json", "metrics.csv", "curves.png", "tensorboard", "best"),
    }
    described = json.loads((finished / "run.json").read_text())
    assert described["status"] == "finished"
    assert described["results"]["steps"] == STEPS
    assert list(finished.glob("tensorboard/events*"))
    assert (finished / "curves.png").read_bytes().startswith(b"\x89PNG")
    with (finished / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["20", "40", "60"]
    assert next(iter(rows[0])) == "step"
    assert {"loss", "masked_lm_accuracy", "next_sentence_accuracy", "learning_rate"} <= rows[0].keys()


def test_training_learns(finished):
    results = json.loads((finished / "run.json").read_text())["results"]
    before, after = results["held_out_before"], results["held_out_after"]
    assert after["masked_lm_loss"] < before["masked_lm_loss"] - 0.5


def test_ctrl_c_that_reaches_us_as_another_error_is_ctrl_c(records, small, monkeypatch):
    """As CPython makes a SystemError of one that falls into C code that calls Python."""

    def pressed(*arguments, **options):
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        raise SystemError("returned NULL without setting an exception")

    monkeypatch.setattr(TrainFunction, "_graph", pressed)
    with pytest.raises(KeyboardInterrupt):
        run_it(records, small, "run")
    monkeypatch.setattr(TrainFunction, "_graph", lambda *arguments, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_it(records, small, "run")


def test_evaluation_gives_what_the_run_says(finished, records):
    """With the run's own batches, lengths and rules; as `keras-bert evaluate` asks for it."""
    results = json.loads((finished / "run.json").read_text())["results"]
    assert evaluate_pretrained(finished, records) == results["held_out_after"]


def test_next_sentences_have_the_majority_beside_them(finished, records):
    """In short rows most pairs are of the one kind, so that 9 of 10 right may mean that nothing was learnt."""
    batches = kbs.PretrainingRecords(records).batches(4, 32, EVALUATION_SEED).take(pretraining.EVALUATION_STEPS)
    labels = np.concatenate([labels["next_sentence"] for _, labels, _ in batches.as_numpy_iterator()])
    assert 0 < labels.mean() < 1
    measured = json.loads((finished / "run.json").read_text())["results"]["held_out_after"]
    assert measured["next_sentence_majority"] == pytest.approx(max(labels.mean(), 1 - labels.mean()), abs=1e-4)


def test_evaluation_knows_packing_masks_and_dtype(records, small):
    masks = kbs.MaskingRule(fraction=0.2, unit="words")
    rules = kbs.ExampleRules(pairs="order", masking=masks, packing=True)
    run = run_it(
        records,
        small,
        "run",
        training=TrainingOptions(steps=2),
        held_out=kbs.PretrainingRecords(records),
        rules=rules,
        options=RunOptions(dtype="bfloat16"),
    )
    assert evaluate_pretrained("run", records) == run.results["held_out_after"]


def test_a_pretrained_model_goes_on_learning(finished, records, tmp_path):
    """From any folder of a model: it begins where that ended, also when the run is resumed."""
    ended = json.loads((finished / "run.json").read_text())["results"]["held_out_after"]
    options = {"held_out": kbs.PretrainingRecords(records), "training": TrainingOptions(steps=3, learning_rate=1e-3)}
    run = run_it(records, finished, "further", **options)
    assert run.results["held_out_before"] == ended
    assert run.results["held_out_after"] != ended
    assert json.loads(Path("further/run.json").read_text())["settings"]["start"] == str(finished)
    with pytest.raises(kbs.UserError, match="further"):  # another start is another run
        run_it(records, "further", "further", **options)


def test_a_model_of_another_vocabulary_does_not_go_on(finished, documents):
    tokens = kbs.BertTokenizer(kbs.learn_vocabulary([text for row in documents for text in row], size=90))
    Path("corpus.txt").write_text("A heron.\nAn otter.\n")
    kbs.build_records("corpus.txt", tokens, "others")
    with pytest.raises(kbs.UserError, match="has another vocabulary than others"):
        run_it("others", finished, "further")


def test_a_finished_run_is_left_as_it_is(finished, records, small):
    before = {file: file.read_bytes() for file in finished.iterdir() if file.is_file()}
    again = run_it(records, small, finished, held_out=kbs.PretrainingRecords(records))
    assert again.finished
    assert before == {file: file.read_bytes() for file in finished.iterdir() if file.is_file()}


@pytest.fixture
def interrupted_after(monkeypatch):
    """Presses Ctrl-C once, after that many steps."""

    def press(step: int) -> None:
        kept = StateKeeper.on_train_batch_end

        def pressed(self, batch, logs=None):
            if steps_taken(self.model) == step:
                monkeypatch.setattr(StateKeeper, "on_train_batch_end", kept)
                raise KeyboardInterrupt

        monkeypatch.setattr(StateKeeper, "on_train_batch_end", pressed)

    return press


def test_an_interrupted_run_resumes_to_the_same_weights(records, small, interrupted_after, finished):
    """Interrupted twice, the first time after its first step."""
    held_out = kbs.PretrainingRecords(records)
    for step, kept in ((1, {1}), (33, {1, 33})):
        interrupted_after(step)
        with pytest.raises(KeyboardInterrupt):
            run_it(records, small, "run", held_out=held_out)
        assert not Path("run/model.weights.h5").exists()
        assert {state.name for state in Path("run/training_state").iterdir()} == {f"step-{at:08d}" for at in kept}
    run_it(records, small, "run", held_out=held_out)
    resumed, straight = weights("run"), weights(finished)
    assert resumed.keys() == straight.keys()
    for name, value in straight.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    assert Path("run/metrics.csv").read_text().count("\n") == 4
    starts = json.loads(Path("run/run.json").read_text())["starts"]
    assert [start["step"] for start in starts] == [0, 1, 33]


@pytest.mark.usefixtures("eagerly")
def test_a_damaged_state_falls_back_to_the_one_before(records, small, monkeypatch, caplog):
    def keep_now_and_then(self, batch, logs=None):
        if steps_taken(self.model) % 2 == 0:
            self.keep()

    training = TrainingOptions(steps=5, learning_rate=1e-3)
    run_it(records, small, "straight", training=training)
    monkeypatch.setattr(StateKeeper, "on_train_batch_end", keep_now_and_then)
    with pytest.raises(kbs.UserError, match="the disk is full"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "finish", full_disk)
        run_it(records, small, "run", training=training)
    kept = sorted(Path("run/training_state").iterdir())
    assert [state.name for state in kept] == ["step-00000004", "step-00000005"]
    file = kept[-1] / "variables.h5"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    run_it(records, small, "run", training=training)
    assert "is damaged (variables.h5 has another checksum); going back to the state before" in caplog.text
    for name, value in weights("straight").items():
        np.testing.assert_array_equal(weights("run")[name], value, err_msg=name)


def full_disk(self, results):
    raise kbs.UserError("the disk is full")


def test_sigterm_keeps_a_state_and_another_number_of_devices_goes_on(records, small, monkeypatch, eager_functions):
    log = MetricsLog.on_train_batch_end

    def terminated(self, batch, logs=None):
        log(self, batch, logs)
        if steps_taken(self.model) == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(MetricsLog, "on_train_batch_end", terminated)
    with eager_functions(), pytest.raises(Stopped, match="run: stopped at step 5; the same command goes on from there"):
        run_it(records, small, "run", training=TrainingOptions(steps=8))
    assert [state.name for state in Path("run/training_state").iterdir()] == ["step-00000005"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    monkeypatch.setattr(MetricsLog, "on_train_batch_end", log)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    assert run_it(records, small, "run", training=TrainingOptions(steps=8), strategy=strategy).results["steps"] == 8
    starts = json.loads(Path("run/run.json").read_text())["starts"]
    assert [(start["step"], start["strategy"]) for start in starts] == [
        (0, "_DefaultDistributionStrategy"),
        (5, "MirroredStrategy"),
    ]


@pytest.mark.usefixtures("eagerly")
def test_a_second_phase_has_longer_rows(records, small, monkeypatch):
    shapes, step = [], TrainFunction._replica_step

    def seen(self, batch, *arguments):
        shapes.append(tuple(batch[0]["token_ids"].shape))
        return step(self, batch, *arguments)

    monkeypatch.setattr(TrainFunction, "_replica_step", seen)
    phase = SecondPhase(max_length=48, fraction=0.5, batch_size=2)
    how = {"training": TrainingOptions(steps=4), "second_phase": phase}
    run = run_it(records, small, "run", held_out=kbs.PretrainingRecords(records), **how)
    assert shapes == [(4, 32), (4, 32), (2, 48), (2, 48)]
    rows = read_metrics(run.path / "metrics.csv")
    assert [row["step"] for row in rows] == [2, 4]
    assert all(
        0.5 < row["non_padding_fraction"] <= 1 and row["tokens_per_second"] > 0 and row["mfu"] > 0 for row in rows
    )
    assert run.results["steps"] == 4
    measured = run.results["held_out_after"]
    assert measured == evaluate_pretrained("run", records) == evaluate_pretrained("run", records, 48, 2)
    assert measured != evaluate_pretrained("run", records, 32, 4)


@pytest.mark.usefixtures("eagerly")
def test_only_the_newest_states_are_kept(records, small, monkeypatch):
    seen = []
    keep = StateKeeper.keep

    def look(self):
        keep(self)
        seen.append(sorted(state.name for state in Path("run/training_state").iterdir()))

    monkeypatch.setattr(StateKeeper, "keep", look)
    monkeypatch.setattr(StateKeeper, "on_train_batch_end", lambda self, batch, logs=None: self.keep())
    run_it(records, small, "run", training=TrainingOptions(steps=4))
    assert seen[-1] == ["step-00000003", "step-00000004"]
    assert not Path("run/training_state").exists()


@pytest.mark.usefixtures("eagerly")
def test_a_wall_clock_budget_ends_the_run(records, small, monkeypatch):
    """By a clock on which every step takes ten seconds; the rate rises, falls, and is 0 at the end."""
    seconds, rates, step = [0.0], [], TrainFunction._replica_step

    def ten_seconds(self, *arguments):
        rates.append(float(self.signals.sent[0]))
        seconds[0] += 10
        return step(self, *arguments)

    monkeypatch.setattr(schedules, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    monkeypatch.setattr(TrainFunction, "_replica_step", ten_seconds)
    run = run_it(records, small, "run", training=TrainingOptions(seconds=50.0, learning_rate=9.0))
    assert run.finished
    assert run.results["steps"] == 6
    assert rates == pytest.approx([0.0, 8.0, 6.0, 4.0, 2.0, 0.0])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batch_size": 8}, "batch_size 4, not 8"),
        ({"seed": 5}, "seed 0, not 5"),
        ({"training": TrainingOptions(steps=70)}, "training.steps 60, not 70"),
    ],
)
def test_another_run_in_the_folder_is_refused(finished, records, small, changes, named):
    with pytest.raises(kbs.UserError, match=named):
        run_it(records, small, finished, held_out=kbs.PretrainingRecords(records), **changes)


def test_a_folder_with_something_else_is_refused(records, small):
    Path("thesis").mkdir()
    Path("thesis/chapter.txt").write_text("years of work")
    with pytest.raises(kbs.UserError, match="thesis: exists already"):
        run_it(records, small, "thesis")
    assert [file.name for file in Path("thesis").iterdir()] == ["chapter.txt"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"max_length": 65}, "`max_length`: 65 tokens are more than the 64 positions"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"seed": -1}, "`seed`"),
        ({"seed": 2**32}, "`seed`"),
        ({"evaluate_every": 0}, "`evaluate_every`"),
        ({"second_phase": SecondPhase(48, 0.5, -1)}, "`batch_size`"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(records, small, tmp_path, changes, named):
    with pytest.raises(kbs.UserError, match=named):
        run_it(records, small, "run", **changes)
    assert not list(tmp_path.iterdir())


def test_a_model_of_another_vocabulary_is_refused(records, small):
    with pytest.raises(kbs.UserError, match=r"has 150 tokens, .* only 99 rows"):
        run_it(records, small.replace(vocab_size=99), "run")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "give one of the two"),
        ({"steps": 1, "seconds": 1.0}, "give one of the two"),
        ({"steps": 0}, "`steps`"),
        ({"seconds": -1.0}, "`seconds`"),
        ({"seconds": float("inf")}, "`seconds`"),
        ({"steps": 1, "learning_rate": 0.0}, "`learning_rate`"),
        ({"steps": 1, "learning_rate": float("nan")}, "`learning_rate`"),
        ({"steps": 1, "learning_rate": float("inf")}, "`learning_rate`"),
        ({"steps": 1, "warmup": 1.0}, "`warmup`"),
        ({"steps": 1, "warmup": float("nan")}, "`warmup`"),
    ],
)
def test_impossible_training_options_are_refused(arguments, named):
    with pytest.raises(kbs.UserError, match=named):
        TrainingOptions(**arguments)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"dtype": "float8"}, "`dtype`"),
        ({"accumulate": 0}, "`accumulate`"),
        ({"on_nonfinite": "cry"}, "`on_nonfinite`"),
        ({"save_seconds": float("nan")}, "`save_seconds`"),
    ],
)
def test_impossible_run_options_are_refused(arguments, named):
    with pytest.raises(kbs.UserError, match=named):
        RunOptions(**arguments)


@pytest.mark.usefixtures("eagerly")
def test_a_gradient_that_is_no_number_stops_the_run_or_is_counted(records, small):
    saying = (
        r"not finite at step 3 \(batch 2, rows 8 to 11 of the data\); no state was saved yet; lower `learning_rate`"
    )
    with pytest.raises(kbs.UserError, match=saying):
        run_it(records, small, "run", training=TrainingOptions(steps=20, learning_rate=1e30))
    assert not Path("run/model.weights.h5").exists()
    run = run_it(
        records,
        small,
        "skipping",
        training=TrainingOptions(steps=20, learning_rate=1e30),
        options=RunOptions(on_nonfinite="skip"),
    )
    assert read_metrics(run.path / "metrics.csv")[-1]["skipped"] == 18  # as it was after step 2 it stays
    assert all(np.isfinite(value).all() for value in weights("skipping").values())


@pytest.mark.usefixtures("eagerly")
def test_skipped_steps_are_counted_on_after_an_interruption_and_in_a_second_phase(records, small, interrupted_after):
    settings = {
        "training": TrainingOptions(steps=40, learning_rate=1e30),
        "options": RunOptions(on_nonfinite="skip"),
        "second_phase": SecondPhase(max_length=48, fraction=0.25, batch_size=2),
    }
    interrupted_after(23)
    with pytest.raises(KeyboardInterrupt):
        run_it(records, small, "run", **settings)
    run_it(records, small, "run", **settings)
    assert [row["skipped"] for row in read_metrics(Path("run/metrics.csv"))] == [18, 28, 38]


@pytest.mark.usefixtures("eagerly")
def test_a_gradient_that_is_no_number_is_placed_in_the_phase_it_came_in(records, small):
    phase = SecondPhase(max_length=48, fraction=0.96, batch_size=2)  # the first phase is one step
    with pytest.raises(kbs.UserError, match=r"at step 3 \(batch 1, rows 2 to 3 of the data\)"):
        run_it(records, small, "run", training=TrainingOptions(steps=25, learning_rate=1e30), second_phase=phase)


@pytest.mark.usefixtures("eagerly")
def test_damaged_records_are_named_while_training(corpus, tokenizer, small):
    kbs.build_records([corpus], tokenizer, "records", num_shards=1)
    shard = next(Path("records").glob("*.tfrecord"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(kbs.UserError, match=r"tfrecord: record \d+ is damaged"):
        run_it("records", small, "run")


@pytest.mark.usefixtures("eagerly")
def test_bfloat16_runs(records, small):
    run = run_it(records, small, "run", training=TrainingOptions(steps=5), options=RunOptions(dtype="bfloat16"))
    assert run.finished
    assert all(value.dtype == np.float32 for value in weights("run").values())
