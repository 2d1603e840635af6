"""FineTuning: the duration, batch size and learning rate of fine-tuning."""

from __future__ import annotations

import dataclasses

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.training.options import TrainingOptions

PAPER_RATE = 5e-5
WARMUP_STEPS = 4000  # of the schedule whose peak rate is used for random weights
ROWS_OF_TOKENS = 8  # with `batch_tokens`, rows per batch are a multiple of it, so that replicas get equal shares


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """How to fine-tune, in addition to `RunOptions` (Devlin et al. 2019, appendix A.3).

    Args:
        epochs: float, default 3.0. Number of passes over the training data.
        batch_size: int, default 32. Rows per step over all replicas; the paper tries 16 and 32.
        batch_tokens: int or None, default None. Maximum positions per step instead, padding included: a batch has
            many short rows or few long ones, a multiple of 8 and of the number of replicas.
        max_length: int, default 128. Maximum number of tokens per row.
        learning_rate: float or None, default None. Peak learning rate; `None` for 5e-5 (the paper tries 5e-5, 3e-5
            and 2e-5), or for random weights the rate of `for_random_weights`.
        warmup: float, default 0.1. Fraction of the training in which the rate rises; a run of one step has no warmup.
        bias_correction: bool or None, default None. Whether to correct Adam's bias; `None` for no, as in Google's code,
            or for random weights yes.
        layer_decay: float, default 1.0. Ratio of each layer's learning rate to that of the layer above it.
        freeze_layers: int, default 0. Number of lowest encoder blocks that are not trained; with 1 or more, the
            embeddings are not trained either.
        patience: int or None, default None. Number of epochs without a better model after which to stop.
        seconds: float or None, default None. Wall-clock budget in place of `epochs`, evaluation included.

    Raises:
        UserError: a value is out of its range; names it.

    Example:
        >>> FineTuning(epochs=2).training_options(steps_per_epoch=3.125).steps
        6
    """

    epochs: float = 3.0
    batch_size: int = 32
    max_length: int = 128
    learning_rate: float | None = None
    warmup: float = 0.1
    bias_correction: bool | None = None
    layer_decay: float = 1.0
    freeze_layers: int = 0
    patience: int | None = None
    seconds: float | None = None
    batch_tokens: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.epochs < float("inf"):
            raise UserError(f"`epochs`: must be a number above 0, not {self.epochs}")
        if self.batch_tokens is not None and self.batch_tokens < (least := ROWS_OF_TOKENS * self.max_length):
            raise UserError(
                f"`batch_tokens`: must be at least {least}, {ROWS_OF_TOKENS} rows of `max_length`, not "
                f"{self.batch_tokens}"
            )
        if self.max_length < 3:
            raise UserError(f"`max_length`: must be at least 3, for [CLS], a token and [SEP], not {self.max_length}")
        if self.freeze_layers < 0:
            raise UserError(f"`freeze_layers`: must be at least 0, not {self.freeze_layers}")
        if self.patience is not None and self.patience < 1:
            raise UserError(f"`patience`: must be at least 1, not {self.patience}")

    def for_random_weights(self, config: BertConfig) -> FineTuning:
        """A copy with the defaults for random initial weights, where no value was chosen.

        These are bias correction, as without it the first steps are so large that a network may never learn; and the
        peak learning rate of Vaswani et al. 2017, section 5.3: 1 / sqrt(hidden_size * 4000).

        Args:
            config: BertConfig. Sizes of the network.

        Example:
            >>> how = FineTuning().for_random_weights(BertConfig(num_layers=1, hidden_size=256))
            >>> round(how.learning_rate, 5), how.bias_correction
            (0.00099, True)
        """
        rate = (config.hidden_size * WARMUP_STEPS) ** -0.5 if self.learning_rate is None else self.learning_rate
        corrected = True if self.bias_correction is None else self.bias_correction
        return dataclasses.replace(self, learning_rate=rate, bias_correction=corrected)

    def training_options(self, steps_per_epoch: float) -> TrainingOptions:
        """The steps and the learning-rate schedule for epochs of `steps_per_epoch` batches."""
        steps = max(1, round(self.epochs * steps_per_epoch))
        return TrainingOptions(
            steps=steps if self.seconds is None else None,
            seconds=self.seconds,
            learning_rate=PAPER_RATE if self.learning_rate is None else self.learning_rate,
            warmup=self.warmup,
            bias_correction=bool(self.bias_correction),
            layer_decay=self.layer_decay,
        )
