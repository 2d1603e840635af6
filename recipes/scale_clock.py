"""A run in simulated time: the sequence of its steps, saved states and lost workers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

START, STEP, KEPT, LOST = "start", "step", "kept", "lost"


class Times(NamedTuple):
    """Durations in simulated seconds.

    Args:
        step: duration of a step.
        interval: work between states, as `--save-every`.
        saving: time to save a state, while all workers wait.
        restart: time from a loss to the next step.
        between: mean time from a worker's start to its loss.
    """

    step: float
    interval: float
    saving: float
    restart: float
    between: float


class Event(NamedTuple):
    """An event: `START` of all workers, a completed `STEP`, a state saved (`KEPT`), a worker `LOST`.

    Args:
        kind: str. One of these.
        step: int. The number of steps in the weights then; after a loss, that of the last state.
        workers: int. How many there are.
        clock: float. Seconds since the beginning.
    """

    kind: str
    step: int
    workers: int
    clock: float


def events(first_step: int, steps: int, workers: Sequence[int], times: Times, seed: int) -> Iterator[Event]:
    """The events of a run of so many steps.

    Workers are lost at random times, during a step, while a state is saved or during a restart, each independently of
    the others. All workers then go back to the last state that was saved completely.

    Args:
        first_step: int. Where the run begins.
        steps: int. How many it makes.
        workers: sequence of int. How many there are at the first start, at the second and so on, cyclically.
        times: `Times`.
        seed: int. Seed of the losses.
    """
    draw = random.Random(seed)
    clock, kept, starts = 0.0, first_step, 0
    while True:
        number = workers[starts % len(workers)]
        lost_at = clock + draw.expovariate(number / times.between)
        if starts:
            clock += times.restart
        starts += 1
        if clock < lost_at:
            yield Event(START, kept, number, clock)
            step, worked = kept, 0.0
            while clock + times.step < lost_at:
                clock, step, worked = clock + times.step, step + 1, worked + times.step
                yield Event(STEP, step, number, clock)
                if worked >= times.interval or step == first_step + steps:
                    if clock + times.saving >= lost_at:
                        break
                    clock, kept, worked = clock + times.saving, step, 0.0
                    yield Event(KEPT, kept, number, clock)
                    if step == first_step + steps:
                        return
        clock = lost_at
        yield Event(LOST, kept, number, clock)
