"""`keras-bert launch` with small scripts as workers: what ends them, and when."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
import keras_bert_scratch.commands.main
from keras_bert_scratch.commands import launch

WORK = "touch ready-{0}; while :; do sleep 0.02; done"
SAVES = f"trap 'sleep 1; touch saved-{{0}}; exit 0' TERM; {WORK}"
WAITS_FOR_ITS_PEER = f"trap '' TERM; {WORK}"


@pytest.fixture
def run(monkeypatch):
    """A function that launches a script for each worker and presses Ctrl-C `presses` times once all are ready."""
    popen, started = subprocess.Popen, []

    def launched(*scripts: str, presses: int, grace: float) -> list[int]:
        def start(line, stdout):
            index = int(line[-1])
            started.append(popen(["sh", "-c", scripts[index].format(index)], stdout=stdout))
            return started[-1]

        def press() -> None:
            deadline = time.monotonic() + 20
            while len(list(Path().glob("ready-*"))) < len(scripts) and time.monotonic() < deadline:
                time.sleep(0.01)
            for _ in range(presses):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.3)

        monkeypatch.setattr(subprocess, "Popen", start)
        monkeypatch.setattr(launch, "GRACE_SECONDS", grace)
        hand = threading.Thread(target=press if presses else lambda: None)
        hand.start()
        try:
            launch.launch(["pretrain"], workers=len(scripts))
        finally:
            hand.join()
            for process in started:
                process.wait(timeout=5)

    return launched


def test_after_ctrl_c_the_workers_have_all_the_time_that_they_need(run):
    with pytest.raises(KeyboardInterrupt):
        run(SAVES, SAVES, presses=1, grace=0.1)
    assert {path.name for path in Path().glob("saved-*")} == {"saved-0", "saved-1"}


def test_a_second_ctrl_c_kills_the_workers(run):
    with pytest.raises(KeyboardInterrupt):
        run(WAITS_FOR_ITS_PEER, WAITS_FOR_ITS_PEER, presses=2, grace=60)


@pytest.mark.parametrize("presses", [0, 1])
def test_a_worker_that_waits_for_one_that_is_gone_is_killed(presses, run):
    gone = f"trap 'exit 3' TERM; {WORK}" if presses else "exit 3"
    with pytest.raises(KeyboardInterrupt if presses else kbs.UserError):
        run(gone, WAITS_FOR_ITS_PEER, presses=presses, grace=0.2)
