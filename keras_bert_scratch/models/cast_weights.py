"""CastWeights: casts a model's matrices to its compute dtype once, instead of at every step of a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


class CastWeights(keras.StatelessScope):
    """A scope in which a model's matrices are tensors of its compute dtype.

    For the loops that generate text: Keras casts a weight wherever a layer reads it, so in bfloat16 each step of a loop
    would read all weights in float32. Vectors are not cast, since a layer may need them in float32.

    Args:
        model: keras.Model. The model, with its `dtype_policy`.
        changed: pairs of a weight and the tensor to read instead, default none.

    Example:
        >>> from keras_bert_scratch import BertBackbone, BertConfig
        >>> config = BertConfig(vocab_size=10, num_layers=1, hidden_size=64)
        >>> backbone = BertBackbone(config, dtype="mixed_bfloat16")
        >>> with CastWeights(backbone):
        ...     keras.backend.standardize_dtype(backbone.embeddings.token_embedding.value.dtype)
        'bfloat16'
    """

    def __init__(self, model: keras.Model, changed: Sequence[tuple[Any, Any]] = ()) -> None:
        super().__init__()
        dtype = model.dtype_policy.compute_dtype
        self.cast = {id(weight): ops.cast(weight.value, dtype) for weight in model.weights if len(weight.shape) > 1}
        self.cast |= {id(weight): value for weight, value in changed}

    def get_current_value(self, variable: Any) -> Any:
        return self.cast.get(id(variable))
