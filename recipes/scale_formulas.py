"""The formulas of docs/scale.md."""

from __future__ import annotations

import math

from costs import phase_flops
from pretraining import BATCH, LENGTH
from scale_facts import BUILD_RATE, PLAN, RECORD_BYTES, ROW_TOKENS, START, STEP, TEXT_BYTES

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.data.records.shards import SHARD_TEXT_BYTES

GPU_ROWS = 128  # per step and GPU


def shards_of(text: float) -> int:
    """How many shards `keras-bert tfrecords` makes by default from so many bytes."""
    return round(text / SHARD_TEXT_BYTES)


def record_bytes(text: float) -> float:
    """Bytes of the records of so many bytes of text."""
    return text / TEXT_BYTES.value * RECORD_BYTES.value


def build_hours(text: float, workers: int) -> float:
    """Hours of building records, if all workers are busy from beginning to end."""
    return (START.value + text / (workers * BUILD_RATE.value)) / 3600


def num_weights(config: BertConfig) -> int:
    """Weights of a network with both heads."""
    h, inner = config.hidden_size, config.intermediate_size
    embeddings = (config.vocab_size + config.max_position_embeddings + config.num_segments + 2) * h
    block = 4 * (h * h + h) + (h * inner + inner) + (inner * h + h) + 4 * h
    heads = (h * h + h) + (h * h + 3 * h + config.vocab_size) + (2 * h + 2)
    return embeddings + config.num_layers * block + heads


def state_bytes(config: BertConfig) -> int:
    """Bytes of a training state: the weights and two moments, float32."""
    return 3 * 4 * num_weights(config)


def sustained() -> float:
    """Operations per second in the measured step."""
    return phase_flops(BertConfig.preset("bert-base"), LENGTH) / BATCH * GPU_ROWS / STEP.value


def step_seconds(config: BertConfig, rows: int = GPU_ROWS) -> float:
    """Seconds of a step on a GPU, if every size reaches the operations per second measured with bert-base."""
    return phase_flops(config, LENGTH) / BATCH * rows / sustained()


def rows_per_second(config: BertConfig) -> float:
    """Rows per second that a GPU consumes."""
    return GPU_ROWS / step_seconds(config)


def rows_of_shard() -> float:
    """Rows of 128 tokens in each shard of the measurement of planning."""
    return 234_263_392 / 16 / ROW_TOKENS.value


def planned_rows() -> float:
    """Rows per second, of all workers together, that one process can plan; every worker plans them all."""
    return rows_of_shard() / PLAN.value


def all_reduce_seconds(num_bytes: float, workers: int, bandwidth: float, latency: float) -> float:
    """Seconds of a ring: each worker sends 2 (n - 1) messages of 1/n of the bytes (Patarasuk & Yuan 2009)."""
    return 2 * (workers - 1) * (num_bytes / workers / bandwidth + latency)


def young(saving: float, between: float) -> float:
    """The best seconds of work between states, if saving takes little of the time between losses (Young 1974)."""
    return math.sqrt(2 * saving * between)


def daly(saving: float, between: float) -> float:
    """The same if losses are not so rare (Daly 2006)."""
    if saving >= 2 * between:
        return between
    part = saving / (2 * between)
    return young(saving, between) * (1 + math.sqrt(part) / 3 + part / 9) - saving


def lost_fraction(interval: float, saving: float, restart: float, between: float) -> float:
    """The fraction of the time that is not work, with a state every `interval` (Daly 2006).

    Args:
        interval: float. Seconds of work between states.
        saving: float. Seconds to write a state, in which no work is done.
        restart: float. Seconds from a loss to the next step.
        between: float. Mean seconds between two losses of any worker.
    """
    time = between / interval * math.exp(restart / between) * math.expm1((interval + saving) / between)
    return 1 - 1 / time
