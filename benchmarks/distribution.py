"""Does training on several replicas give the same result as on one device? Ours and plain Keras's, case by case.

    python benchmarks/distribution.py
    python benchmarks/distribution.py --cases clipping,accumulation --kinds mirrored --engines ours

Every case trains the same small network on the same global batches: on one device, on two virtual devices of this
processor (mirrored), and in two processes (two workers). The table shows the largest difference from one device, of any
weight and of any step's loss. "Keras" is the same network with `keras.optimizers.AdamW` (LAMB: `keras.optimizers.Lamb`)
and Keras's own step. Each kind runs in a separate process, so that a failure stops no other kind.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import typer
from rich.console import Console
from rich.table import Table

import keras_bert_scratch as kbs
from keras_bert_scratch.training.strategies import make_strategy

STEPS, ROWS, LENGTH, PREDICTIONS, VOCABULARY, LAYERS = 8, 8, 12, 3, 50, 2
RATE = 1e-3
KINDS = ("mirrored", "two workers")
ENGINES = ("ours", "Keras")
SECONDS = 560


@dataclasses.dataclass(frozen=True)
class Case:
    """The options of a case."""

    dtype: str = "float32"
    clip: float | None = None
    accumulate: int = 1
    steps_per_execution: int = 1
    jit: bool = False
    lamb: bool = False
    dropout: float = 0.0
    rows: int = STEPS * ROWS
    packed: bool = False
    overflow: bool = False
    remat: bool = False


CASES = {
    "float32": Case(),
    "bfloat16": Case(dtype="mixed_bfloat16"),
    "float16, loss scaling": Case(dtype="mixed_float16"),
    "float16, overflow on one replica": Case(dtype="mixed_float16", overflow=True),
    "clipping": Case(clip=0.05),
    "accumulation of 4": Case(accumulate=4),
    "8 steps per execution": Case(steps_per_execution=8),
    "XLA": Case(jit=True),
    "LAMB": Case(lamb=True, clip=0.05),
    "dropout": Case(dropout=0.1),
    "uneven last batch": Case(rows=STEPS * ROWS - 3),
    "packing": Case(packed=True),
    "remat": Case(remat=True),
}


def data(case: Case) -> tuple[Any, Any, Any]:
    """Returns inputs, labels and loss weights; the replicas get different loss weights."""
    rng = np.random.default_rng(0)
    shape = (case.rows, LENGTH)
    inputs = {
        "token_ids": rng.integers(5, VOCABULARY, shape),
        "segment_ids": rng.integers(0, 2, shape),
        "padding_mask": np.arange(LENGTH) < rng.integers(6, LENGTH + 1, (case.rows, 1)),
        "mask_positions": rng.integers(0, 6, (case.rows, PREDICTIONS)),
    }
    examples = (case.rows,)
    if case.packed:
        inputs["example_ids"] = (1 + (np.arange(LENGTH) >= 6)) * inputs["padding_mask"]
        inputs["example_starts"] = np.tile([0, 6], (case.rows, 1))
        examples = (case.rows, 2)
    weights = {
        "masked_lm": rng.random((case.rows, PREDICTIONS)) < 0.6,
        "next_sentence": np.ones(examples),
    }
    if case.overflow:  # only the second replica has a gradient in the first steps, in which the loss scale is too high
        first_half = np.arange(case.rows) % ROWS < ROWS // 2
        for weight in weights.values():
            weight[first_half & (np.arange(case.rows) < 4 * ROWS)] = 0
    labels = {
        "masked_lm": rng.integers(0, VOCABULARY, (case.rows, PREDICTIONS)),
        "next_sentence": rng.integers(0, 2, examples),
    }
    return _as_type(inputs, "int32"), _as_type(labels, "int32"), _as_type(weights, "float32")


def _as_type(arrays: dict[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    return {name: array.astype(dtype) for name, array in arrays.items()}


def compiled(case: Case, engine: str) -> keras.Model:
    """Returns the network, compiled with the case's optimizer."""
    config = kbs.BertConfig(
        vocab_size=VOCABULARY,
        num_layers=LAYERS,
        hidden_size=16,
        num_heads=2,
        hidden_dropout=case.dropout,
        attention_dropout=case.dropout,
    )
    model = kbs.BertPretrainer(kbs.BertBackbone(config, dtype=case.dtype, packed=case.packed, remat=case.remat))
    options: dict[str, Any] = {"steps_per_execution": case.steps_per_execution, "jit_compile": case.jit}
    if engine == "ours":
        optimizer = (kbs.Lamb if case.lamb else kbs.BertAdamW)(RATE, global_clipnorm=case.clip)
        options["accumulate"] = case.accumulate
    else:
        parts = case.accumulate if case.accumulate > 1 else None
        kind = keras.optimizers.Lamb if case.lamb else keras.optimizers.AdamW
        optimizer = kind(RATE, global_clipnorm=case.clip, gradient_accumulation_steps=parts)
    model.compile(optimizer, **options)
    return model


class Overflow(keras.callbacks.Callback):
    """Sets a float16 loss scale that is far too high for three steps, and then one that is not."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch in (0, 3):
            scale, _ = self.model.optimizer.loss_scale_variables(0.0)
            scale.assign(2.0**40 if batch == 0 else 2.0**10)


class Losses(keras.callbacks.Callback):
    """Records the loss so far that Keras reports after every step, and how many steps of ours were skipped."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.found: list[float] = []
        self.skipped = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.found.append(float(logs["loss"]))
        self.skipped += getattr(self.model.train_function, "skipped_now", 0)


def trained(case: Case, engine: str, strategy: tf.distribute.Strategy) -> dict[str, np.ndarray]:
    """Trains, and returns losses and final weights."""
    keras.utils.set_random_seed(0)
    batches = tf.data.Dataset.from_tensor_slices(data(case)).batch(ROWS)
    workers = strategy.cluster_resolver.cluster_spec().num_tasks("worker") if strategy.cluster_resolver else 1
    if workers > 1:

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            worker, of = context.input_pipeline_id, context.num_input_pipelines

            def share(values: Any) -> Any:
                rows = tf.shape(values)[0]
                return values[worker * rows // of : (worker + 1) * rows // of]

            return batches.map(lambda *batch: tf.nest.map_structure(share, batch))

        batches = strategy.distribute_datasets_from_function(of_worker)
    with strategy.scope():
        model = compiled(case, engine)
    losses = Losses()
    steps = -(-case.rows // ROWS)
    callbacks = [losses, Overflow()] if case.overflow and engine == "ours" else [losses]
    model.fit(batches, steps_per_epoch=steps, verbose=0, shuffle=False, callbacks=callbacks)
    weights = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables}
    return {"losses": np.array(losses.found), "skipped": np.array(losses.skipped), **weights}


def work(kind: str, cases: list[str], engines: list[str], workers: str, index: int | None, out: Path) -> None:
    """Trains all cases in this process, and writes the results."""
    if kind == "two workers":
        strategy = make_strategy("multiworker", workers.split(","), index)
    elif kind == "mirrored":
        strategy = make_strategy("mirrored", virtual_devices=2)
    else:
        strategy = make_strategy("none")
    for engine in engines:
        for name in cases:
            file = out / f"{engine}-{kind}-{name}"
            try:
                np.savez(f"{file}.npz", **trained(CASES[name], engine, strategy))
            except Exception as error:
                lines = [line.strip() for line in str(error).splitlines() if line.strip()]
                file.with_suffix(".txt").write_text(f"{type(error).__name__}: {lines[0] if lines else ''}")


def measure(kinds: list[str], cases: list[str], engines: list[str]) -> dict[str, dict[str, Any]]:
    """Returns for each engine, kind and case the differences from one device, or the error."""
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)

        def start(kind: str, *more: str) -> subprocess.Popen:
            words = ["--work", kind, "--cases", ",".join(cases), "--engines", ",".join(engines), "--out", folder]
            return subprocess.Popen([sys.executable, __file__, *words, *more], stderr=subprocess.DEVNULL)

        for kind in ("one device", *kinds):
            if kind == "two workers":
                listed = ",".join(f"localhost:{port}" for port in free_ports())
                running = [start(kind, "--workers", listed, "--index", str(index)) for index in (0, 1)]
            else:
                running = [start(kind)]
            for process in running:
                try:
                    process.wait(SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
        for engine in engines:
            for kind in kinds:
                for name in cases:
                    found[f"{engine}, {kind}, {name}"] = compare(
                        out / f"{engine}-one device-{name}", out / f"{engine}-{kind}-{name}"
                    )
    return found


def compare(one: Path, several: Path) -> dict[str, Any]:
    """Returns the largest differences, or what went wrong."""
    for file in (one, several):
        if not Path(f"{file}.npz").exists():
            report = file.with_suffix(".txt")
            return {"error": report.read_text() if report.exists() else "no result: the process hung or was killed"}
    expected, found = np.load(f"{one}.npz"), np.load(f"{several}.npz")
    size = min(len(expected["losses"]), len(found["losses"]))
    losses = [of["losses"][:size] for of in (expected, found)]
    if not np.array_equal(*np.isnan(losses)):  # the loss is NaN until the first step that was not skipped
        return {"error": "different steps were skipped"}
    loss = np.nanmax(np.abs(losses[0] - losses[1]))
    weight = max(np.abs(expected[name] - found[name]).max() for name in expected.files if "/" in name)
    return {"weight": float(weight), "loss": float(loss), "skipped": int(found["skipped"])}


def free_ports() -> list[int]:
    """Returns two free ports."""
    with socket.socket() as a, socket.socket() as b:
        for one in (a, b):
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in (a, b)]


def shown(result: dict[str, Any]) -> str:
    """Formats a cell of the table."""
    return result["error"][:60] if "error" in result else f"{result['weight']:.1e} / {result['loss']:.1e}"


def main(
    cases: Annotated[str, typer.Option(help="Cases, separated by commas; default: all.")] = "",
    kinds: Annotated[str, typer.Option()] = ",".join(KINDS),
    engines: Annotated[str, typer.Option()] = ",".join(ENGINES),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
    work_kind: Annotated[str, typer.Option("--work", hidden=True)] = "",
    workers: Annotated[str, typer.Option(hidden=True)] = "",
    index: Annotated[int | None, typer.Option(hidden=True)] = None,
    out: Annotated[Path, typer.Option(hidden=True)] = Path(),
) -> None:
    """Measure and print the table."""
    # Not split at commas: the name of a case may contain one.
    names = [name for name in CASES if not cases or name in cases]
    if work_kind:
        work(work_kind, names, engines.split(","), workers, index, out)
        return
    found = measure(kinds.split(","), names, engines.split(","))
    if as_json:
        print(json.dumps(found))
        return
    table = Table("case", title="largest difference from one device: of a weight / of a step's loss")
    columns = [(engine, kind) for engine in engines.split(",") for kind in kinds.split(",")]
    for engine, kind in columns:
        table.add_column(f"{engine}, {kind}", overflow="fold")
    for name in names:
        table.add_row(name, *(shown(found[f"{engine}, {kind}, {name}"]) for engine, kind in columns))
    Console(width=150).print(table)


if __name__ == "__main__":
    typer.run(main)
