"""A run in fake time: steps, states and losses of workers, one after another."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

START, STEP, KEPT, LOST = "start", "step", "kept", "lost"


class Times(NamedTuple):
    """Seconds, all of them fake.

    Args:
        step: of a step.
        interval: of work between states, as `--save-every`.
        saving: to keep a state, while all wait.
        restart: from a loss to the next step.
        between: mean time from a worker's start to its loss.
    """

    step: float
    interval: float
    saving: float
    restart: float
    between: float


class Event(NamedTuple):
    """What happens: `START` of all workers, a `STEP` made, a state `KEPT`, a worker `LOST`.

    Args:
        kind: str. One of these.
        step: int. How many steps the weights have then; of a loss those of the last state.
        workers: int. How many there are.
        clock: float. Seconds since the beginning.
    """

    kind: str
    step: int
    workers: int
    clock: float


def events(first_step: int, steps: int, workers: Sequence[int], times: Times, seed: int) -> Iterator[Event]:
    """The events of a run of so many steps.

    Losses come at random moments, in a step, while a state is kept or at a restart, each worker's independent of the
    others'. All workers then go back to the last state that was kept whole.

    Args:
        first_step: int. Where the run begins.
        steps: int. How many it makes.
        workers: sequence of int. How many there are at the first start, at the second and so on, in turn.
        times: `Times`.
        seed: int. Of the losses.
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
