"""Scale: how large the networks of a study are, and how long they are trained."""

from __future__ import annotations

import dataclasses

import keras_bert_scratch as kbs


@dataclasses.dataclass(frozen=True)
class Scale:
    """Sizes and learning rates; the same for every row of a study, except for what the row is about.

    Args:
        preset: str. The network's size.
        vocab_size: int. Size of the vocabulary that is learned from the text.
        steps: int. Steps of pretraining.
        batch, length: int. Rows per step and tokens per row in the first part of pretraining.
        second_batch, second_length, second_fraction: of the last part of pretraining, as in appendix A.2.
        learning_rate: float. Peak learning rate of pretraining.
        warmup: float. The fraction of pretraining that is warmup.
        initializer_range: float. Standard deviation of random weights.
        dropout: float. In pretraining; fine-tuning has 0.1.
        bias_correction: bool. Of Adam; short runs are better with it.
        tuning_steps: int. Steps of fine-tuning, of 32 rows each.
        tuning_rate: float. Peak learning rate of fine-tuning.
        window: int. Maximum tokens per row in fine-tuning.
        text_fraction: float, default 1.0. How much of the packages' text is read.
        hidden_words: int, default 10,000. How many held-out words are to be predicted.
    """

    preset: str
    vocab_size: int
    steps: int
    batch: int
    length: int
    second_batch: int
    second_length: int
    second_fraction: float
    learning_rate: float
    warmup: float
    initializer_range: float
    dropout: float
    bias_correction: bool
    tuning_steps: int
    tuning_rate: float
    window: int
    text_fraction: float = 1.0
    hidden_words: int = 10_000


# Short rows first, and a large initializer range: a small network then learns sooner that neighbours matter
# (benchmarks/RESULTS.md).
LAPTOP = Scale(
    preset="bert-l2-h128",
    vocab_size=8000,
    steps=3000,
    batch=128,
    length=16,
    second_batch=24,
    second_length=128,
    second_fraction=0.3,
    learning_rate=2e-3,
    warmup=0.05,
    initializer_range=0.06,
    dropout=0.0,
    bias_correction=True,
    tuning_steps=1000,
    tuning_rate=7e-4,
    window=128,
)

SCALES = {
    # A minute or two for all rows: it tests whether a study runs, and shows nothing else.
    "smoke": dataclasses.replace(
        LAPTOP,
        vocab_size=500,
        steps=4,
        batch=8,
        second_batch=4,
        second_length=32,
        tuning_steps=2,
        window=96,
        text_fraction=0.01,
        hidden_words=50,
    ),
    "laptop": LAPTOP,
    # Appendices A.2 and A.3, from random weights; it needs the text of Wikipedia and books.
    "paper": Scale(
        preset="bert-base",
        vocab_size=30_000,
        steps=1_000_000,
        batch=256,
        length=128,
        second_batch=256,
        second_length=512,
        second_fraction=0.1,
        learning_rate=1e-4,
        warmup=0.01,
        initializer_range=0.02,
        dropout=0.1,
        bias_correction=False,
        tuning_steps=6000,
        tuning_rate=3e-5,
        window=384,
    ),
}


def scale_of(name: str) -> Scale:
    """Returns the scale called `name`."""
    if name not in SCALES:
        raise kbs.UserError(f"`scale`: {name!r} is unknown; choose one of {', '.join(SCALES)}")
    return SCALES[name]
