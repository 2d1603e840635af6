"""`keras-bert launch`: several workers on this machine, for `--strategy multiworker`."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from typing import Annotated, Any

import typer

from keras_bert_scratch.commands.app import app
from keras_bert_scratch.errors import UserError

EXAMPLE = "keras-bert launch -n 2 -- pretrain demo/records --preset bert-tiny --steps 50 --out two-workers"

ELSEWHERE = """On several machines, start one process on each, with the same --workers and its own --index;
docs/distribution.md has scripts for Slurm, Kubernetes and Ray Train. The folder of the run must be on a disk that all
share, or at an address."""

POLL_SECONDS = 0.2
GRACE_SECONDS = 30.0  # for the other workers, after one has ended with an error or by Ctrl-C


def launch(
    command: Annotated[list[str], typer.Argument(help="Command to run in every worker, after --.")],
    workers: Annotated[int, typer.Option("-n", help="Number of workers.", min=1)] = 2,
    restarts: Annotated[int, typer.Option(help="Maximum restarts of killed workers, in total.", min=0)] = 3,
) -> None:
    """Start several workers of one training run on this machine, and end when all have ended.

    After Ctrl-C the workers finish their step and save a state; after a second Ctrl-C they are killed.
    """
    _check_has_workers(command[0])
    addresses = ",".join(f"localhost:{port}" for port in _free_ports(workers))
    line = [sys.executable, "-m", "keras_bert_scratch", *command, "--strategy", "multiworker", "--workers", addresses]
    lines = [[*line, "--index", str(index)] for index in range(workers)]

    def start(index: int) -> subprocess.Popen:
        # Only the chief writes to stdout; errors of all workers reach stderr.
        return subprocess.Popen(lines[index], stdout=None if index == 0 else subprocess.DEVNULL)

    def end_all(*_: Any) -> None:
        nonlocal restarts
        restarts = 0
        for process in running:
            process.terminate()  # the worker saves a state and exits with 0

    def on_ctrl_c(*_: Any) -> None:
        nonlocal interrupted
        if interrupted:
            for process in running:
                process.kill()
        interrupted = True
        end_all()

    def check(index: int) -> None:
        if code := running[index].poll():
            if interrupted:
                raise KeyboardInterrupt
            raise UserError(f"launch: worker {index} ended with code {code}; see its messages above")

    running: list[subprocess.Popen] = []
    interrupted = False
    handlers = {signal.SIGTERM: end_all, signal.SIGINT: on_ctrl_c}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        for index in range(workers):
            running.append(start(index))
        while any(process.poll() is None for process in running):
            for index, process in enumerate(running):
                code = process.poll()
                if code is not None and code < 0 and restarts > 0:
                    restarts -= 1
                    print(f"worker {index} was killed by signal {-code}; restarting it", file=sys.stderr)
                    running[index] = start(index)
                else:
                    check(index)
            time.sleep(POLL_SECONDS)
        for index in range(workers):
            check(index)
        if interrupted:
            raise KeyboardInterrupt
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()
        for process in running:
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:  # it is waiting for a worker that is gone
                process.kill()
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_has_workers(verb: str) -> None:
    verbs = typer.main.get_command(app).commands
    several = [name for name, known in verbs.items() if {"strategy", "workers"} <= {one.name for one in known.params}]
    if verb not in several:
        raise UserError(f"`command`: {verb!r} does not train on several workers; give one of {', '.join(several)}")


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
