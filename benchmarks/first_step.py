"""Time from the start of `keras-bert pretrain` to the end of the first step: imports, network, tracing, the step.

    python benchmarks/first_step.py RECORDS
    python benchmarks/first_step.py RECORDS --preset bert-base --batch 8

Each measurement is a separate process. It ends with the first saved state, which holds weights and moments, so that it
includes the time of saving. "Again" is the same command, which resumes from that state. "A step" is the time of a step
once everything is traced.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.training.callbacks import read_metrics

POLL_SECONDS = 0.01
STEPS = 60  # the third row of metrics.csv covers steps without tracing


def seconds_to_next_state(command: list[str], out: Path) -> float:
    """Starts the command, and ends it when it has saved one more state."""
    before = set(out.glob("training_state/step-*"))
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not set(out.glob("training_state/step-*")) - before:
            if process.poll() is not None:
                raise RuntimeError(f"ended with {process.returncode} before its first step: {' '.join(command)}")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - start
    finally:
        process.kill()
        process.wait()


def main(
    records: Annotated[Path, typer.Argument(help="Records, built by keras-bert tfrecords.")],
    preset: Annotated[str, typer.Option()] = "bert-mini",
    batch: Annotated[int, typer.Option()] = 32,
    length: Annotated[int, typer.Option()] = 128,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the best one counts.")] = 3,
) -> None:
    """Measure and print."""
    run = [sys.executable, "-m", "keras_bert_scratch", "pretrain", str(records), "--preset", preset]
    run += ["--batch", str(batch), "--length", str(length), "--steps", str(STEPS), "--out"]
    first, again = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            out = Path(folder, str(number))
            command = [*run, str(out), "--save-every", "0.001s"]
            first.append(seconds_to_next_state(command, out))
            again.append(seconds_to_next_state(command, out))
        subprocess.run([*run, str(Path(folder, "whole"))], check=True, capture_output=True)
        seconds = [row["seconds"] for row in read_metrics(Path(folder, "whole", "metrics.csv"))]
    step = (seconds[2] - seconds[1]) / (STEPS / 3)
    found = f"to the first step {min(first):.1f} s, again {min(again):.1f} s, a step {step:.2f} s"
    print(f"{preset}, {batch} rows of {length}: {found}")


if __name__ == "__main__":
    typer.run(main)
