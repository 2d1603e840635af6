"""One process at a time holds the lock, and a killed process blocks no other."""

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from keras_bert_scratch import atomic, lock
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.lock import Lock

HOLDER = """
import sys, time
from pathlib import Path
from keras_bert_scratch.lock import Lock
held = Lock(Path(sys.argv[1]), Path("run"))
print("held", flush=True)
time.sleep(600)
"""
REPLACES_ITSELF = """
import os, sys
from pathlib import Path
from keras_bert_scratch.lock import Lock
held = Lock(Path(".lock"), Path("run"))
if len(sys.argv) == 1:
    os.execv(sys.executable, [sys.executable, __file__, "again"])
print("held again")
"""


@pytest.fixture
def holder():
    """Another process that holds the lock `.lock-target`."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, ".lock-target"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture(autouse=True)
def no_wait(monkeypatch):
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0.2)


def test_a_second_process_is_told_who_holds_the_lock(holder):
    named = rf"^run: is being written by process {holder.pid} on {socket.gethostname()} since .*; wait until it ends"
    with pytest.raises(UserError, match=named):
        Lock(Path(".lock-target"), Path("run"))


@pytest.mark.parametrize("write", [atomic.write_folder, lambda path: atomic.continue_folder(path, {})])
def test_two_processes_cannot_make_one_folder(holder, write):
    Path(".partial-target").mkdir()
    Path(".partial-target/theirs").write_text("half")
    with pytest.raises(UserError, match=f"^target: is being written by process {holder.pid} on"), write("target"):
        pytest.fail("both write")
    assert Path(".partial-target/theirs").read_text() == "half"


def test_a_killed_process_blocks_nobody(holder, monkeypatch):
    monkeypatch.setattr(lock, "WAIT_SECONDS", 3.0)
    holder.send_signal(signal.SIGKILL)
    with Lock(Path(".lock-target"), Path("run")):
        assert Path(".lock-target").read_text().startswith(f"process {os.getpid()} on")
    assert not Path(".lock-target").exists()


def test_a_process_that_replaces_itself_gets_the_lock_again():
    Path("replaces.py").write_text(REPLACES_ITSELF)
    run = subprocess.run([sys.executable, "replaces.py"], capture_output=True, text=True)
    assert run.stdout == "held again\n", run.stderr


def test_a_file_system_without_locks_is_used_without(monkeypatch, caplog):
    def acquire(self, timeout):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with caplog.at_level(logging.WARNING), Lock(Path(".lock"), Path("run")):
        assert "run: its file system has no locks" in caplog.text
