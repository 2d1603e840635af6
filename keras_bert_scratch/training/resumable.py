"""What pretraining and fine-tuning share: a run folder filled by one training, resumable, under any strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.training.curves import plot_curves
from keras_bert_scratch.training.evaluation import PeriodicEvaluation
from keras_bert_scratch.training.loop import Phase, train
from keras_bert_scratch.training.options import RunOptions, TrainingOptions, check_seed
from keras_bert_scratch.training.random_state import seeded
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.strategies import from_chief, is_chief, lost_workers_named

CURVES_FILE = "curves.png"


def run_training(
    out: AnyPath | str,
    settings: dict[str, Any],
    build: Callable[[], keras.Model],
    prepare: Callable[[RunDirectory, Any], PeriodicEvaluation | None],
    phases: Sequence[Phase],
    complete: Callable[[RunDirectory, Any, int], dict[str, Any]],
    training: TrainingOptions,
    options: RunOptions,
    seed: int,
    strategy: tf.distribute.Strategy,
    title: str,
) -> RunDirectory:
    """Trains a model in the folder `out`, or continues what an interrupted call of the same settings left there.

    Args:
        out: the run's folder.
        settings: what was asked for; continuing needs the same. Training options, dtype and seed are added.
        build: makes the model, under the strategy's scope; all random numbers come from `seed`.
        prepare: called with run and model before the first step; gives what measures while training, if anything does.
        phases: the batches.
        complete: called with run, model and the number of steps after the last one; writes the model if this process
            is the chief, and gives the results.
        training: how long and how fast.
        options: what surrounds the steps.
        seed: of weights and dropout.
        strategy: from `make_strategy`.
        title: what the progress line calls it.

    Returns: the finished run.

    Raises:
        UserError: `out` holds something else.
        Stopped, WorkerLostError: the run was asked to stop, or another worker is gone.
    """
    check_seed(seed)
    settings = {**settings, "training": vars(training), "dtype": options.dtype, "seed": seed}
    chief = is_chief(strategy)
    run = RunDirectory(out, settings, writes=chief)
    if run.finished:
        return run
    with run, lost_workers_named(strategy, run.path):
        with seeded(seed), strategy.scope():
            model = build()
        evaluation = prepare(run, model)
        steps = train(model, phases, run, training, options, title, evaluation)
        results = {"steps": steps, **complete(run, model, steps)}
        if chief:
            run.note(**results)  # of what was measured at the end there is a point, too
            plot_curves({run.path.name: run.folder}, run.folder / CURVES_FILE)
        run.finish(results)
        from_chief(strategy, steps)  # a barrier: a chief that is killed while it writes finds the others still there
    return run
