"""run_training: a resumable training in a run's folder, under any strategy; used by pretraining and fine-tuning."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.progress import print_progress
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.training.curves import plot_curves
from keras_bert_scratch.training.evaluation import PeriodicEvaluation
from keras_bert_scratch.training.loop import Phase, train
from keras_bert_scratch.training.options import RunOptions, TrainingOptions, check_seed
from keras_bert_scratch.training.random_state import seeded
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.strategies import converting_worker_errors, from_chief, is_chief

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
    """Trains a model in the folder `out`, or resumes an interrupted run with the same settings there.

    Args:
        out: the run's folder.
        settings: the requested settings; resuming needs the same ones. Training options, dtype and seed are added.
        build: builds the model, in the strategy's scope; all random numbers come from `seed`.
        prepare: called with run and model before the first step; returns the periodic evaluation, or `None`.
        phases: the phases, which provide the batches.
        complete: called with run, model and number of steps after the last step; writes the model if this process is
            the chief, and returns the results.
        training: duration, optimizer and learning rate.
        options: how the steps are executed.
        seed: seed of weights and dropout.
        strategy: from `make_strategy`.
        title: the title of the progress line.

    Returns: the finished run.

    Raises:
        UserError: `out` holds something else.
        Stopped, WorkerLostError: SIGTERM was received, or another worker is lost.
    """
    check_seed(seed)
    settings = {**settings, "training": vars(training), "dtype": options.dtype, "seed": seed}
    chief = is_chief(strategy)
    run = RunDirectory(out, settings, writes=chief)
    if run.finished:
        if chief:
            print_progress(f"{run.path}: is finished already; nothing to do")
        return run
    with run, _saying_how_to_resume(run), converting_worker_errors(strategy, run.path):
        with seeded(seed), strategy.scope():
            model = build()
        evaluation = prepare(run, model)
        steps = train(model, phases, run, training, options, title, evaluation)
        results = {"steps": steps, **complete(run, model, steps)}
        if chief:
            run.add_results(**results)  # so that the curves include the final results
            name = (run.path.absolute() if isinstance(run.path, Path) else run.path).name  # "." has none of its own
            plot_curves({name: run.folder}, run.folder / CURVES_FILE)
        run.finish(results)
        from_chief(strategy, steps)  # a barrier: if the chief is killed while it writes, the others have not ended
    return run


def tokenizer_settings(tokenizer: BertTokenizer) -> dict[str, Any]:
    """The settings that record a run's tokenizer: its vocabulary, its word rules, and those of a translator's output.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> tokenizer_settings(BertTokenizer(vocabulary, strip_accents=False))["tokenizer"]
        {'lowercase': True, 'strip_accents': False}
    """
    settings = {
        "vocabulary": tokenizer.vocabulary.sha256,
        "tokenizer": {"lowercase": tokenizer.lowercase, **tokenizer.rules.differences()},
    }
    if tokenizer.own_target is not None:
        settings["tokenizer"]["target"] = tokenizer_settings(tokenizer.own_target)
    return settings


@contextlib.contextmanager
def _saying_how_to_resume(run: RunDirectory) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        message = str(interrupt) or f"{run.path}: interrupted; the same command resumes the run"
        raise KeyboardInterrupt(message) from None
