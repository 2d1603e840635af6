"""Time to the first batch, at step 0 and at a late step: of records that were never read, and again.

    keras-bert tfrecords $(yes shared/data/books/train | head -22) --documents files --vocab vocab.txt --out records
    python benchmarks/late_steps.py records

Every measurement is a separate process, timed from the opening of the records to the first batch, without imports. The
stored row counts (`.row_counts`) are removed before, then computed by the first late step, once for each length, seed
and rule; a run that trains from step 0 computes them along the way.
"""

from __future__ import annotations

import multiprocessing
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

BATCH = 32
SPAWN = multiprocessing.get_context("spawn")


def first_batch_seconds(records: Path, length: int, packing: bool, step: int) -> float:
    """Returns the seconds from the opening of the records to the batch of `step`."""
    import keras_bert_scratch as kbs
    from keras_bert_scratch.data.pretraining.reader import PretrainingRecords

    rules = kbs.ExampleRules(packing=packing)
    start = time.perf_counter()
    batches = PretrainingRecords(records).batches(BATCH, length, first_step=step, rules=rules)
    next(batches.as_numpy_iterator())
    return time.perf_counter() - start


def main(
    records: Annotated[Path, typer.Argument(help="Records, built by keras-bert tfrecords.")],
    length: Annotated[int, typer.Option(help="Tokens per row.")] = 128,
    step: Annotated[int, typer.Option(help="The late step.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the best one counts. Rows are counted once.")] = 3,
) -> None:
    """Measure and print."""
    from keras_bert_scratch.data.records.schema import Manifest

    manifest = Manifest.load(records)
    title = f"seconds to the first batch; {manifest.total('tokens'):,} tokens in {len(manifest.shards)} shards"
    table = Table("rows", "step 0", f"step {step:,}, rows to be counted", f"step {step:,} after that", title=title)

    def best(times: int, packing: bool, step: int) -> float:
        with SPAWN.Pool(1, maxtasksperchild=1) as pool:
            jobs = [(records, length, packing, step)] * times
            return min(pool.starmap(first_batch_seconds, jobs, chunksize=1))

    for packing, name in ((False, "pairs"), (True, "pairs, packing")):
        shutil.rmtree(records / ".row_counts", ignore_errors=True)
        first, counting, late = best(rounds, packing, 0), best(1, packing, step), best(rounds, packing, step)
        table.add_row(name, *(f"{seconds:.2f}" for seconds in (first, counting, late)))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
