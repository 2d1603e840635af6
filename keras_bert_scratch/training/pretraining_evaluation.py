"""Evaluation of pretraining: losses and accuracies on a fixed set of batches, during a run and afterwards."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_bert_scratch.checkpoints.checkpoint import Checkpoint
from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.data.google.reader import GoogleRecords, open_records
from keras_bert_scratch.data.pretraining.reader import BERT_RULES, PretrainingRecords
from keras_bert_scratch.data.pretraining.rules import OBJECTIVES, ExampleRules
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.models.causal_lm import BertCausalLM
from keras_bert_scratch.models.masked_lm import BertMaskedLM
from keras_bert_scratch.models.pretrained import model_from_checkpoint
from keras_bert_scratch.models.pretrainer import BertPretrainer
from keras_bert_scratch.progress import print_progress
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.training.optimizers import BertAdamW
from keras_bert_scratch.training.options import dtype_policy_of
from keras_bert_scratch.training.run_directory import settings_of
from keras_bert_scratch.training.strategies import distributed

EVALUATION_STEPS = 40
EVALUATION_SEED = 1  # of order, pairs and masks: held-out examples are the same before and after, and in every run

Records = PretrainingRecords | GoogleRecords


def model_class_of(rules: ExampleRules) -> Any:
    """The model class that is trained on examples of these rules."""
    if rules.is_one_way:
        return BertCausalLM
    return BertMaskedLM if rules.pairs == "none" else BertPretrainer


def evaluate_pretraining(
    model: BertPretrainer | BertMaskedLM | BertCausalLM,
    records: Records,
    batch_size: int = 32,
    max_length: int = 128,
    rules: ExampleRules = BERT_RULES,
) -> dict[str, float]:
    """Loss and accuracy on a fixed set of batches from `records`; the model must be compiled and fit the rules."""
    check_sizes(model.backbone.config, records, max_length, rules)

    def batches(worker: int, num_workers: int) -> tf.data.Dataset:
        return records.batches(batch_size, max_length, EVALUATION_SEED, 0, rules, worker, num_workers)

    shared = distributed(model.distribute_strategy, batch_size, batches)
    results = model.evaluate(shared, steps=EVALUATION_STEPS, verbose=0, return_dict=True)
    return {name: round(float(value), 4) for name, value in sorted(results.items())}


def label_majority(records: Records, batch_size: int, max_length: int, rules: ExampleRules) -> dict[str, float]:
    """`next_sentence_majority`, the fraction of pairs in the same batches that have the more frequent label.

    The labels may be unbalanced: short rows hold few sentences, and a chunk of a single sentence always gets a random
    second one (as in Google's script). Empty without pairs.
    """
    if rules.pairs == "none" or rules.is_one_way:
        return {}
    ones = pairs = 0.0
    batches = records.batches(batch_size, max_length, EVALUATION_SEED, 0, rules).take(EVALUATION_STEPS)
    for _, labels, weights in batches.as_numpy_iterator():
        ones += float((labels["next_sentence"] * weights["next_sentence"]).sum())
        pairs += float(weights["next_sentence"].sum())
    return {"next_sentence_majority": round(max(ones, pairs - ones) / pairs, 4)}


def evaluate_pretrained(
    run: AnyPath | str,
    data: AnyPath | str,
    max_length: int | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
) -> dict[str, float]:
    """Evaluates a finished pretraining run on records, as the run itself did: same batches, rules and dtype.

    Args:
        run: path. The run's folder, its `best/`, or another model's. For a model that no run describes, a line on
            stderr says what is assumed: the rules of its class, its longest row and 32 rows per batch.
        data: path. A folder of records.
        max_length: int or None, default None. Tokens per row; `None` for that of the run's last phase.
        batch_size: int or None, default None. Rows per batch; `None` for that of the run's last phase.
        dtype: str or None, default None. Dtype of the matrix products, as in `RunOptions`; `None` for the run's.
    """
    settings, checkpoint = settings_of(run), read_checkpoint(run)
    stored = settings.get("rules")
    rules = ExampleRules.from_dict(stored) if stored else _rules_of(checkpoint)
    records = open_records(data, BertTokenizer.load(run))
    model = model_from_checkpoint(
        checkpoint, model_class_of(rules), path_of(run), dtype_policy_of(run, dtype), packed=rules.packing
    )
    model.compile(BertAdamW())
    last = settings.get("second_phase") or {}
    max_length = max_length or trained_length(run) or checkpoint.config.max_position_embeddings
    batch_size = batch_size or last.get("batch_size") or settings.get("batch_size", 32)
    if not stored:
        print_progress(
            f"{path_of(run)}: no run.json says how it was pretrained; it is evaluated on rows of {max_length} tokens, "
            f"{batch_size} per batch, objective {rules.objective}, pairs {rules.pairs}"
        )
    majority = label_majority(records, batch_size, max_length, rules)
    return evaluate_pretraining(model, records, batch_size, max_length, rules) | majority


def trained_length(run: AnyPath | str) -> int | None:
    """Tokens per row of a pretraining run's last phase; `None` for a model that no run describes."""
    settings = settings_of(run)
    last = settings.get("second_phase") or {}
    return last.get("max_length") or settings.get("max_length")


def _rules_of(checkpoint: Checkpoint) -> ExampleRules:
    """BERT's rules, as far as the class and the direction of the model allow them."""
    if checkpoint.config.direction in OBJECTIVES:
        return ExampleRules("none", objective=checkpoint.config.direction)
    return ExampleRules("none") if checkpoint.architecture == BertMaskedLM.__name__ else BERT_RULES


def check_sizes(config: BertConfig, records: Records, max_length: int, rules: ExampleRules = BERT_RULES) -> None:
    """Raises `UserError` unless a network of these sizes can read these records."""
    config.check_length(max_length)
    records.check(max_length, rules)
    config.check_vocabulary(records.vocab_size, records.directory)
    if rules.pairs != "none":
        config.check_pairs()
