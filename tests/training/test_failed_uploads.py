"""A run at an address whose uploads fail: they are repeated, and what could not be sent is kept on this machine."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from training.conftest import files

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import Address
from keras_bert_scratch.training.run_directory import RunDirectory, read_run


@pytest.fixture
def connection(monkeypatch) -> SimpleNamespace:
    """The connection to all addresses: while `failures` is above 0, each upload fails and counts it down."""
    connection, rename = SimpleNamespace(failures=0), Address.rename

    def rename_if_connected(self, target):
        if connection.failures > 0:
            connection.failures -= 1
            raise OSError(errno.EIO, "connection lost", str(self))
        rename(self, target)

    monkeypatch.setattr(Address, "rename", rename_if_connected)
    monkeypatch.setattr("keras_bert_scratch.training.mirror.RETRY_SECONDS", (0.0, 0.0))
    return connection


def save_state_of(run: RunDirectory, step: int) -> None:
    """Replaces the states of the run by one of this step."""
    shutil.rmtree(run.folder / "training_state", ignore_errors=True)
    (run.folder / f"training_state/step-{step}").mkdir(parents=True)
    (run.folder / f"training_state/step-{step}/state.json").write_text("{}")
    run.add_results(step=step)


def run_that_loses_its_connection(there, connection) -> None:
    """A run whose state of step 1 is at the address, and that of step 2 only on this machine."""
    with RunDirectory(there, {"steps": 3}) as run:
        run.record_start(step=0)
        save_state_of(run, 1)
        connection.failures = 99
        with pytest.raises(UserError, match=f"^{there}/.*: cannot be written .*; the next start .* {run.folder}$"):
            save_state_of(run, 2)
    connection.failures = 0
    assert read_run(there)["results"] == {"step": 1}


def test_an_upload_that_fails_is_repeated(there, connection):
    with RunDirectory(there, {"steps": 3}) as run:
        save_state_of(run, 1)
        connection.failures = 2
        save_state_of(run, 2)
        assert connection.failures == 0
        save_state_of(run, 3)
    assert files(there) == {"run.json", "training_state/step-3/state.json"}
    assert read_run(there)["results"] == {"step": 3}
    assert not any(Path("cache/runs").iterdir())


def test_a_place_that_cannot_be_written_at_all_is_an_error_at_once(there, connection):
    connection.failures = 1
    with pytest.raises(UserError, match=f"^{there}/run.json: cannot be written .*your rights there$"):
        RunDirectory(there, {"steps": 3})
    assert not any(Path("cache/runs").iterdir())


def test_a_state_that_could_not_be_uploaded_is_where_the_next_start_continues(there, connection):
    run_that_loses_its_connection(there, connection)
    connection.failures = 99
    with pytest.raises(UserError, match="the next start on this machine continues"):
        RunDirectory(there, {"steps": 3})  # still lost
    connection.failures = 0
    with RunDirectory(there, {"steps": 3}) as run:
        assert run.results == {"step": 2}
        assert files(there) == {"run.json", "training_state/step-2/state.json"}
        run.record_start(step=2)
        save_state_of(run, 3)
    assert files(there) == {"run.json", "training_state/step-3/state.json"}
    assert not any(Path("cache/runs").iterdir())


def test_what_another_machine_continued_replaces_a_state_that_could_not_be_uploaded(there, connection, monkeypatch):
    run_that_loses_its_connection(there, connection)
    with monkeypatch.context() as patch:
        patch.setenv("KERAS_BERT_CACHE", "of-another-machine")
        with RunDirectory(there, {"steps": 3}) as run:
            run.record_start(step=1)
            save_state_of(run, 3)
    with RunDirectory(there, {"steps": 3}) as run:
        assert run.results == {"step": 3}
        assert files(run.folder) == {".lock", "run.json", "training_state/step-3/state.json"}


def test_a_result_that_could_not_be_uploaded_finishes_the_run_at_the_next_start(there, connection):
    with RunDirectory(there, {"steps": 3}) as run:
        save_state_of(run, 3)
        connection.failures = 99
        with pytest.raises(UserError, match="the next start"):
            run.finish({"loss": 1.0})
    connection.failures = 0
    assert read_run(there)["status"] == "running"
    run = RunDirectory(there, {"steps": 3})
    assert (run.finished, run.results) == (True, {"step": 3, "loss": 1.0})
    assert read_run(there)["status"] == "finished"
    assert files(there) == {"run.json"}
    assert not any(Path("cache/runs").iterdir())
