"""Pretraining as one call: records in, a run directory with a pretrained model out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.data.example_rules import ExampleRules
from keras_bert_scratch.data.google.records import GoogleRecords
from keras_bert_scratch.data.pretraining_input import BERT_RULES, PretrainingRecords
from keras_bert_scratch.data.shard_plan import max_examples_of
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.backbone import BertBackbone
from keras_bert_scratch.models.masked_lm import BertMaskedLM
from keras_bert_scratch.models.pretrainer import BertPretrainer
from keras_bert_scratch.training.callbacks import METRICS_FILE
from keras_bert_scratch.training.curves import plot_curves
from keras_bert_scratch.training.flops import step_flops
from keras_bert_scratch.training.loop import Care, Leg, Pace, train
from keras_bert_scratch.training.optimizers import BertAdamW
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.steering import Evaluation
from keras_bert_scratch.training.strategies import (
    check_batch,
    distributed,
    from_chief,
    is_chief,
    lost_workers_named,
)

EVALUATION_STEPS = 40
EVALUATION_SEED = 1  # of order, pairs and masks: the held-out questions are the same before, after and in every run

Records = PretrainingRecords | GoogleRecords

DTYPE_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@dataclasses.dataclass(frozen=True)
class SecondLeg:
    """The end of a pretraining with longer rows (Devlin et al. 2019, appendix A.2: 512 tokens for the last tenth).

    Args:
        max_length: tokens per row.
        share: of the run, at its end.
        batch_size: rows per step; `None` for as many as before.
    """

    max_length: int = 512
    share: float = 0.1
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise UserError(f"--second-share: is a share, more than 0 and less than 1, not {self.share}")


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
    second_leg: SecondLeg | None = None,
    strategy: tf.distribute.Strategy | None = None,
    accumulate: int = 1,
    remat: bool = False,
    evaluate_every: int | None = None,
    save_seconds: float = 60.0,
    on_nonfinite: str = "stop",
) -> RunDirectory:
    """Pretrains a new model on masked words and next sentences (Devlin et al. 2019, section 3.1).

    It is a `BertPretrainer`, or without pairs a `BertMaskedLM`.

    Args:
        records: what to learn from.
        config: sizes; the vocabulary's must be the records'.
        out: the run's folder; an unfinished run of the same settings is continued, a finished one left as it is. How
            many devices there are may change in between.
        pace: how long and how fast.
        batch_size: rows per step, of all replicas together.
        max_length: tokens per row.
        dtype: `"float32"`, `"bfloat16"` or `"float16"`; the weights are float32 in any case.
        seed: of weights, dropout, order, pairs and masks.
        held_out: records to measure on before and after; a fixed set of batches.
        rules: which examples to make of the records.
        second_leg: longer rows at the end, if any.
        strategy: from `make_strategy`; `None` for one device.
        accumulate: parts that a replica's share of a batch is worked through in, to save memory.
        remat: whether blocks are worked out once more in the backward pass, to save memory.
        evaluate_every: steps between measurements on `held_out` while training, the best model being kept in `best/`;
            `None` for a tenth of the steps, or every 1000 where the clock decides.
        save_seconds: time between kept states.
        on_nonfinite: `"stop"` or `"skip"` a step whose gradient is not finite.

    Returns: the finished run; its `results` hold `fill`, the share of places that are no padding, `held_out_before` and
    `held_out_after`, `best`.

    Raises:
        UserError: sizes that do not fit, records made with another vocabulary, a folder that holds another run.
        Stopped, WorkerLostError: as `train` does.
    """
    second_size = (second_leg.batch_size or batch_size) if second_leg else batch_size
    strategy = strategy or tf.distribute.get_strategy()
    check_sizes(config, records, max_length, rules)
    check_batch(strategy, batch_size)
    if second_leg:
        check_sizes(config, records, second_leg.max_length, rules)
        check_batch(strategy, second_size)
    if accumulate < 1:
        raise UserError(f"--accumulate: must be at least 1, not {accumulate}")
    if dtype not in DTYPE_POLICIES:
        raise UserError(f"--dtype: {dtype!r} is unknown; choose one of {', '.join(DTYPE_POLICIES)}")
    settings = {
        "task": "pretraining",
        "records": records.fingerprint,
        "vocabulary": records.tokenizer.vocabulary.sha256,
        "held_out": held_out.fingerprint if held_out else None,
        "rules": dataclasses.asdict(rules),
        "config": config.to_dict(),
        "pace": vars(pace),
        "batch_size": batch_size,
        "max_length": max_length,
        "second_leg": dataclasses.asdict(second_leg) if second_leg else None,
        "dtype": dtype,
        "seed": seed,
    }
    chief = is_chief(strategy)
    run = RunDirectory(out, settings, writes=chief)
    if run.finished:
        return run
    with run, lost_workers_named(strategy, run.path):
        keras.utils.set_random_seed(seed)
        with_pairs = rules.pairs != "none"
        with strategy.scope():
            backbone = BertBackbone(
                config, dtype=DTYPE_POLICIES[dtype], pooler=with_pairs, packed=rules.packing, remat=remat
            )
            model = BertPretrainer(backbone) if with_pairs else BertMaskedLM(backbone)
            model.compile(BertAdamW())
        if "fill" not in run.results:
            run.note(fill=round(records.fill(max_length, seed, rules), 4))
            said = f"{records.directory}: {run.results['fill']:.1%} of the places in rows of {max_length} hold tokens"
            if chief:
                Console(stderr=True).print(said, highlight=False, soft_wrap=True)

        def measured() -> dict[str, float]:
            return evaluate_pretraining(model, held_out, batch_size, max_length, rules)

        evaluation = None
        if held_out:
            if "held_out_before" not in run.results:
                run.note(held_out_before=measured())
            every = evaluate_every or (max(1, pace.steps // 10) if pace.steps else 1000)
            evaluation = Evaluation(
                run, every, measured, lambda folder: model.save_pretrained(folder, records.tokenizer), chief
            )

        def leg(length: int, rows: int, seed: int, until: float) -> Leg:
            def batches(step: int, worker: int, num_workers: int) -> tf.data.Dataset:
                return records.batches(rows, length, seed, step, rules, worker, num_workers)

            predictions, examples = rules.masking.room(length), max_examples_of(length, rules)
            return Leg(batches, rows, until, step_flops(config, rows, length, predictions, examples))

        legs = [leg(max_length, batch_size, seed, 1.0)]
        if second_leg:
            legs = [
                leg(max_length, batch_size, seed, 1.0 - second_leg.share),
                leg(second_leg.max_length, second_size, seed, 1.0),
            ]
        care = Care(save_seconds, on_nonfinite, evaluation, dtype)
        steps = train(model, legs, run, pace, "pretraining", accumulate, care)
        results: dict[str, Any] = {"steps": steps}
        if held_out:
            results["held_out_after"] = measured()
        if chief:
            plot_curves({"pretraining": run.path / METRICS_FILE}, run.path / "curves.png")
            model.save_pretrained(run.path, records.tokenizer)
        run.finish(results)
        from_chief(strategy, steps)  # a chief that is killed while it writes finds the others still there
    return run


def evaluate_pretraining(
    model: BertPretrainer | BertMaskedLM,
    records: Records,
    batch_size: int = 32,
    max_length: int = 128,
    rules: ExampleRules = BERT_RULES,
) -> dict[str, float]:
    """Loss and accuracy on a fixed set of batches from `records`; the model is compiled, and made for the rules."""
    check_sizes(model.backbone.config, records, max_length, rules)

    def batches(worker: int, num_workers: int) -> tf.data.Dataset:
        return records.batches(batch_size, max_length, EVALUATION_SEED, 0, rules, worker, num_workers)

    shared = distributed(model.distribute_strategy, batch_size, batches)
    results = model.evaluate(shared, steps=EVALUATION_STEPS, verbose=0, return_dict=True)
    return {name: round(float(value), 4) for name, value in sorted(results.items())}


def check_sizes(config: BertConfig, records: Records, max_length: int, rules: ExampleRules = BERT_RULES) -> None:
    """Raises `UserError` unless a network of these sizes can read these records."""
    config.check_length(max_length)
    records.check(max_length, rules)
    if config.vocab_size != records.vocab_size:
        raise UserError(
            f"{records.directory}: its vocabulary has {records.vocab_size} tokens, the model's "
            f"{config.vocab_size}; use records and model of one vocabulary"
        )
