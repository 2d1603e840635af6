"""Trial: one set of all settings of a fine-tuning except the seed, and its run."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.models.backbone import BertBackbone
from keras_bert_scratch.tasks.data.batches import TaskData
from keras_bert_scratch.tasks.evaluation import rounded
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.fine_tuning import ROWS_OF_TOKENS, FineTuning
from keras_bert_scratch.tasks.task import Task
from keras_bert_scratch.training.evaluation import PeriodicEvaluation
from keras_bert_scratch.training.loop import Phase
from keras_bert_scratch.training.options import RunOptions
from keras_bert_scratch.training.resumable import run_training, tokenizer_settings
from keras_bert_scratch.training.run_directory import BEST_FOLDER, RunDirectory, start_settings
from keras_bert_scratch.training.strategies import check_batch, is_chief


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """Everything that a fine-tuning run needs except its seed; the data are already read.

    Args:
        task: Task.
        init: path of a pretrained model's folder, or a BertConfig for random weights.
        train: TaskData. The training data.
        dev: TaskData or None. The data to evaluate on after each epoch.
        how: FineTuning. Epochs, batch size, learning rates.
        options: RunOptions. Dtype, saving and what else surrounds the steps.
        strategy: from `make_strategy`.
        baselines: returns the scores of simple baselines on `dev`, by name.
    """

    task: Task
    init: Any
    train: TaskData
    dev: TaskData | None
    how: FineTuning
    options: RunOptions
    strategy: tf.distribute.Strategy
    baselines: Callable[[], Mapping[str, Any]]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings with which a run of this trial can be resumed."""
        dev, how = self.dev, self.how
        return {
            "task": self.task.name,
            **start_settings(self.init),
            **tokenizer_settings(self.train.tokenizer),
            "spec": self.train.spec.to_dict(),
            "examples": self.train.examples.digest,
            "dev": dev.examples.digest if dev else None,
            **({"batch_tokens": how.batch_tokens} if how.batch_tokens else {"batch_size": how.batch_size}),
            "epochs": how.epochs,
            "freeze_layers": how.freeze_layers,
            "patience": how.patience,
            "training": vars(how.training_options(self.steps_per_epoch)),
            "dtype": self.options.dtype,
        }

    @functools.cached_property
    def batching(self) -> dict[str, int]:
        """The batch size, as arguments for the methods of `TaskData`."""
        if self.how.batch_tokens is None:
            return {"batch_size": self.how.batch_size}
        multiple = math.lcm(ROWS_OF_TOKENS, self.strategy.num_replicas_in_sync)
        return {"batch_size": multiple, "batch_tokens": self.how.batch_tokens}

    @functools.cached_property
    def steps_per_epoch(self) -> float:
        return self.train.num_batches(**self.batching)

    def check(self) -> None:
        """Raises `UserError` for settings that can be rejected before a folder is created."""
        if self.how.batch_tokens is None:
            check_batch(self.strategy, self.how.batch_size)
        self.how.training_options(self.steps_per_epoch)
        if self.how.patience is not None and self.dev is None:
            raise UserError("`patience`: needs `dev`, data to evaluate on after each epoch")
        if self.dev is None and (name := self.task.tuned_option(self.train.spec)):
            raise UserError(f"`{name}`: needs `dev`, data to tune it on")
        config = self.init if isinstance(self.init, BertConfig) else read_checkpoint(self.init).config
        config.check_length(self.how.max_length)
        config.check_vocabulary(len(self.train.tokenizer.vocabulary), self.train.tokenizer.vocabulary.origin)
        if len(self.train.spec.columns) > 1:
            config.check_pairs()
        layers = self.how.freeze_layers
        if config.num_layers < layers:
            raise UserError(f"`freeze_layers`: the model has {config.num_layers} layers, not {layers}")

    def record_baselines(self, run: RunDirectory) -> None:
        """Adds the scores of the baselines to the run's results, unless they are there."""
        if self.dev is None or not is_chief(self.strategy) or "baselines" in run.results:
            return
        if found := self.baselines():
            run.add_results(baselines=found)

    def run(self, out: AnyPath, seed: int) -> RunDirectory:
        """Fine-tunes with one seed in the folder `out`, or resumes the run there; returns the finished run."""
        how = self.how
        return run_training(
            out,
            self.settings,
            self._build,
            functools.partial(self._prepare, seed),
            [Phase(self._batches(seed), None if how.batch_tokens else how.batch_size)],
            self._complete,
            how.training_options(self.steps_per_epoch),
            self.options,
            seed,
            self.strategy,
            title="fine-tuning",
        )

    def _batches(self, seed: int) -> Callable[[int, int, int], tf.data.Dataset]:
        def batches(first_step: int, worker: int, num_workers: int) -> tf.data.Dataset:
            return self.train.training_batches(
                seed=seed, first_step=first_step, worker=worker, num_workers=num_workers, **self.batching
            )

        return batches

    def _build(self) -> Any:
        spec, tokenizer = self.train.spec, self.train.tokenizer
        model = self.task.new_model(spec, self.init, tokenizer, self.options.dtype_policy, self.options.remat)
        model.objectives = self.task.objectives(self.train.spec, model)
        _freeze(model.backbone, self.how.freeze_layers)
        return model

    def _prepare(self, seed: int, run: RunDirectory, model: Any) -> PeriodicEvaluation | None:
        if "non_padding_fraction" not in run.results:
            fraction = round(self.train.non_padding_fraction(seed=seed, **self.batching), 4)
            run.add_results(**self.train.notes, non_padding_fraction=fraction)
        self.record_baselines(run)
        return self._evaluation(run, model)

    def _evaluation(self, run: RunDirectory, model: Any) -> PeriodicEvaluation | None:
        if self.dev is None:
            return None
        examples = self.dev.examples
        tuned = FineTuned(self.task.inference_model(model), self.train.tokenizer, self.train.spec)
        chief = is_chief(self.strategy)
        results: dict[str, Any] = {}  # of the last evaluation; decide open options of the saved model

        def measure() -> dict[str, Any]:
            results.update(tuned.evaluate(examples))
            return dict(results)

        return PeriodicEvaluation(
            run,
            self.steps_per_epoch,
            measure,
            lambda folder: tuned.resolve_options(results).save(folder),
            self.task.best_by,
            self.how.patience,
            writes=chief,
            measures=chief,
        )

    def _complete(self, run: RunDirectory, model: Any, steps: int) -> dict[str, Any]:
        if not is_chief(self.strategy):
            return {}
        evaluation = self._evaluation(run, model)
        if evaluation is None:
            inference_model = self.task.inference_model(model)
            FineTuned(inference_model, self.train.tokenizer, self.train.spec).resolve_options({}).save(run.folder)
            return {"dev": None}
        if not evaluation.patience_spent:
            evaluation.evaluate(steps)  # does nothing if an epoch ended with this step
        best = FineTuned.load(run.folder / BEST_FOLDER, self.options.dtype)
        results = {"dev": {name: value for name, value in run.results["best"].items() if name != "step"}}
        if self.task.tuned_option(self.train.spec):
            best, results["tuned_on_dev"] = self._tuned(best)
            best.save(run.folder / BEST_FOLDER)
        best.save(run.folder)
        return results

    def _tuned(self, best: FineTuned) -> tuple[FineTuned, dict[str, Any]]:
        """The best epoch's model with its options tuned on `dev`; and these options, with its metrics on `dev`."""
        before, examples = self.train.spec, self.dev.examples
        # Not with the spec that was loaded: a process that died here may have tuned that already.
        tuned = dataclasses.replace(best, spec=before).tuned(examples)
        found = {name: value for name, value in tuned.spec.options.items() if value != before.options[name]}
        return tuned, {"options": rounded(found), **tuned.evaluate(examples)}


def _freeze(backbone: BertBackbone, layers: int) -> None:
    """Freezes the embeddings and the lowest `layers` blocks, if `layers` is not 0."""
    if layers:
        for tower in backbone.towers:
            for layer in (tower.embeddings, *tower.blocks[:layers]):
                layer.trainable = False
