"""FrozenNetwork: a model with fixed weights, in the form that TensorFlow runs fastest on a CPU."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bert_scratch.layers.dense import Dense, override_dense


class FrozenNetwork:
    """A model whose call runs one concrete function, so that all callers share one copy of its weights.

    As constants, weight matrices are packed for oneDNN once and not at every call; as variables, they take less
    memory. A matrix product, its bias and its activation are written in a form that the graph optimizer fuses
    into one operation. The kernels of query, key and value are concatenated when the graph is traced.

    Only `model(inputs)` runs this function. Everything else, such as the decoding steps of a translator, is delegated
    to the model itself, with its variables.

    Args:
        model: keras.Model. Its inputs have names.
        variable_embedding: bool, default False. Whether the token embedding, of which a text reads a few rows, stays a
            variable if it is float32. Constants cost memory: a program that loads a graph copies them several times
            before it can answer. (In another dtype the embedding would be cast at every call.)
        as_variables: bool, default False. Whether all other weights are variables too, new ones, in `variables`.

    Example:
        >>> from keras_bert_scratch import BertBackbone, BertConfig
        >>> backbone = BertBackbone(BertConfig(vocab_size=100, num_layers=2, hidden_size=64))
        >>> ones = tf.ones((1, 7), tf.int32)
        >>> inputs = {"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones}
        >>> theirs, ours = backbone(inputs)["pooled_output"], FrozenNetwork(backbone)(inputs)["pooled_output"]
        >>> bool(tf.reduce_all(tf.abs(theirs - ours) < 1e-5))
        True
    """

    def __init__(self, model: keras.Model, variable_embedding: bool = False, as_variables: bool = False) -> None:
        self._model, self._as_variables = model, as_variables
        self._kept = {"token_embedding"} if variable_embedding and model.compute_dtype == "float32" else set()
        self.variables: list[tf.Variable] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        return self.function({name: inputs[name] for name in self._model.input})

    @functools.cached_property
    def function(self) -> Any:
        """The concrete function, from a dict of the model's inputs, of any size, to its outputs."""
        specs = {
            name: tf.TensorSpec([None] * len(value.shape), value.dtype, name)
            for name, value in self._model.input.items()
        }

        with tf.init_scope():  # not inside the graph of the first caller
            fixed = _FixedWeights(self._model, self._kept, self._fixed)

            def network(inputs: Mapping[str, tf.Tensor]) -> Any:
                with fixed, override_dense(fixed.product):
                    return self._model(inputs, training=False)

            return tf.function(network, autograph=False).get_concrete_function(specs)

    def _fixed(self, value: np.ndarray) -> Any:
        if not self._as_variables:
            return tf.constant(value)
        with tf.init_scope():  # outside the graph that is being traced
            self.variables.append(tf.Variable(value, trainable=False))
        return self.variables[-1]


class _FixedWeights(keras.StatelessScope):
    """A scope in which a traced graph reads fixed values of a model's weights, matrices in the compute dtype.

    Args:
        model: keras.Model. The model.
        kept: names of weights that stay the model's own variables.
        fixed: callable. Turns an array into the constant or variable that the graph reads.
    """

    def __init__(self, model: keras.Model, kept: Collection[str], fixed: Callable[[np.ndarray], Any]) -> None:
        super().__init__()
        weights = [weight for weight in model.weights if weight.name not in kept]
        self._fixed = fixed
        self._values = {id(weight): np.asarray(weight.value) for weight in weights}
        self._dtype = tf.as_dtype(model.dtype_policy.compute_dtype).as_numpy_dtype
        self._made: dict[tuple[Any, ...], Any] = {}

    def get_current_value(self, variable: Any) -> tf.Tensor | None:
        if id(variable) not in self._values:
            return None
        is_matrix = self._values[id(variable)].ndim > 1
        return self._read([variable], self._dtype if is_matrix else variable.dtype)

    def product(self, x: Any, layers: Sequence[Dense]) -> tf.Tensor:
        """Computes the layers as one product of two matrices, followed by bias and activation."""
        dtype = tf.as_dtype(layers[0].compute_dtype).as_numpy_dtype  # of a head, float32 in every model
        kernel, bias = (
            self._read(parts, dtype) for parts in ([layer.kernel for layer in layers], [layer.bias for layer in layers])
        )
        rows = tf.reshape(tf.cast(x, kernel.dtype), [-1, kernel.shape[0]])
        outputs = layers[0].activation(tf.nn.bias_add(tf.matmul(rows, kernel), bias))
        return tf.reshape(outputs, tf.concat([tf.shape(x)[:-1], kernel.shape[-1:]], axis=0))

    def _read(self, parts: Sequence[Any], dtype: Any) -> tf.Tensor:
        """Returns weights concatenated; cached, because a function that creates variables is traced twice."""
        key = (np.dtype(dtype), *map(id, parts))
        if key not in self._made:
            values = [self._values[id(part)] for part in parts]
            self._made[key] = self._fixed((np.concatenate(values, axis=-1) if values[1:] else values[0]).astype(dtype))
        return tf.convert_to_tensor(self._made[key])
