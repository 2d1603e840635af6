"""Pretrained encoders of a study: one run of `kbs.pretrain` for each variant and seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from corpus import Corpus
from scales import Scale

import keras_bert_scratch as kbs
from keras_bert_scratch.training.pretraining import SecondPhase


def config_of(scale: Scale, corpus: Corpus, **changes: Any) -> kbs.BertConfig:
    """Returns the config of a scale's network with the corpus's vocabulary size, and with `changes`."""
    given = {
        "vocab_size": corpus.records.vocab_size,
        "hidden_dropout": scale.dropout,
        "attention_dropout": scale.dropout,
        "initializer_range": scale.initializer_range,
    }
    return kbs.BertConfig.preset(scale.preset, **{**given, **changes})


def pretrained(
    folder: Path,
    corpus: Corpus,
    scale: Scale,
    seed: int,
    rules: kbs.ExampleRules,
    config: kbs.BertConfig | None = None,
) -> dict[str, Any]:
    """Starts or resumes pretraining in `folder`; does nothing if the run is finished.

    Args:
        folder: Path. The folder of the run.
        corpus, scale, seed: of the study.
        rules: ExampleRules. The rules of the variant.
        config: BertConfig or None, default None. Sizes in place of the scale's.

    Returns: the run's results.
    """
    return kbs.pretrain(
        corpus.records,
        config or config_of(scale, corpus),
        folder,
        _options(scale, scale.steps),
        scale.batch,
        scale.length,
        seed,
        corpus.held_out,
        rules,
        SecondPhase(scale.second_length, scale.second_fraction, scale.second_batch),
    ).results


def pretrained_in_two_runs(
    out: Path,
    name: str,
    corpus: Corpus,
    scale: Scale,
    seed: int,
    short: kbs.ExampleRules,
    long: kbs.ExampleRules,
) -> Path:
    """Pretrains on short rows, then on long ones with other rules; returns the second run's folder.

    Each run has a complete learning-rate schedule.

    Args:
        out: Path. The folder of all runs.
        name: str. Name of the second run. The first is named after its rules: variants with the same rules share it.
        corpus, scale, seed: of the study.
        short, long: ExampleRules. The rules of the first and of the second run.
    """
    fraction = 1 - scale.second_fraction
    parts = (
        (f"short-rows-{short.pairs}-{short.objective}-{seed}", short, fraction, scale.batch, scale.length),
        (f"{name}-{seed}", long, 1 - fraction, scale.second_batch, scale.second_length),
    )
    start: Path | kbs.BertConfig = config_of(scale, corpus)
    for folder, rules, part, batch, length in parts:
        how = _options(scale, round(part * scale.steps))
        run = kbs.pretrain(corpus.records, start, out / folder, how, batch, length, seed, corpus.held_out, rules)
        start = run.path
    return start


def _options(scale: Scale, steps: int) -> kbs.TrainingOptions:
    """Returns the scale's training options for a number of steps."""
    return kbs.TrainingOptions(
        steps=steps, learning_rate=scale.learning_rate, warmup=scale.warmup, bias_correction=scale.bias_correction
    )


def backbone_of(run: Path, dropout: float) -> kbs.BertBackbone:
    """Returns the encoder of a pretrained model with a pooler, which is new if pretraining had none."""
    rates = {"hidden_dropout": dropout, "attention_dropout": dropout}
    return kbs.BertTextClassifier.from_pretrained(run, num_classes=2, **rates).backbone
