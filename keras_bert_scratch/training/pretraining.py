"""Pretraining as one call: records in, a run directory with a BertPretrainer out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.data.pretraining_input import PretrainingRecords
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.backbone import BertBackbone
from keras_bert_scratch.models.pretrainer import BertPretrainer
from keras_bert_scratch.training.callbacks import METRICS_FILE
from keras_bert_scratch.training.curves import plot_curves
from keras_bert_scratch.training.loop import Pace, train
from keras_bert_scratch.training.run_directory import RunDirectory

EVALUATION_STEPS = 40
EVALUATION_SEED = 1  # of order, pairs and masks: the held-out questions are the same before, after and in every run

DTYPE_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def pretrain(
    records: PretrainingRecords,
    config: BertConfig,
    out: Path | str,
    pace: Pace,
    batch_size: int = 32,
    max_length: int = 128,
    dtype: str = "float32",
    seed: int = 0,
    held_out: PretrainingRecords | None = None,
) -> RunDirectory:
    """Pretrains a new `BertPretrainer` on masked words and next sentences (Devlin et al. 2019, section 3.1).

    Args:
        records: what to learn from.
        config: sizes; the vocabulary's must be the records'.
        out: the run's folder; an unfinished run of the same settings is continued, a finished one left as it is.
        pace: how long and how fast.
        batch_size: rows per step.
        max_length: tokens per row.
        dtype: `"float32"` or `"bfloat16"`.
        seed: of weights, dropout, order, pairs and masks.
        held_out: records to measure on before and after; a fixed set of batches.

    Returns: the finished run; its `results` hold `held_out_before` and `held_out_after`.

    Raises:
        UserError: sizes that do not fit, records made with another vocabulary, a folder that holds another run.
    """
    check_sizes(config, records, max_length, batch_size)
    if dtype not in DTYPE_POLICIES:
        raise UserError(f"--dtype: {dtype!r} is unknown; choose one of {', '.join(DTYPE_POLICIES)}")
    settings = {
        "task": "pretraining",
        "records": [shard["sha256"] for shard in records.manifest.shards],
        "held_out": [shard["sha256"] for shard in held_out.manifest.shards] if held_out else None,
        "config": config.to_dict(),
        "pace": vars(pace),
        "batch_size": batch_size,
        "max_length": max_length,
        "dtype": dtype,
        "seed": seed,
    }
    run = RunDirectory(out, settings)
    if run.finished:
        return run
    keras.utils.set_random_seed(seed)
    model = BertPretrainer(BertBackbone(config, dtype=DTYPE_POLICIES[dtype]))
    model.compile()
    if held_out and "held_out_before" not in run.results:
        run.note(held_out_before=evaluate_pretraining(model, held_out, batch_size, max_length))
    steps = train(
        model, lambda step: records.batches(batch_size, max_length, seed, step), run, pace, title="pretraining"
    )
    results: dict[str, Any] = {"steps": steps}
    if held_out:
        results["held_out_after"] = evaluate_pretraining(model, held_out, batch_size, max_length)
    plot_curves({"pretraining": run.path / METRICS_FILE}, run.path / "curves.png")
    model.save_pretrained(run.path, records.tokenizer)
    run.finish(results)
    return run


def evaluate_pretraining(
    model: BertPretrainer, records: PretrainingRecords, batch_size: int = 32, max_length: int = 128
) -> dict[str, float]:
    """Loss and accuracy of both tasks on a fixed set of batches from `records`; the model must be compiled."""
    check_sizes(model.backbone.config, records, max_length, batch_size)
    batches = records.batches(batch_size, max_length, EVALUATION_SEED)
    results = model.evaluate(batches, steps=EVALUATION_STEPS, verbose=0, return_dict=True)
    return {name: round(float(value), 4) for name, value in sorted(results.items())}


def check_sizes(config: BertConfig, records: PretrainingRecords, max_length: int, batch_size: int) -> None:
    """Raises `UserError` unless a network of these sizes can read these records."""
    if batch_size < 1:
        raise UserError(f"--batch: must be at least 1, not {batch_size}")
    config.check_length(max_length)
    if config.vocab_size != records.manifest.vocab_size:
        raise UserError(
            f"{records.directory}: its vocabulary has {records.manifest.vocab_size} tokens, the model's "
            f"{config.vocab_size}; use records and model of one vocabulary"
        )
