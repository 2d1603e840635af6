"""Memory of a training step, and how many rows fit in 12 GB: BERT's README has such a table for a GPU.

    python benchmarks/memory.py
    python benchmarks/memory.py --preset bert-large --length 512

Each case is a separate process that makes a pretrainer and runs one step on made-up rows, with dropout, no padding and
a vocabulary of 30,522. It reports the peak resident memory, including TensorFlow itself (about 0.7 GB). Two numbers of
rows define a straight line, from which the number of rows at 12 GB is computed. Weights, two moments and the gradient
take 16 bytes per parameter, for any number of rows: 5.4 GB for bert-large.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
import tensorflow as tf
import typer
from rich.console import Console
from rich.table import Table

import keras_bert_scratch as kbs

VOCAB_SIZE, BOUND = 30_522, 12e9
OF_A_ROW_AT_LEAST = 30e6  # anything less is noise
ROWS = {"bert-base": (2, 6), "bert-large": (1, 3)}
OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "--accumulate, a row at a time": {"one_by_one": True},
    "--remat": {"remat": True},
    "--remat --dtype bfloat16": {"remat": True, "dtype": "mixed_bfloat16"},
}


def work(preset: str, length: int, rows: int, remat: bool = False, one_by_one: bool = False, dtype: Any = None) -> None:
    """Runs a step; prints the peak in bytes and the seconds."""
    keras.utils.set_random_seed(0)
    config = kbs.BertConfig.preset(preset, vocab_size=VOCAB_SIZE)
    model = kbs.BertPretrainer(kbs.BertBackbone(config, dtype=dtype, remat=remat))
    model.compile(kbs.BertAdamW(), accumulate=rows if one_by_one else 1)
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, VOCAB_SIZE, (rows, length)).astype("int32")
    positions = np.tile(np.arange(1, 1 + length * 15 // 100, dtype="int32"), (rows, 1))
    inputs = {"token_ids": tokens, "segment_ids": 0 * tokens, "padding_mask": np.ones_like(tokens)}
    labels = {"masked_lm": rng.integers(5, VOCAB_SIZE, positions.shape), "next_sentence": rng.integers(0, 2, rows)}
    batches = tf.data.Dataset.from_tensors(({**inputs, "mask_positions": positions}, labels))
    start = time.perf_counter()
    model.fit(batches, verbose=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in kB
    print(json.dumps({"peak": peak, "seconds": time.perf_counter() - start}))


def measured(**case: Any) -> dict[str, float]:
    """Runs a case in a separate process and returns what it measured."""
    command = [sys.executable, __file__, "--only", json.dumps(case)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


def main(
    preset: Annotated[list[str] | None, typer.Option(help="Sizes of BERT; can be repeated.")] = None,
    length: Annotated[int, typer.Option(help="Tokens per row.")] = 512,
    only: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Measure and print the table."""
    if only:
        work(**json.loads(only))
        return
    table = Table("sizes", title=f"peak memory of a step, rows of {length}")
    for column in ("options", "rows", "GB", "rows", "GB", "rows in 12 GB", "s, first step"):
        table.add_column(column, justify="right")
    for name in preset or ROWS:
        few, many = ROWS[name]
        for options, settings in OPTIONS.items():
            case = {"preset": name, "length": length, **settings}
            small, large = measured(rows=few, **case), measured(rows=many, **case)
            of_a_row = (large["peak"] - small["peak"]) / (many - few)
            fit = f"{few + (BOUND - small['peak']) // of_a_row:.0f}" if of_a_row > OF_A_ROW_AT_LEAST else "many"
            cells = [str(few), f"{small['peak'] / 1e9:.2f}", str(many), f"{large['peak'] / 1e9:.2f}"]
            table.add_row(name, options, *cells, fit, f"{large['seconds']:.0f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    typer.run(main)
