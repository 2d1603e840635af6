"""Runs and models at `tf.io.gfile` addresses give the same as on disk, also when resumed and read from there."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from training.conftest import files

import keras_bert_scratch as kbs
from keras_bert_scratch import transfer
from keras_bert_scratch.checkpoints.formats import detect_format, write_checkpoint
from keras_bert_scratch.errors import Stopped, UserError
from keras_bert_scratch.filesystem import Address, path_of
from keras_bert_scratch.serving.export import export_saved_model
from keras_bert_scratch.serving.inference import evaluate, predict
from keras_bert_scratch.serving.saved_model import SavedModel
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.fine_tuning import FineTuning
from keras_bert_scratch.tasks.run import finetune
from keras_bert_scratch.training import pretraining_evaluation
from keras_bert_scratch.training.callbacks import CheckpointSaver
from keras_bert_scratch.training.mirror import Mirror
from keras_bert_scratch.training.options import RunOptions, TrainingOptions
from keras_bert_scratch.training.pretraining import pretrain
from keras_bert_scratch.training.pretraining_evaluation import evaluate_pretrained
from keras_bert_scratch.training.run_directory import RunDirectory, read_run
from keras_bert_scratch.transfer import read_text

pytestmark = pytest.mark.usefixtures("eagerly")

STEPS = 4
ROWS = {"text": ["the sky", "a film", "the film", "a sky"] * 2, "label": ["sky", "film", "film", "sky"] * 2}


def without_events(names: set[str]) -> set[str]:
    return {name for name in names if not name.startswith("tensorboard/")}


def losses(run) -> list[str]:
    return [row["loss"] for row in csv.DictReader(read_text(path_of(run) / "metrics.csv").splitlines())]


def weights(folder) -> list[np.ndarray]:
    return kbs.BertPretrainer.from_pretrained(folder).get_weights()


def assert_same(found: list, expected: list) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def run_it(records, tiny, out, **changes) -> RunDirectory:
    data = kbs.PretrainingRecords(records)
    arguments = {
        "training": TrainingOptions(steps=STEPS, learning_rate=1e-3),
        "batch_size": 2,
        "max_length": 16,
        "options": RunOptions(save_seconds=0),
    }
    return pretrain(data, tiny, out, **{**arguments, **changes})


@pytest.fixture(scope="module")
def tiny(vocabulary) -> kbs.BertConfig:
    return kbs.BertConfig(len(vocabulary), num_layers=1, hidden_size=16, num_heads=2, max_position_embeddings=16)


@pytest.fixture(scope="module")
def finished(records, tiny, tmp_path_factory, eager_functions) -> Path:
    """A pretraining run on this machine's disk."""
    out = tmp_path_factory.mktemp("here") / "run"
    with eager_functions():
        run_it(records, tiny, out)
    return out


def test_a_run_there_leaves_what_a_run_here_leaves(records, tiny, finished, there, monkeypatch):
    run = run_it(records, tiny, there)
    assert without_events(files(there)) == without_events(files(finished))
    assert any(name.startswith("tensorboard/events") for name in files(there))
    assert losses(there) == losses(finished)
    assert_same(weights(there), weights(finished))
    assert run.results == RunDirectory(finished, run._settings).results
    assert not any(Path("cache/runs").iterdir())  # nothing is left on this machine
    assert run_it(records, tiny, there).results == run.results  # finished: left as it is
    monkeypatch.setattr(pretraining_evaluation, "EVALUATION_STEPS", 1)
    assert evaluate_pretrained(there, records) == evaluate_pretrained(finished, records)


def test_a_stopped_run_there_goes_on_from_its_newest_whole_state(records, tiny, finished, there, monkeypatch):
    def save_and_stop(self, batch, logs=None):
        self.save()
        if self.model.optimizer.iterations == 3:
            raise Stopped("as if the machine were taken away")

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(CheckpointSaver, "on_train_batch_end", save_and_stop)
        run_it(records, tiny, there)
    assert {name for name in files(there) if name.startswith("training_state/")} == {
        f"training_state/step-0000000{step}/{name}" for step in (2, 3) for name in ("state.json", "variables.h5")
    }
    assert read_run(there)["status"] == "running"
    (path_of(there) / "training_state/step-00000003/variables.h5").write_bytes(b"half of it")
    run = run_it(records, tiny, there)
    starts = read_run(there)["starts"]
    assert [start["step"] for start in starts] == [0, 2]
    assert run.finished
    assert_same(weights(there), weights(finished))
    assert without_events(files(there)) == without_events(files(finished))


def test_a_run_there_with_other_settings_is_refused(records, tiny, there):
    with RunDirectory(there, {"steps": 1}):
        pass
    with pytest.raises(UserError, match=r"there: already holds a run with steps 1, not 2; use the same settings"):
        RunDirectory(there, {"steps": 2})


def test_a_folder_there_that_holds_something_else_is_refused(there):
    (path_of(there) / "thesis.txt").write_bytes(b"Do not touch.")
    with pytest.raises(UserError, match="there: exists already; delete it or choose another place"):
        RunDirectory(there, {"steps": 1})
    assert files(there) == {"thesis.txt"}


def test_two_processes_of_one_machine_do_not_write_one_run_there(there, monkeypatch):
    monkeypatch.setattr("keras_bert_scratch.lock.WAIT_SECONDS", 0)
    with RunDirectory(there, {"steps": 1}) as run:
        (run.folder / "metrics.csv").write_text("step\n1\n")
        with pytest.raises(UserError, match="there: is being written by process"):
            RunDirectory(there, {"steps": 1})
        assert (run.folder / "metrics.csv").exists()
        run.add_results(loss=2.0)
    assert read_run(there)["results"] == {"loss": 2.0}


def test_of_two_machines_that_write_one_run_there_the_first_stops(there, monkeypatch):
    first = RunDirectory(there, {"steps": 1})
    first.record_start(step=0)
    monkeypatch.setenv("KERAS_BERT_CACHE", "of-another-machine")
    with RunDirectory(there, {"steps": 1}) as second:
        second.record_start(step=0)
        with pytest.raises(UserError, match=r"there: another process has overwritten run.json"):
            first.add_results(loss=1.0)
        second.add_results(loss=2.0)
    assert read_run(there)["results"] == {"loss": 2.0}


def test_a_worker_that_is_not_the_chief_reads_the_states_and_writes_nothing(records, tiny, there, monkeypatch):
    with RunDirectory(there, {"steps": 1}) as chief:
        (chief.folder / "training_state" / "step-00000001").mkdir(parents=True)
        (chief.folder / "training_state" / "step-00000001" / "state.json").write_text("{}")
        chief.add_results(loss=1.0)
        before = {name: (path_of(there) / name).read_bytes() for name in files(there)}
        with RunDirectory(there, {"steps": 1}, writes=False) as worker:
            assert (worker.folder / "training_state" / "step-00000001" / "state.json").exists()
            worker.add_results(loss=3.0)
            worker.finish({})
        assert {name: (path_of(there) / name).read_bytes() for name in files(there)} == before
        assert chief.folder.exists()
        assert not worker.folder.exists()


@pytest.mark.parametrize("scheme", ["ram", "file"])
def test_a_state_counts_only_when_its_last_file_has_come(scheme, tmp_path):
    folder, address = Path("here"), Address(f"{scheme}://{tmp_path}/there")
    folder.mkdir()
    mirror = Mirror(folder, address, (), ("state.json", "run.json"))
    for name in ("run.json", "training_state/step-1/state.json", "training_state/step-1/variables.h5"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    (folder / ".partial-run.json").write_text("half")
    order = []
    original = Address.rename
    try:
        Address.rename = lambda self, target: (order.append(target.name), original(self, target))[1]
        mirror.upload()
        mirror.upload()  # nothing has changed
    finally:
        Address.rename = original
    assert order == ["variables.h5", "state.json", "run.json"]
    assert files(address) == {"run.json", "training_state/step-1/state.json", "training_state/step-1/variables.h5"}
    shutil.rmtree(folder / "training_state")
    mirror.upload()
    assert [entry.name for entry in address.iterdir()] == ["run.json"]


def test_files_that_are_replaced_while_they_are_copied_are_copied_again(monkeypatch):
    model = Address("ram://replaced")
    for name in ("config.json", "weights", ".partial-weights"):  # a writer that died left the last one
        (model / name).write_bytes(b"old")
    copied = []
    download = transfer.download_file

    def slow(source, target):
        download(source, target)
        copied.append(source.name)
        if len(copied) == 1:  # another process writes both now
            for name in ("config.json", "weights"):
                (model / name).write_bytes(b"newer")

    monkeypatch.setattr(transfer, "download_file", slow)
    with transfer.local_copy(model) as folder:
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
            "config.json": b"newer",
            "weights": b"newer",
        }


@pytest.fixture(scope="module")
def tuned_here(tiny, tokenizer, tmp_path_factory, eager_functions) -> Path:
    out = tmp_path_factory.mktemp("here") / "tuned"
    with eager_functions():
        finetune_it(tiny, tokenizer, out)
    return out


def finetune_it(tiny, tokenizer, out, **changes) -> RunDirectory:
    how = FineTuning(epochs=1, batch_size=4, max_length=8, learning_rate=1e-3)
    return finetune("classification", tiny, ROWS, out, dev=ROWS, how=how, tokenizer=tokenizer, **changes)


@pytest.mark.slow
def test_fine_tuning_there(tiny, tokenizer, tuned_here, there):
    run = finetune_it(tiny, tokenizer, there, seeds=2)
    assert without_events(files(f"{there}/seed-0")) == without_events(files(tuned_here))
    texts = {"text": ["the sky", "a film"]}
    assert predict(f"{there}/seed-0", texts) == predict(tuned_here, texts)
    assert predict(there, texts) == predict(f"{there}/seed-{run.results['best_seed']}", texts)
    assert evaluate(f"{there}/seed-0", ROWS)["accuracy"] == run.results["dev_by_seed"]["0"]["accuracy"]
    assert finetune_it(tiny, tokenizer, there, seeds=2).results == run.results  # finished: left as it is


def test_fine_tuning_starts_from_a_model_there(tokenizer, finished, there):
    kbs.BertPretrainer.from_pretrained(finished).save_pretrained(there, tokenizer)
    run = finetune("classification", there, ROWS, "run", how=FineTuning(1, 8, max_length=8, freeze_layers=1))
    assert read_run(run.path)["settings"]["start"] == there
    before, after = (kbs.BertBackbone.from_pretrained(path) for path in (finished, run.path))
    assert_same(after.embeddings.get_weights(), before.embeddings.get_weights())


@pytest.mark.slow
def test_a_model_there_is_replaced(tiny, tokenizer, there):
    first, second = (kbs.BertPretrainer(kbs.BertBackbone(tiny)) for _ in range(2))
    (path_of(there) / "notes.txt").write_bytes(b"Stays.")
    for model in (first, second):
        model.save_pretrained(there, tokenizer)
        assert_same(weights(there), model.get_weights())
    assert "notes.txt" in files(there)


@pytest.mark.parametrize("at", ["vocab.txt", "model.weights.h5", "config.json"])
def test_a_writer_that_dies_there_leaves_no_mixture(tiny, tokenizer, there, at, monkeypatch):
    first, second = (kbs.BertPretrainer(kbs.BertBackbone(tiny)) for _ in range(2))
    first.save_pretrained(there, tokenizer)
    original = Address.rename

    def die(self, target):
        if target.name == at:
            raise KeyboardInterrupt
        original(self, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Address, "rename", die)
        second.save_pretrained(there, tokenizer)
    with pytest.raises(UserError, match="there: holds no model"):
        weights(there)
    second.save_pretrained(there, tokenizer)
    assert_same(weights(there), second.get_weights())


@pytest.mark.parametrize("to", ["huggingface", "google", "keras_hub", "native"])
def test_models_are_converted_there_and_read_from_there(tiny, tokenizer, there, to):
    backbone = kbs.BertBackbone(tiny)
    write_checkpoint(backbone.to_checkpoint(tokenizer), there, to)
    assert detect_format(there) == to
    assert_same(kbs.BertBackbone.from_pretrained(there).get_weights(), backbone.get_weights())
    assert kbs.BertTokenizer.load(there).vocabulary == tokenizer.vocabulary
    with pytest.raises(UserError, match="there: exists already"):
        write_checkpoint(backbone.to_checkpoint(tokenizer), there, to)


def test_a_damaged_file_there_is_named_by_its_address(tiny, tokenizer, there):
    kbs.BertPretrainer(kbs.BertBackbone(tiny)).save_pretrained(there, tokenizer)
    (path_of(there) / "model.weights.h5").write_bytes(b"not it")
    with pytest.raises(UserError, match=f"^{there}/model.weights.h5: is damaged"):
        weights(there)


@pytest.mark.slow
def test_export_there(tuned_here, there):
    export_saved_model(FineTuned.load(tuned_here), there, warm_up=False)
    texts = {"text": ["the sky", "a film"]}
    found, expected = SavedModel(there).predict(texts), predict(tuned_here, texts)
    assert [answer["label"] for answer in found] == [answer["label"] for answer in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
