"""Runs: that they learn, the files that they write, their evaluation, and further training."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from training.conftest import STEPS, run_it, weights

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.training import pretraining_evaluation, schedules
from keras_bert_scratch.training.callbacks import read_metrics
from keras_bert_scratch.training.options import RunOptions, TrainingOptions
from keras_bert_scratch.training.pretraining import SecondPhase
from keras_bert_scratch.training.pretraining_evaluation import (
    EVALUATION_SEED,
    evaluate_pretrained,
    evaluate_pretraining,
    trained_length,
)
from keras_bert_scratch.training.train_function import TrainFunction


def test_a_finished_run_describes_itself(finished):
    names = {entry.name for entry in finished.iterdir()}
    assert names == {
        *("config.json", "vocab.txt", "tokenizer_config.json", "model.weights.h5", "README.md"),
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


def test_evaluation_gives_what_the_run_says(finished, records):
    """With the run's own batch size, length and rules, as in `keras-bert evaluate`."""
    results = json.loads((finished / "run.json").read_text())["results"]
    assert evaluate_pretrained(finished, records) == results["held_out_after"]


def test_the_best_model_is_evaluated_as_its_run_is(finished, records, monkeypatch):
    """`best/` has no run.json: length, batch size and rules are those of the run around it."""
    best = json.loads((finished / "run.json").read_text())["results"]["best"]
    measured = {name: value for name, value in best.items() if name != "step"}
    assert evaluate_pretrained(finished / "best", records) == measured
    assert Spec.load(finished / "best").max_length == Spec.load(finished).max_length == 32
    monkeypatch.chdir(finished / "best")
    assert trained_length(".") == 32


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    ("model_class", "rules"),
    [
        (kbs.BertPretrainer, kbs.ExampleRules()),
        (kbs.BertMaskedLM, kbs.ExampleRules("none")),
        (kbs.BertCausalLM, kbs.ExampleRules("none", objective="left-to-right")),
    ],
)
def test_a_model_without_a_run_is_evaluated_by_its_class(
    records, small, tokenizer, capsys, monkeypatch, model_class, rules
):
    """Such as a `best/` that was copied elsewhere: its own heads are measured, and what is assumed is said."""
    monkeypatch.setattr(pretraining_evaluation, "EVALUATION_STEPS", 2)
    config = small.replace(direction=rules.objective) if rules.is_one_way else small
    model = model_class(kbs.BertBackbone(config, pooler=model_class is kbs.BertPretrainer))
    model.save_pretrained("copied/best", tokenizer)
    model.compile(kbs.BertAdamW())
    found = evaluate_pretrained("copied/best", records, batch_size=2)
    assert found.items() >= evaluate_pretraining(model, kbs.PretrainingRecords(records), 2, 64, rules).items()
    assumed = f"rows of 64 tokens, 2 per batch, objective {rules.objective}, pairs {rules.pairs}"
    assert assumed in capsys.readouterr().err


def test_next_sentences_have_the_majority_beside_them(finished, records):
    """In short rows most pairs have the same label, so 9 of 10 right may mean that nothing was learnt."""
    batches = (
        kbs.PretrainingRecords(records).batches(4, 32, EVALUATION_SEED).take(pretraining_evaluation.EVALUATION_STEPS)
    )
    labels = np.concatenate([labels["next_sentence"] for _, labels, _ in batches.as_numpy_iterator()])
    assert 0 < labels.mean() < 1
    measured = json.loads((finished / "run.json").read_text())["results"]["held_out_after"]
    assert measured["next_sentence_majority"] == pytest.approx(max(labels.mean(), 1 - labels.mean()), abs=1e-4)


@pytest.mark.slow
def test_evaluation_knows_packing_masks_and_dtype(records, small):
    masks = kbs.MaskingRule(fraction=0.2, unit="words", replacements=(1, 0, 0))
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
    """A run can start from the folder of any model; its initial results are the final results of that model."""
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


def test_a_model_that_reads_text_in_another_way_does_not_go_on(finished, records):
    tokenizer = kbs.BertTokenizer.load(records)
    for name in ("strip_accents", "tokenize_chinese_chars"):
        Path("corpus.txt").write_text("A heron.\nAn otter.\n")
        rules = {"lowercase": True, name: False}
        kbs.build_records("corpus.txt", kbs.BertTokenizer(tokenizer.vocabulary, **rules), name)
        with pytest.raises(kbs.UserError, match=f"has {name}=True, that of {name} has False; build the records with"):
            run_it(name, finished, "further")


def test_a_finished_run_is_left_as_it_is(finished, records, small):
    before = {file: file.read_bytes() for file in finished.iterdir() if file.is_file()}
    again = run_it(records, small, finished, held_out=kbs.PretrainingRecords(records))
    assert again.finished
    assert before == {file: file.read_bytes() for file in finished.iterdir() if file.is_file()}


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
def test_a_wall_clock_budget_ends_the_run(records, small, monkeypatch):
    """With a clock on which every step takes ten seconds; the rate rises, falls, and is 0 at the end."""
    seconds, rates, step = [0.0], [], TrainFunction._replica_step

    def ten_seconds(self, *arguments):
        rates.append(float(self.signals.sent[0]))
        seconds[0] += 10
        return step(self, *arguments)

    monkeypatch.setattr(schedules, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    monkeypatch.setattr(TrainFunction, "_replica_step", ten_seconds)
    run = run_it(records, small, "run", training=TrainingOptions(seconds=50.0, learning_rate=9.0, warmup=0.1))
    assert run.finished
    assert run.results["steps"] == 6
    assert rates == pytest.approx([0.0, 8.0, 6.0, 4.0, 2.0, 0.0])


@pytest.mark.slow
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
    assert read_metrics(run.path / "metrics.csv")[-1]["skipped"] == 18  # the weights stay as they are after step 2
    assert all(np.isfinite(value).all() for value in weights("skipping").values())


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


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_bfloat16_runs(records, small):
    run = run_it(records, small, "run", training=TrainingOptions(steps=5), options=RunOptions(dtype="bfloat16"))
    assert run.finished
    assert all(value.dtype == np.float32 for value in weights("run").values())
