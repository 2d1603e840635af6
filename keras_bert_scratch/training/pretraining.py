"""Pretraining as one call: records in, a run directory with a pretrained model out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.data.example_rules import ExampleRules
from keras_bert_scratch.data.google.records import GoogleRecords
from keras_bert_scratch.data.pretraining_input import BERT_RULES, PretrainingRecords
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.backbone import BertBackbone
from keras_bert_scratch.models.masked_lm import BertMaskedLM
from keras_bert_scratch.models.pretrainer import BertPretrainer
from keras_bert_scratch.training.callbacks import METRICS_FILE
from keras_bert_scratch.training.curves import plot_curves
from keras_bert_scratch.training.loop import Pace, train
from keras_bert_scratch.training.run_directory import RunDirectory

EVALUATION_STEPS = 40
EVALUATION_SEED = 1  # of order, pairs and masks: the held-out questions are the same before, after and in every run

Records = PretrainingRecords | GoogleRecords

DTYPE_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def pretrain(
    records: Records,
    config: BertConfig,
    out: Path | str,
    pace: Pace,
    batch_size: int = 32,
    max_length: int = 128,
    dtype: str = "float32",
    seed: int = 0,
    held_out: Records | None = None,
    rules: ExampleRules = BERT_RULES,
) -> RunDirectory:
    """Pretrains a new model on masked words and next sentences (Devlin et al. 2019, section 3.1).

    It is a `BertPretrainer`, or without pairs a `BertMaskedLM`.

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
        rules: which examples to make of the records.

    Returns: the finished run; its `results` hold `fill`, the share of places that are no padding, `held_out_before` and
    `held_out_after`.

    Raises:
        UserError: sizes that do not fit, records made with another vocabulary, a folder that holds another run.
    """
    check_sizes(config, records, max_length, batch_size, rules)
    if dtype not in DTYPE_POLICIES:
        raise UserError(f"--dtype: {dtype!r} is unknown; choose one of {', '.join(DTYPE_POLICIES)}")
    settings = {
        "task": "pretraining",
        "records": records.fingerprint,
        "held_out": held_out.fingerprint if held_out else None,
        "rules": dataclasses.asdict(rules),
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
    with_pairs = rules.pairs != "none"
    backbone = BertBackbone(config, dtype=DTYPE_POLICIES[dtype], pooler=with_pairs, packed=rules.packing)
    model = BertPretrainer(backbone) if with_pairs else BertMaskedLM(backbone)
    model.compile()
    if "fill" not in run.results:
        run.note(fill=round(records.fill(max_length, seed, rules), 4))
        said = f"{records.directory}: {run.results['fill']:.1%} of the places in rows of {max_length} hold tokens"
        Console(stderr=True).print(said, highlight=False, soft_wrap=True)
    if held_out and "held_out_before" not in run.results:
        run.note(held_out_before=evaluate_pretraining(model, held_out, batch_size, max_length, rules))
    steps = train(
        model, lambda step: records.batches(batch_size, max_length, seed, step, rules), run, pace, title="pretraining"
    )
    results: dict[str, Any] = {"steps": steps}
    if held_out:
        results["held_out_after"] = evaluate_pretraining(model, held_out, batch_size, max_length, rules)
    plot_curves({"pretraining": run.path / METRICS_FILE}, run.path / "curves.png")
    model.save_pretrained(run.path, records.tokenizer)
    run.finish(results)
    return run


def evaluate_pretraining(
    model: BertPretrainer | BertMaskedLM,
    records: Records,
    batch_size: int = 32,
    max_length: int = 128,
    rules: ExampleRules = BERT_RULES,
) -> dict[str, float]:
    """Loss and accuracy on a fixed set of batches from `records`; the model is compiled, and made for the rules."""
    check_sizes(model.backbone.config, records, max_length, batch_size, rules)
    batches = records.batches(batch_size, max_length, EVALUATION_SEED, rules=rules)
    results = model.evaluate(batches, steps=EVALUATION_STEPS, verbose=0, return_dict=True)
    return {name: round(float(value), 4) for name, value in sorted(results.items())}


def check_sizes(
    config: BertConfig, records: Records, max_length: int, batch_size: int, rules: ExampleRules = BERT_RULES
) -> None:
    """Raises `UserError` unless a network of these sizes can read these records."""
    if batch_size < 1:
        raise UserError(f"--batch: must be at least 1, not {batch_size}")
    config.check_length(max_length)
    records.check(max_length, rules)
    if config.vocab_size != records.vocab_size:
        raise UserError(
            f"{records.directory}: its vocabulary has {records.vocab_size} tokens, the model's "
            f"{config.vocab_size}; use records and model of one vocabulary"
        )
