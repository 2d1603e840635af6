"""From the start of a process to its first answer: seconds, peak memory, and size on disk.

    python benchmarks/cold_start.py [--rounds 3]

A classifier of all-MiniLM-L6-v2's sizes (22.7 million weights) with random weights in its head: `keras-bert serve` with
each engine and warm-up, to its first answer over HTTP; Python that loads our SavedModel; Python that loads KerasHub's
classifier from a preset, with its tokenizer. They take turns; the fastest round counts, with its memory.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from finetuning import MINILM
from rich.console import Console
from rich.table import Table

import keras_bert_scratch as kbs
from keras_bert_scratch.filesystem import files_below

SAVED_MODEL = """
import sys, numpy, tensorflow as tf, tensorflow_text
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
print(signature(text=tf.constant(["A joy from start to end."]))["label"].numpy(), flush=True)
sys.stdin.read()
"""
KERAS_HUB = """
import os, sys
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras_hub
model = keras_hub.models.BertTextClassifier.from_preset(sys.argv[1], num_classes=2)
print(model.predict(["A joy from start to end."], verbose=0), flush=True)
sys.stdin.read()
"""
Measured = tuple[float, int]  # seconds, and megabytes at the peak


def main(rounds: Annotated[int, typer.Option(help="Number of rounds; the fastest one counts.")] = 3) -> None:
    """Prints seconds, megabytes of memory and of disk."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        backbone, tokenizer = kbs.BertBackbone.from_pretrained(MINILM), kbs.BertTokenizer.load(MINILM)
        tuned = kbs.FineTuned(
            kbs.BertTextClassifier(backbone, 2), tokenizer, kbs.Spec("classification", ("text",), 128, ("no", "yes"))
        )
        for weights in ("constants", "variables"):
            kbs.export_saved_model(tuned, folder / weights, variants=("litert",), weights=weights)
        hub = [sys.executable, "-m", "keras_bert_scratch", "convert", str(MINILM), str(folder / "hub")]
        subprocess.run([*hub, "--to", "keras_hub"], check=True)
        sides: dict[str, Callable[[], Measured]] = {}
        for weights in ("constants", "variables"):
            path = str(folder / weights)
            sides[f"keras-bert serve, tensorflow, {weights}"] = lambda path=path: _serve(path, "tensorflow")
            sides[f"Python and the SavedModel, {weights}"] = lambda path=path: _script(SAVED_MODEL, path)
        sides["keras-bert serve, litert"] = lambda: _serve(str(folder / "constants"), "litert")
        sides["Python and KerasHub"] = lambda: _script(KERAS_HUB, str(folder / "hub"))
        found = [{side: measure() for side, measure in sides.items()} for _ in range(rounds)]
        on_disk = {name: _megabytes(folder / name) for name in ("constants", "variables", "hub")}
        on_disk["constants/variants"] = _megabytes(folder / "constants/variants")
    shown = Table("", "s to the first answer", "MB of memory at most")
    for side in sides:
        seconds, memory = min(measured[side] for measured in found)
        shown.add_row(side, f"{seconds:.1f}", f"{memory}")
    Console(width=100).print(shown)
    print("MB on disk:", {name: round(size, 1) for name, size in on_disk.items()})


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in files_below(folder)) / 1e6


def _memory(process: subprocess.Popen) -> int:
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]) // 1000


def _script(code: str, path: str) -> Measured:
    start = time.perf_counter()
    command = [sys.executable, "-c", code, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline()
        found = time.perf_counter() - start, _memory(process)
        process.kill()
    return found


def _serve(path: str, engine: str) -> Measured:
    start = time.perf_counter()
    command = [sys.executable, "-m", "keras_bert_scratch", "serve", f"m={path}", "--engine", engine]
    command += ["--port", "0", "--grpc-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        while not (address := re.search(r"(http://\S+) answers", line := process.stdout.readline())):
            assert line
        body = b'{"instances": ["A joy from start to end."]}'
        with urllib.request.urlopen(f"{address[1]}/v1/models/m:predict", body) as answer:
            assert b"label" in answer.read()
        found = time.perf_counter() - start, _memory(process)
        process.send_signal(signal.SIGTERM)
    return found


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    typer.run(main)
