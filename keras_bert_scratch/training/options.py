"""Options of a run: its duration, optimizer and learning rate, and how its steps are executed."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.training.lamb import Lamb
from keras_bert_scratch.training.optimizers import BertAdamW, MomentOptimizer
from keras_bert_scratch.training.run_directory import settings_of

OPTIMIZERS = ("adamw", "lamb")
ON_NONFINITE = ("stop", "skip")
DTYPE_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
MAX_SEED = 2**32 - 1  # the largest seed of numpy's generators


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """Duration, optimizer and learning rate; a run can be resumed only with the same options.

    Args:
        steps: int or None, default None. Number of optimizer steps; `None` if `seconds` limits the run.
        seconds: float or None, default None. Wall-clock budget; `None` if `steps` limits the run.
        learning_rate: float, default 1e-4. The peak learning rate.
        warmup: float, default 0.01. Fraction of the training in which the rate rises to the peak; the paper has 10,000
            steps of 1,000,000. A run of one step has no warmup.
        bias_correction: bool, default False. Whether to correct Adam's bias. Google's code does not; short runs do
            better with it. LAMB always corrects it.
        optimizer: str, default "adamw". `"adamw"`, with which BERT was trained, or `"lamb"`, for large batches.
        layer_decay: float, default 1.0. Factor of the learning rate per layer downwards; below 1.0 the lower layers
            change less.

    Raises:
        UserError: an option is out of range; the message names it.

    Example:
        >>> TrainingOptions(steps=1000, learning_rate=1e-4).warmup
        0.01
    """

    steps: int | None = None
    seconds: float | None = None
    learning_rate: float = 1e-4
    warmup: float = 0.01
    bias_correction: bool = False
    optimizer: str = "adamw"
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise UserError("`steps`, `seconds`: give exactly one of the two")
        for name in ("steps", "seconds", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UserError(f"`{name}`: must be a number above 0, not {value}")
        if not 0 <= self.warmup < 1:
            raise UserError(f"`warmup`: must be a fraction of the training, at least 0 and below 1, not {self.warmup}")
        _check_known("optimizer", self.optimizer, OPTIMIZERS)
        if self.bias_correction and self.optimizer == "lamb":
            raise UserError("`bias_correction`: is always part of lamb; leave it out or give `optimizer='adamw'`")
        if not 0 < self.layer_decay <= 1:
            raise UserError(f"`layer_decay`: must be above 0 and at most 1, not {self.layer_decay}")

    def optimizer_at(self, learning_rate: Any) -> MomentOptimizer:
        """A new optimizer of the chosen kind; `learning_rate` is a number or a schedule."""
        if self.optimizer == "lamb":
            return Lamb(learning_rate, layer_decay=self.layer_decay)
        return BertAdamW(learning_rate, bias_correction=self.bias_correction, layer_decay=self.layer_decay)


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How the steps of a run are executed; all options except `dtype` may change when the run is resumed.

    Args:
        dtype: str, default "float32". Dtype of the matrix products: `"float32"`, `"bfloat16"` or `"float16"`. The
            weights are always float32.
        accumulate: int, default 1. Number of parts that a replica's rows of a batch are split into; each part runs
            forward and backward separately, which saves memory, and the update is that of the whole batch.
        remat: bool, default False. Whether the backward pass recomputes each block's activations instead of storing
            them, which saves memory.
        save_seconds: float, default 60. Time between two saved training states.
        on_nonfinite: str, default "stop". `"stop"` the run, or `"skip"` and count a step whose gradient is not finite.

    Raises:
        UserError: an option is out of range; the message names it.

    Example:
        >>> RunOptions(dtype="bfloat16").dtype_policy
        'mixed_bfloat16'
    """

    dtype: str = "float32"
    accumulate: int = 1
    remat: bool = False
    save_seconds: float = 60.0
    on_nonfinite: str = "stop"

    def __post_init__(self) -> None:
        _check_known("dtype", self.dtype, tuple(DTYPE_POLICIES))
        _check_known("on_nonfinite", self.on_nonfinite, ON_NONFINITE)
        if self.accumulate < 1:
            raise UserError(f"`accumulate`: must be at least 1, not {self.accumulate}")
        if not self.save_seconds >= 0:
            raise UserError(f"`save_seconds`: must be a number of at least 0, not {self.save_seconds}")

    @property
    def dtype_policy(self) -> str:
        """The name of Keras's dtype policy."""
        return DTYPE_POLICIES[self.dtype]


def dtype_policy_of(run: AnyPath | str, dtype: str | None = None) -> str:
    """The name of Keras's dtype policy for the model in a folder.

    Args:
        run: path. Folder of a run, or of any other model.
        dtype: str or None, default None. A dtype of `RunOptions`; `None` for that of the run, float32 for other models.
    """
    stored = settings_of(run).get("dtype", "float32")
    return RunOptions(dtype=stored if dtype is None else dtype).dtype_policy


def check_seed(seed: int) -> None:
    """Raises `UserError` for a seed that numpy's generators do not accept."""
    if not 0 <= seed <= MAX_SEED:
        raise UserError(f"`seed`: must be from 0 to {MAX_SEED}, not {seed}")


def _check_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UserError(f"`{name}`: {value!r} is unknown; choose one of {', '.join(known)}")
