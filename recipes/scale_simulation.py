"""Simulates thousands of workers and shards: is each example seen once, whoever is lost and however many resume?

    python recipes/scale_simulation.py --workers 3000,2000,1000 --shards 4000 --batch 6000 --worker-hours 3000

The library's own code determines the order, with generated documents instead of files: the plans of the shards
(`ShardPlan`), the stream (`PretrainingRecords.rows`, `row_ranges_from`), each worker's slices (`first_row_of`,
`slices_of`) and the counts of rows, here in memory. Networks, time and losses are simulated: a step stands for ten
minutes. A lost worker stops all workers in mid-step, when half of them have already read their rows; all then resume
from the last state, with the next number of `--workers`. At the end the script prints how often each row of each epoch
is in the weights, how many shards a resumed process had to plan, and the time lost, compared with the formula of
`scale_formulas.py`. Cost: seconds with ten workers and a hundred shards, a minute and a half for the command above.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from scale_clock import KEPT, LOST, START, STEP, Times, events
from scale_formulas import lost_fraction

from keras_bert_scratch.commands.main import handle_errors
from keras_bert_scratch.data.batch_shares import local_batch_size
from keras_bert_scratch.data.pretraining.reader import PLANS, PretrainingRecords
from keras_bert_scratch.data.pretraining.row_counts import RowCounts
from keras_bert_scratch.data.pretraining.row_stream import Shards, first_row_of, row_ranges_from, slices_of
from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.data.pretraining.shard_plan import ShardPlan
from keras_bert_scratch.data.records.schema import Documents, Manifest
from keras_bert_scratch.errors import UserError

LENGTH = 128
LONG_STEPS = 200_000  # of the run that is compared with the formula


class InventedRecords(PretrainingRecords):
    """Records whose documents are generated on request; `planned` counts the plans that were made.

    Args:
        num_shards: int. How many shards there are.
        row_counts: dict. Stores the counts of rows, instead of a file.
    """

    def __init__(self, num_shards: int, row_counts: dict[Any, RowCounts]) -> None:
        self.directory, self.on_corrupt = Path("invented"), "skip"  # so that no file is written
        shards = [{"sha256": f"shard {number}"} for number in range(num_shards)]
        self.manifest = Manifest("", 30_522, True, shards, {}, {}, "")
        self._row_counts = row_counts
        self.planned = 0

    def documents(self, shard: int) -> Documents:
        """About ten documents."""
        draw = np.random.default_rng(shard)
        document_lengths = draw.integers(1, 12, draw.integers(2, 20))
        sentence_lengths = draw.integers(5, 40, document_lengths.sum())
        return Documents(np.zeros(sentence_lengths.sum(), np.uint16), sentence_lengths, document_lengths)

    def _plan(self, *arguments: Any) -> ShardPlan:
        self.planned += 1
        return super()._plan(*arguments)


class Fleet:
    """The streams of all workers; what each would compute for itself is computed once for all of them."""

    def __init__(self, num_shards: int, batch: int, seed: int, rules: ExampleRules) -> None:
        self._num_shards, self._batch, self._seed, self._rules = num_shards, batch, seed, rules
        self._row_counts: dict[Any, RowCounts] = {}
        self._row_ranges: dict[tuple[int, int], list[Any]] = {}

    def records(self) -> InventedRecords:
        """The records as a new process opens them, with the counts that others have stored."""
        return InventedRecords(self._num_shards, self._row_counts)

    def rows(self, records: InventedRecords) -> Shards[Any]:
        """The stream of these records."""
        return records.rows(LENGTH, self._seed, self._rules)

    def start(self, step: int, workers: int) -> list[Iterator[list[tuple[Any, np.ndarray]]]]:
        """The slices of each worker, from `step` on."""
        shards, counts = self.rows(self.records()), {}

        def row_ranges(shard: int, epoch: int, start: int, first_row: int) -> list[Any]:
            if (epoch, shard) not in self._row_ranges:
                self._row_ranges[epoch, shard] = list(shards.row_ranges(shard, epoch, start, first_row))
            return self._row_ranges[epoch, shard]

        def num_rows(shard: int, epoch: int) -> int:
            key = shard, epoch % PLANS
            if key not in counts:
                counts[key] = shards.num_rows(shard, epoch)
            return counts[key]

        shared = shards._replace(row_ranges=row_ranges, num_rows=num_rows)
        starts = [first_row_of(self._batch, step, worker, workers) for worker in range(workers)]
        rows = local_batch_size(self._batch, workers)
        return [slices_of(row_ranges_from(first, shared, self._seed), first, self._batch, rows) for first in starts]

    @functools.cache  # noqa: B019
    def size(self, plan: int) -> int:
        """How many rows an epoch of this plan has, counted separately, shard by shard."""
        shards = self.rows(InventedRecords(self._num_shards, {}))
        return sum(shards.num_rows(shard, plan) for shard in range(self._num_shards))

    def plans_before_the_first_batch(self, step: int) -> int:
        """How many plans a new process computes before it has the first row of a step."""
        records, first = self.records(), step * self._batch
        next(slices_of(row_ranges_from(first, self.rows(records), self._seed), first, self._batch, 1))
        return records.planned


class Seen:
    """How often each row is in the weights: a loss undoes what came after the last state, as it does in training."""

    def __init__(self) -> None:
        self._kept: collections.defaultdict[tuple[int, int], np.ndarray] = collections.defaultdict(lambda: np.zeros(0))
        self._since: list[tuple[int, int, np.ndarray, int]] = []

    def add(self, taken: list[tuple[Any, np.ndarray]]) -> None:
        """Adds the rows of a worker's slice of a completed step."""
        for source, rows in taken:
            *_, epoch, shard = source.key
            self._since.append((epoch, shard, rows, source.plan.num_rows))

    def keep(self) -> None:
        """A state was saved."""
        for epoch, shard, rows, size in self._since:
            if not len(self._kept[epoch, shard]):
                self._kept[epoch, shard] = np.zeros(size, np.int64)
            np.add.at(self._kept[epoch, shard], rows, 1)
        self._since.clear()

    def lose(self) -> int:
        """A worker was lost; returns how many rows must be read again."""
        rows = sum(len(rows) for _, _, rows, _ in self._since)
        self._since.clear()
        return rows

    def of_epoch(self, epoch: int) -> np.ndarray:
        """How often each row was seen, for the shards that were reached."""
        return np.concatenate([times for (of, _), times in self._kept.items() if of == epoch] or [np.zeros(0)])

    @property
    def epochs(self) -> list[int]:
        """The epochs from which rows were seen."""
        return sorted({epoch for epoch, _ in self._kept})


class Outcome(NamedTuple):
    """The result of a run.

    Args:
        first_step, steps: int. The first step of the run, and how many steps it had.
        starts: int. How often all workers were started.
        rows_again: int. How many rows were read again after losses.
        plans: list of int. For each start, how many plans a process computed before its first batch.
        lost: float. The fraction of the time that was not work.
        times_seen: dict. For each epoch, how often each row is in the weights; without the rows of shards not reached.
        sizes: dict. For each epoch, how many rows it has.
    """

    first_step: int
    steps: int
    starts: int
    rows_again: int
    plans: list[int]
    lost: float
    times_seen: dict[int, np.ndarray]
    sizes: dict[int, int]


def simulate(
    workers: Sequence[int],
    num_shards: int,
    batch: int,
    epochs: float,
    first_epoch: int,
    times: Times,
    seed: int,
    rules: ExampleRules,
) -> Outcome:
    """Simulates a run from the first complete step of `first_epoch` on."""
    fleet, seen = Fleet(num_shards, batch, seed, rules), Seen()
    first_step = -(-sum(fleet.size(epoch % PLANS) for epoch in range(first_epoch)) // batch)
    steps = round(epochs * fleet.size(first_epoch % PLANS) / batch)
    rows_again, clock, plans, streams = 0, 0.0, [], []
    for event in events(first_step, steps, workers, times, seed):
        clock = event.clock
        if event.kind == START:
            plans.append(fleet.plans_before_the_first_batch(event.step))
            streams = fleet.start(event.step, event.workers)
        elif event.kind == STEP:
            for stream in streams:
                seen.add(next(stream))
        elif event.kind == KEPT:
            seen.keep()
        elif event.kind == LOST:
            for stream in streams[::2]:
                next(stream)  # half of the workers had read their rows when one was lost; the step was not completed
            rows_again += seen.lose()
    times_seen = {epoch: seen.of_epoch(epoch) for epoch in seen.epochs}
    sizes = {epoch: fleet.size(epoch % PLANS) for epoch in times_seen}
    lost = 1 - steps * times.step / clock
    return Outcome(first_step, steps, len(plans), rows_again, plans, lost, times_seen, sizes)


def report(outcome: Outcome, batch: int) -> Iterator[str]:
    """The outcome, line by line."""
    last = outcome.first_step + outcome.steps
    yield f"steps {outcome.first_step:,} to {last:,}, {batch:,} rows each"
    yield f"{outcome.starts:,} starts; {outcome.rows_again:,} rows were read again after losses"
    for epoch, found in outcome.times_seen.items():
        once, more, size = int((found == 1).sum()), int((found > 1).sum()), outcome.sizes[epoch]
        yield f"epoch {epoch}: {once:,} of {size:,} rows are in the weights once, {more:,} more than once"
    total = sum(int(found.sum()) for found in outcome.times_seen.values())
    yield f"rows in the weights: {total:,}; rows of all steps: {outcome.steps * batch:,}"
    first, *resumed = outcome.plans
    again = f"; after a resume, at most {max(resumed):,}" if resumed else ""
    yield f"shards planned before the first batch: {first:,}{again}"
    yield f"time lost: {outcome.lost:.1%}"


def compared(workers: int, times: Times, seed: int) -> str:
    """The time lost in a long run, simulated without rows, compared with the formula."""
    clock = losses = 0.0
    for event in events(0, LONG_STEPS, [workers], times, seed):
        clock = event.clock
        losses += event.kind == LOST
    formula = lost_fraction(times.interval, times.saving, times.restart, times.between / workers)
    found = 1 - LONG_STEPS * times.step / clock
    return f"{LONG_STEPS:,} steps, {losses:,.0f} losses: {found:.2%} of the time lost, by the formula {formula:.2%}"


def main(
    workers: Annotated[str, typer.Option(help="Number of workers at each start, as 10,5.")] = "10,5",
    shards: Annotated[int, typer.Option(help="Number of shards.", min=1)] = 100,
    batch: Annotated[int, typer.Option(help="Rows per step, a multiple of each number of workers.", min=1)] = 40,
    epochs: Annotated[float, typer.Option(help="Number of epochs to train.", min=0.5)] = 2.5,
    first_epoch: Annotated[int, typer.Option(help="The first epoch; plans repeat after ten.", min=0)] = 0,
    packing: Annotated[bool, typer.Option("--packing", help="Several examples per row.")] = False,
    worker_hours: Annotated[float, typer.Option(help="Mean simulated hours until a worker is lost.", min=1)] = 20.0,
    seed: Annotated[int, typer.Option(help="Seed of order, pairs and losses.")] = 0,
) -> None:
    """Simulate and print."""
    numbers = [int(number) for number in workers.split(",") if number.isdecimal() and int(number)]
    if len(numbers) < len(workers.split(",")):
        raise UserError(f"`workers`: must be numbers from 1 on, such as 10,5, not {workers!r}")
    times = Times(step=600.0, interval=3600.0, saving=60.0, restart=300.0, between=worker_hours * 3600)
    outcome = simulate(numbers, shards, batch, epochs, first_epoch, times, seed, ExampleRules(packing=packing))
    print(*report(outcome, batch), sep="\n")
    print(compared(numbers[0], times, seed))


if __name__ == "__main__":
    typer.run(handle_errors(main))
