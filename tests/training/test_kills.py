"""SIGKILL at any moment, then the same command again: the final weights equal those of an undisturbed run."""

import contextlib
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from keras_bert_scratch.commands.main import app
from keras_bert_scratch.tensor_file import read_tensors

RUN = ["--preset", "bert-l2-h128", "--batch", "8", "--length", "32", "--save-every", "0.3s"]
MIRRORED = ["--strategy", "mirrored", "--virtual-devices", "2"]


def addresses() -> str:
    with socket.socket() as a, socket.socket() as b:
        for one in (a, b):
            one.bind(("localhost", 0))
        return ",".join(f"localhost:{one.getsockname()[1]}" for one in (a, b))


def lines(kind: str, records: Path, out: str, *options: str) -> list[list[str]]:
    """The commands of a run, one per process."""
    line = [
        sys.executable,
        "-m",
        "keras_bert_scratch",
        "pretrain",
        str(records),
        "--out",
        out,
        *options,
        *RUN,
    ]
    if kind == "two workers":
        line += ["--strategy", "multiworker", "--workers", addresses()]
        return [[*line, "--index", "0"], [*line, "--index", "1"]]
    return [line + (MIRRORED if kind == "mirrored" else [])]


def start(argv: list[str]) -> subprocess.Popen:
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def weights(run: str) -> dict[str, np.ndarray]:
    return read_tensors(Path(run) / "model.weights.h5")


def weights_are_there(run: str) -> bool:
    return (Path(run) / "model.weights.h5").exists()


def last_kept(run: str) -> int:
    return max((int(path.name.partition("-")[2]) for path in Path(run).glob("training_state/step-*")), default=0)


def killed_and_continued(commands: list[list[str]], out: str, kills: int, rng: random.Random) -> int:
    """Kills and restarts a process `kills` times, each time after a state was saved; returns how many were alive."""
    processes = [start(argv) for argv in commands]
    hits = 0
    try:
        for _ in range(kills):
            kept, wait = last_kept(out), time.monotonic() + 120
            while last_kept(out) == kept and processes[0].poll() is None and time.monotonic() < wait:
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 0.5))
            victim = rng.randrange(len(processes))
            if processes[victim].poll() is None:
                processes[victim].send_signal(signal.SIGKILL)
                processes[victim].wait()
                hits += 1
                processes[victim] = start(commands[victim])
        for process in processes:
            _, output = process.communicate(timeout=300)
            assert process.returncode == 0, output
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    return hits


def check(kind: str, records: Path, kills: int, steps: int = 30) -> int:
    options = ["--steps", str(steps)]
    straight = lines(kind, records, "straight", *options)
    if kind == "one device":  # this process can run it
        done = CliRunner().invoke(app, straight[0][3:])
        assert done.exit_code == 0, done.output
    else:
        for process in [start(argv) for argv in straight]:
            _, output = process.communicate(timeout=300)
            assert process.returncode == 0, output
    hits = killed_and_continued(lines(kind, records, "killed", *options), "killed", kills, random.Random(kind))
    expected, found = weights("straight"), weights("killed")
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    return hits


@pytest.mark.slow
def test_a_killed_run_ends_in_the_same_weights(records):
    assert check("one device", records, kills=1) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mirrored", "two workers"])
def test_a_killed_run_of_several_replicas_ends_in_the_same_weights(kind, records):
    assert check(kind, records, kills=2) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one device", "mirrored", "two workers"])
def test_twenty_kills(kind, records):
    assert check(kind, records, kills=20, steps=300) == 20


def launched(records: Path, *options: str) -> list[str]:
    """The command that starts the two workers of a run in `run`."""
    run = lines("", records, "run", *options)[0][3:]
    return [sys.executable, "-m", "keras_bert_scratch", "launch", "-n", "2", "--", *run]


@pytest.mark.slow
def test_launch_hands_sigterm_on_to_its_workers(records):
    argv = launched(records, "--steps", "40")
    launcher, wait = start(argv), time.monotonic() + 120
    while not last_kept("run") and launcher.poll() is None and time.monotonic() < wait:
        time.sleep(0.05)
    launcher.send_signal(signal.SIGTERM)
    _, output = launcher.communicate(timeout=60)
    assert launcher.returncode == 0, output
    assert "run: stopped at step" in output
    assert not weights_are_there("run")
    assert start(argv).wait(300) == 0
    assert weights_are_there("run")


@pytest.mark.slow
@pytest.mark.parametrize("pressed", [0, 1], ids=["chief", "other"])
def test_ctrl_c_to_one_worker_stops_both_after_the_same_step(records, pressed):
    processes, wait = [start(argv) for argv in lines("two workers", records, "run", "--steps", "100")], 120
    deadline = time.monotonic() + wait
    while not last_kept("run") and processes[0].poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    processes[pressed].send_signal(signal.SIGINT)
    outputs = [process.communicate(timeout=wait)[1] for process in processes]
    assert [process.returncode for process in processes] == ([130, 0] if pressed == 0 else [0, 130]), outputs
    step = last_kept("run")
    for output in outputs:
        assert f"run: stopped at step {step}; the same command resumes from there" in output
    assert not weights_are_there("run")


@pytest.mark.slow
def test_workers_that_go_by_their_clocks_end_both_legs_together(records):
    launcher = start(launched(records, "--budget", "8s", "--second-length", "48", "--second-fraction", "0.5"))
    _, output = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, output
    assert weights_are_there("run")
