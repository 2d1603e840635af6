"""BertEmbeddings: token, segment and position embeddings, summed into one vector per position."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.configured import Configured
from keras_bert_scratch.layers.dropout import Dropout
from keras_bert_scratch.layers.layer_norm import LayerNorm


def packed_position_ids(example_ids: Any, example_starts: Any) -> Any:
    """The position of each token within its own example.

    Args:
        example_ids: int `(batch, length)`, 1, 2, 3... at the tokens of the row's first, second... example, 0 at
            padding.
        example_starts: int `(batch, max_examples)`, the position at which each of them starts.

    Returns: int `(batch, length)`; at padding, the position within the row minus the first example's start.

    Example:
        >>> packed_position_ids(ops.array([[1, 1, 1, 2, 2, 0]]), ops.array([[0, 3, 0]])).numpy().tolist()
        [[0, 1, 2, 0, 1, 5]]
    """
    starts = ops.take_along_axis(example_starts, ops.maximum(example_ids - 1, 0), axis=1)  # (batch, length)
    return ops.arange(_length(example_ids), dtype=starts.dtype) - starts


def small_table_lookup(table: Any, ids: Any) -> Any:
    """Looks up rows of a small table; the gradient is computed by a matrix product.

    The gradient of a plain lookup adds one vector after another. With thousands of tokens per row of the table, a GPU
    waits for every single addition, which took as long as all the rest of a training step.

    Args:
        table: float `(rows, size)`. A tensor or a weight.
        ids: int of any shape, each from 0 to `rows - 1`.

    Returns: `(*ids.shape, size)`, of the dtype of `table`.

    Example:
        >>> small_table_lookup(ops.array([[1.0], [2.0]]), ops.array([1, 1, 0]))[..., 0].numpy().tolist()
        [2.0, 2.0, 1.0]
    """
    rows, size = table.shape

    @ops.custom_gradient
    def rows_of(table: Any) -> Any:
        def gradient(*args: Any, upstream: Any = None) -> Any:
            upstream = args[0] if upstream is None else upstream
            chosen = ops.one_hot(ops.reshape(ids, (-1,)), rows, dtype=table.dtype)  # (tokens, rows)
            return ops.matmul(ops.transpose(chosen), ops.reshape(upstream, (-1, size)))

        return ops.take(table, ids, axis=0), gradient

    return rows_of(ops.copy(table))  # TensorFlow's custom gradients take tensors, not variables


def _length(x: Any) -> Any:
    """The length of the rows: an int if it is static, else a tensor."""
    return x.shape[1] if x.shape[1] is not None else ops.shape(x)[1]


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertEmbeddings(Configured, keras.layers.Layer):
    """Sum of token, segment and position embeddings, LayerNorm and dropout (Devlin et al. 2019, section 3, figure 2).

    Args:
        config: BertConfig. Sizes and rates.
        kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Call: takes `token_ids` and `segment_ids`, int `(batch, length)`; returns two tensors:
    the embedded tokens, `(batch, length, hidden_size)`; and the token embedding itself, `(vocab_size, hidden_size)`,
    for a head that shares it.
    With the `example_ids` and `example_starts` of packed rows, positions count from the start of each example.

    Example:
        >>> layer = BertEmbeddings(BertConfig(vocab_size=10, num_layers=1, hidden_size=4, num_heads=1))
        >>> x, table = layer(ops.array([[2, 5, 3]]), ops.array([[0, 0, 0]]))
        >>> tuple(x.shape), tuple(table.shape)
        ((1, 3, 4), (10, 4))
    """

    def __init__(self, config: BertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.layer_norm = LayerNorm(config.layer_norm_epsilon, dtype=self.dtype_policy, name="layer_norm")
        self.dropout = Dropout(config.hidden_dropout, dtype=self.dtype_policy, name="dropout")

    def build(
        self,
        token_ids_shape: tuple[int | None, ...],
        segment_ids_shape: tuple[int | None, ...],
        example_ids_shape: tuple[int | None, ...] | None = None,
        example_starts_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        config = self.config
        self.token_embedding = self._embedding(config.vocab_size, "token_embedding")
        self.segment_embedding = self._embedding(config.num_segments, "segment_embedding")
        self.position_embedding = self._embedding(config.max_position_embeddings, "position_embedding")
        self.layer_norm.build((*token_ids_shape, config.hidden_size))

    def compute_output_spec(self, token_ids: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        # Written out, because JAX cannot trace the slice of the position table for an unknown length.
        x = keras.KerasTensor((*token_ids.shape, self.config.hidden_size), dtype=self.compute_dtype)
        table = keras.KerasTensor((self.config.vocab_size, self.config.hidden_size), dtype=self.compute_dtype)
        return x, table

    def _embedding(self, rows: int, name: str) -> Any:
        initializer = keras.initializers.TruncatedNormal(stddev=self.config.initializer_range)
        return self.add_weight(shape=(rows, self.config.hidden_size), initializer=initializer, name=name)

    def call(
        self,
        token_ids: Any,
        segment_ids: Any,
        example_ids: Any = None,
        example_starts: Any = None,
        training: bool = False,
    ) -> tuple[Any, Any]:
        length = _length(token_ids)
        if isinstance(length, int):
            self.config.check_length(length)
        x = ops.take(self.token_embedding, token_ids, axis=0)  # (batch, length, hidden)
        x = x + small_table_lookup(self.segment_embedding, segment_ids)
        if example_ids is None:
            x = x + self.position_embedding[:length]  # (length, hidden), added to every row of the batch
        else:
            x = x + ops.take(self.position_embedding, packed_position_ids(example_ids, example_starts), axis=0)
        x = self.dropout(self.layer_norm(x), training=training)
        return x, ops.convert_to_tensor(self.token_embedding)

    def step(self, token_ids: Any, position: Any) -> Any:
        """Embeds tokens `(batch, n)` that are all at one position, in segment 0; returns `(batch, n, hidden_size)`."""
        parts = (
            ops.take(self.token_embedding, token_ids, axis=0),
            self.segment_embedding[0],
            ops.take(self.position_embedding, position, axis=0),
        )
        # Keras casts weights only within `call`.
        return self.layer_norm(sum(ops.cast(part, self.compute_dtype) for part in parts))
