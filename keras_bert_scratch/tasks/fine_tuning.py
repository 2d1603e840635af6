"""One fine-tuning: how long and how fast, and the run of one seed."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.models.backbone import BertBackbone
from keras_bert_scratch.tasks.data.batches import TaskData
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.task import Task
from keras_bert_scratch.training.evaluation import PeriodicEvaluation
from keras_bert_scratch.training.loop import Phase
from keras_bert_scratch.training.options import RunOptions, TrainingOptions
from keras_bert_scratch.training.resumable import run_training
from keras_bert_scratch.training.run_directory import BEST_FOLDER, RunDirectory
from keras_bert_scratch.training.strategies import is_chief


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """How to fine-tune, beside what `RunOptions` says (Devlin et al. 2019, appendix A.3).

    Args:
        epochs: float, default 3.0. How often to go through the training data.
        batch_size: int, default 32. Rows per step, of all replicas together; the paper tries 16 and 32.
        max_length: int, default 128. Tokens per row at most.
        learning_rate: float, default 5e-5. The highest rate; the paper tries 5e-5, 3e-5 and 2e-5.
        warmup: float, default 0.1. Fraction of the training in which the rate rises.
        bias_correction: bool, default False. Whether to correct Adam's bias.
        layer_decay: float, default 1.0. What the rate is multiplied by per layer downwards.
        freeze_layers: int, default 0. How many of the lowest encoder blocks keep their weights; with 1 or more the
            embeddings do too.
        patience: int or None, default None. After how many epochs without a better model to stop.

    Raises:
        UserError: a value is out of its range; names it.

    Example:
        >>> FineTuning(epochs=2).training_options(num_examples=100).steps
        6
    """

    epochs: float = 3.0
    batch_size: int = 32
    max_length: int = 128
    learning_rate: float = 5e-5
    warmup: float = 0.1
    bias_correction: bool = False
    layer_decay: float = 1.0
    freeze_layers: int = 0
    patience: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.epochs < float("inf"):
            raise UserError(f"`epochs`: must be a number above 0, not {self.epochs}")
        if self.max_length < 3:
            raise UserError(f"`max_length`: must be at least 3, for [CLS], a token and [SEP], not {self.max_length}")
        if self.freeze_layers < 0:
            raise UserError(f"`freeze_layers`: must be at least 0, not {self.freeze_layers}")
        if self.patience is not None and self.patience < 1:
            raise UserError(f"`patience`: must be at least 1, not {self.patience}")

    def training_options(self, num_examples: int) -> TrainingOptions:
        """Steps and rate for so many examples."""
        return TrainingOptions(
            steps=max(1, round(self.epochs * num_examples / self.batch_size)),
            learning_rate=self.learning_rate,
            warmup=self.warmup,
            bias_correction=self.bias_correction,
            layer_decay=self.layer_decay,
        )


def settings_of(init: Any, train: TaskData, dev: TaskData | None, how: FineTuning) -> dict[str, Any]:
    """What a run of this fine-tuning is continued with."""
    return {
        "start": init.to_dict() if isinstance(init, BertConfig) else str(path_of(init)),
        "vocabulary": train.tokenizer.vocabulary.sha256,
        "spec": train.spec.to_dict(),
        "examples": train.examples.digest,
        "dev": dev.examples.digest if dev else None,
        "batch_size": how.batch_size,
        "epochs": how.epochs,
        "freeze_layers": how.freeze_layers,
        "patience": how.patience,
    }


def run_once(
    task: Task,
    init: Any,
    train: TaskData,
    dev: TaskData | None,
    out: AnyPath,
    how: FineTuning,
    options: RunOptions,
    seed: int,
    strategy: tf.distribute.Strategy,
) -> RunDirectory:
    """Fine-tunes with one seed in the folder `out`; arguments as for `finetune`, the data read."""
    chief = is_chief(strategy)
    arguments = task.model_arguments(train.spec)

    def build() -> Any:
        if isinstance(init, BertConfig):
            backbone = BertBackbone(init, dtype=options.dtype_policy, remat=options.remat)
            model = task.model_class(backbone, **arguments)
        else:
            model = task.model_class.from_pretrained(init, dtype=options.dtype_policy, remat=options.remat, **arguments)
        _freeze(model.backbone, how.freeze_layers)
        return model

    def prepare(run: RunDirectory, model: Any) -> PeriodicEvaluation | None:
        if "non_padding_fraction" not in run.results:
            fraction = round(train.non_padding_fraction(how.batch_size, seed), 4)
            run.note(**train.notes, non_padding_fraction=fraction)
        if dev is None:
            return None
        tuned = FineTuned(model, train.tokenizer, train.spec)
        results: dict[str, Any] = {}  # of the last evaluation, which `save` follows

        def measure() -> dict[str, Any]:
            results.update(tuned.evaluate(dev.examples))
            return dict(results)

        return PeriodicEvaluation(
            run,
            len(train) / how.batch_size,
            measure,
            lambda folder: tuned.settled(results).save(folder),
            task.best_by,
            how.patience,
            writes=chief,
            measures=chief,
        )

    def batches(step: int, worker: int, num_workers: int) -> tf.data.Dataset:
        return train.training_batches(how.batch_size, seed, step, worker, num_workers)

    def complete(run: RunDirectory, model: Any, steps: int) -> dict[str, Any]:
        if not chief:
            return {}
        tuned = FineTuned(model, train.tokenizer, train.spec)
        if dev is None:
            tuned.settled({}).save(run.folder)
            return {"dev": None}
        evaluation = prepare(run, model)
        if not evaluation.patience_spent:
            evaluation.evaluate(steps)  # unless an epoch ended with this step
        FineTuned.load(run.folder / BEST_FOLDER).save(run.folder)
        best = run.results["best"]
        return {"dev": {name: value for name, value in best.items() if name != "step"}}

    # What can be refused is refused before the folder is made.
    config = init if isinstance(init, BertConfig) else read_checkpoint(init).config
    config.check_length(how.max_length)
    config.check_vocabulary(len(train.tokenizer.vocabulary), train.tokenizer.vocabulary.origin)
    if len(train.spec.columns) > 1:
        config.check_pairs()
    if config.num_layers < how.freeze_layers:
        raise UserError(f"`freeze_layers`: the model has {config.num_layers} layers, not {how.freeze_layers}")
    settings = {"task": task.name, **settings_of(init, train, dev, how)}
    return run_training(
        out,
        settings,
        build,
        prepare,
        [Phase(batches, how.batch_size)],
        complete,
        how.training_options(len(train)),
        options,
        seed,
        strategy,
        title="fine-tuning",
    )


def _freeze(backbone: BertBackbone, layers: int) -> None:
    """Keeps the embeddings and the lowest blocks as they are."""
    if layers:
        for layer in (backbone.embeddings, *backbone.encoder_blocks[:layers]):
            layer.trainable = False
