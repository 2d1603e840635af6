"""Classification of texts or pairs of texts: fine-tune, evaluate, answer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bert_scratch.checkpoints.native import TASK_FILE, write_task
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.data.labelled_text import LabelledText
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.backbone import BertBackbone
from keras_bert_scratch.models.text_classifier import BertTextClassifier
from keras_bert_scratch.text.packing import pack_segments
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.training.callbacks import METRICS_FILE
from keras_bert_scratch.training.curves import plot_curves
from keras_bert_scratch.training.loop import Leg, Pace, train
from keras_bert_scratch.training.optimizers import BertAdamW
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.strategies import check_batch, from_chief, is_chief, lost_workers_named

TASK = "classification"
EVALUATION_BATCH = 64


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A classifier with all it takes to answer about raw text.

    Args:
        model: the network.
        tokenizer: its vocabulary.
        label_names: what its classes are called.
        max_length: tokens per row it was trained with.
    """

    model: BertTextClassifier
    tokenizer: BertTokenizer
    label_names: Sequence[str]
    max_length: int

    def save(self, directory: Path | str) -> None:
        """Writes model, vocabulary and `task.json` into `directory`."""
        write_task(Path(directory), TASK, self.label_names, self.max_length)
        self.model.save_pretrained(directory, self.tokenizer)

    @classmethod
    def load(cls, directory: Path | str) -> Classifier:
        """The classifier that `save` wrote, or that a finished fine-tuning run holds."""
        file = Path(directory) / TASK_FILE
        if not file.exists():
            raise UserError(
                f"{directory}: holds no {TASK_FILE}, so no fine-tuned model; make one with 'keras-bert finetune'"
            )
        try:
            task = json.loads(file.read_text(encoding="utf-8"))
            labels, max_length = task["labels"], task["max_length"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file}: is damaged ({error}); fine-tune again") from None
        model = BertTextClassifier.from_pretrained(directory)
        model.compile(BertAdamW())
        return cls(model, BertTokenizer.load(directory), labels, max_length)

    def answer(self, texts: Sequence[str]) -> list[tuple[str, dict[str, float]]]:
        """For each text the likeliest label, and every label's probability."""
        rows = pack_segments(self.tokenizer.tokenize(texts), None, self.max_length, self.tokenizer.vocabulary)
        scores = keras.ops.softmax(self.model(rows))
        named = [dict(zip(self.label_names, map(float, row), strict=True)) for row in np.asarray(scores)]
        return [(max(row, key=row.__getitem__), row) for row in named]

    def evaluate(self, data: LabelledText) -> dict[str, float]:
        """Loss and accuracy on `data`, with the accuracy of always answering its most frequent label."""
        batches = data.evaluation_batches(self.tokenizer, EVALUATION_BATCH, self.max_length)
        results = self.model.evaluate(batches, verbose=0, return_dict=True)
        results = {"accuracy": results["accuracy"], "loss": results["loss"], "majority": data.majority_share}
        return {**{name: round(float(value), 4) for name, value in results.items()}, "examples": len(data)}


def finetune(
    start: Path | str | BertConfig,
    tokenizer: BertTokenizer,
    train_data: LabelledText,
    dev_data: LabelledText | None,
    out: Path | str,
    epochs: float = 3.0,
    batch_size: int = 32,
    max_length: int = 128,
    learning_rate: float = 5e-5,
    warmup: float = 0.1,
    bias_correction: bool = False,
    layer_decay: float = 1.0,
    seed: int = 0,
    strategy: tf.distribute.Strategy | None = None,
) -> RunDirectory:
    """Fine-tunes a classifier (Devlin et al. 2019, section 4.1 and appendix A.3).

    Args:
        start: a pretrained model's folder, or a config for a network with random weights.
        tokenizer: of the pretrained model.
        train_data: what to learn from.
        dev_data: what to measure on afterwards, or `None`.
        out: the run's folder; an unfinished run of the same settings is continued, a finished one left as it is.
        epochs: how often to go through `train_data`.
        batch_size: rows per step, of all replicas together; the paper tries 16 and 32.
        max_length: tokens per row.
        learning_rate: the highest rate; the paper tries 5e-5, 3e-5 and 2e-5.
        warmup: share of the training in which the rate rises.
        bias_correction, layer_decay: as in `Pace`.
        seed: of the new head, dropout and order.
        strategy: from `make_strategy`; `None` for one device.

    Returns: the finished run; its `results` hold `fill`, the share of places that are no padding, and `dev`, which of
    several workers only the chief measures.

    Raises:
        UserError: sizes that do not fit, a vocabulary that is not the model's, a folder that holds another run.
        Stopped, WorkerLostError: the run was asked to stop, or another worker is gone.
    """
    strategy = strategy or tf.distribute.get_strategy()
    check_batch(strategy, batch_size)
    if epochs <= 0:
        raise UserError(f"--epochs: must be more than 0, not {epochs}")
    steps = max(1, round(epochs * len(train_data) / batch_size))
    pace = Pace(
        steps=steps,
        learning_rate=learning_rate,
        warmup=warmup,
        bias_correction=bias_correction,
        layer_decay=layer_decay,
    )
    from_config = isinstance(start, BertConfig)
    settings = {
        "task": TASK,
        "start": start.to_dict() if from_config else str(start),
        "vocabulary": tokenizer.vocabulary.sha256,
        "labels": list(train_data.label_names),
        "examples": train_data.sha256,
        "pace": vars(pace),
        "batch_size": batch_size,
        "max_length": max_length,
        "seed": seed,
    }
    num_classes = len(train_data.label_names)
    chief = is_chief(strategy)
    keras.utils.set_random_seed(seed)

    def batches(step: int, worker: int, num_workers: int) -> tf.data.Dataset:
        return train_data.training_batches(tokenizer, batch_size, max_length, seed, step, worker, num_workers)

    with lost_workers_named(strategy, Path(out)):
        model: Any
        with strategy.scope():
            if from_config:
                model = BertTextClassifier(BertBackbone(start), num_classes)
            else:
                model = BertTextClassifier.from_pretrained(start, num_classes=num_classes)
        model.backbone.config.check_length(max_length)
        if model.backbone.config.vocab_size != len(tokenizer.vocabulary):
            raise UserError(
                f"{tokenizer.vocabulary.origin}: has {len(tokenizer.vocabulary)} tokens, the model "
                f"{model.backbone.config.vocab_size}; give the vocabulary that the model was trained with"
            )
        run = RunDirectory(out, settings, writes=chief)
        if run.finished:
            return run
        with run:
            if "fill" not in run.results:
                run.note(fill=round(train_data.fill(tokenizer, batch_size, max_length, seed), 4))
            train(model, [Leg(batches, batch_size)], run, pace, title="fine-tuning")
            results: dict[str, Any] = {"steps": steps, "dev": None}
            if chief:
                plot_curves({"fine-tuning": run.path / METRICS_FILE}, run.path / "curves.png")
                Classifier(model, tokenizer, train_data.label_names, max_length).save(run.path)
                if dev_data:  # on one device, whatever the strategy
                    results["dev"] = Classifier.load(run.path).evaluate(dev_data)
            run.finish(results)
            from_chief(strategy, steps)  # a chief that is killed while it writes finds the others still there
    return run
