"""A run's folder: which run owns it, what it stores, and that only one process at a time writes it."""

import errno
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch import lock
from keras_bert_scratch.training.run_directory import RunDirectory, read_run

SETTINGS = {"steps": 1}
HOLDER = """
import time
from keras_bert_scratch.training.run_directory import RunDirectory
with RunDirectory("run", {"steps": 1}):
    print("running", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other():
    """Another process, which writes the run in the folder `run`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout.readline() == "running\n"
    yield process
    process.kill()
    process.communicate()


def test_one_process_at_a_time_writes_a_run(other, monkeypatch):
    with monkeypatch.context() as shorter:
        shorter.setattr(lock, "WAIT_SECONDS", 0.1)
        with pytest.raises(kbs.UserError, match=f"^run: is being written by process {other.pid} on "):
            RunDirectory("run", SETTINGS)
    with pytest.raises(kbs.UserError, match=r"held_out none, not \['00000a', '00000b'\]; steps 1, not 2"):
        RunDirectory("run", {"steps": 2, "held_out": [f"{number:06x}{0:058}" for number in (10, 11)]})
    assert not RunDirectory("run", SETTINGS, writes=False).finished  # another worker of the same run
    other.send_signal(signal.SIGKILL)
    with RunDirectory("run", SETTINGS) as run:
        run.finish({"steps": 1})
    assert [entry.name for entry in Path("run").iterdir()] == ["run.json"]


def test_a_run_that_ends_with_an_error_lets_others_continue_it():
    with pytest.raises(KeyboardInterrupt) as held, RunDirectory("run", SETTINGS):
        raise KeyboardInterrupt
    with RunDirectory("run", SETTINGS) as run:
        assert not run.finished
    assert held.value is not None  # the error is still alive, and its traceback refers to the first RunDirectory


def test_a_finished_run_needs_no_lock(monkeypatch):
    with RunDirectory("run", SETTINGS) as run:
        run.finish({"accuracy": 0.9})

    def refuse(*arguments):
        raise OSError(errno.EROFS, "Read-only file system", "new/.lock")

    monkeypatch.setattr("keras_bert_scratch.training.run_directory.Lock", refuse)
    assert RunDirectory("run", SETTINGS).results == {"accuracy": 0.9}
    with pytest.raises(kbs.UserError, match=r"^new: is on a read-only file system"):
        RunDirectory("new", SETTINGS)


@pytest.mark.parametrize("left", [[".lock"], [".partial-run.json"], [".lock", ".partial-run.json"]])
def test_a_process_that_is_killed_as_it_begins_is_in_nobodys_way(left):
    Path("run").mkdir()
    for name in left:
        Path("run", name).write_text("{")
    with RunDirectory("run", SETTINGS):
        assert read_run("run")["settings"] == SETTINGS


def test_a_folder_with_something_else_is_left_as_it_is():
    Path("thesis").mkdir()
    Path("thesis/chapter.txt").write_text("years of work")
    with pytest.raises(kbs.UserError, match=r"^thesis: exists already; delete it or"):
        RunDirectory("thesis", SETTINGS)
    assert [file.name for file in Path("thesis").iterdir()] == ["chapter.txt"]


def test_a_worker_that_does_not_write_begins_while_the_chief_does(tmp_path):
    Path("run/.partial-run.json").parent.mkdir()
    Path("run/.partial-run.json").write_text("{")
    assert not RunDirectory("run", SETTINGS, writes=False).finished
    assert [file.name for file in Path("run").iterdir()] == [".partial-run.json"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "is not readable JSON"),
        ("", "is not readable JSON"),  # after a power cut on some file systems
        ("[]", "should hold a JSON object"),
        ("{}", "does not describe a run"),
        (json.dumps({"status": "running", "settings": 1}), "does not describe a run"),
        (json.dumps({"status": "running", "settings": {}, "results": []}), "does not describe a run"),
    ],
)
def test_a_damaged_run_file_is_named(content, named):
    Path("run").mkdir()
    Path("run/run.json").write_text(content)
    with pytest.raises(kbs.UserError, match=rf"run/run\.json: {named}.*; restore it or delete the run$"):
        RunDirectory("run", SETTINGS)
