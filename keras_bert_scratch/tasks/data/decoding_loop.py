"""Parts of text generation in the graph: a loop whose state grows, and the tokens that are never generated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.text.vocabulary import CLS, MASK, PAD, UNK, Vocabulary

FORBIDDEN_TOKENS = (PAD, UNK, CLS, MASK)


def forbidden_token_bias(vocabulary: Vocabulary, vocab_size: int) -> np.ndarray:
    """The bias to add to logits, float32 `(vocab_size,)`: minus infinity for tokens that no text may contain, and for
    embedding rows without a token.

    Example:
        >>> forbidden_token_bias(Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a")), 7).tolist()
        [-inf, -inf, -inf, 0.0, -inf, 0.0, -inf]
    """
    bias = np.zeros(vocab_size, np.float32)
    bias[len(vocabulary) :] = -np.inf
    bias[[vocabulary.id(token) for token in FORBIDDEN_TOKENS]] = -np.inf
    return bias


def decoding_while_loop(
    should_continue: Callable[..., tf.Tensor], write: Callable[..., Any], variables: Any, shapes: Any
) -> Any:
    """A `tf.while_loop` that stays one operation with a function as its body, also in functions created from it.

    Otherwise TensorFlow lowers the loop into the surrounding graph, and its graph optimizer may break a loop whose body
    attends to earlier steps: all outputs are then empty (seen in 2.21). The body is called, not inlined, so that
    TensorFlow optimizes it separately and multiplies matrices with oneDNN.
    """
    body = tf.function(write, autograph=False, experimental_attributes={"_noinline": True})

    def one_step(*state: Any) -> Any:
        # Only the executor type set below keeps the loop one operation. Here it is reset: a step that ran under it
        # would hold a thread while it waits for its own parts, and with as many callers as threads none would finish.
        with tf.experimental.function_executor_type(""):
            return body(*state)

    with tf.experimental.function_executor_type("SINGLE_THREADED_EXECUTOR"):
        return tf.while_loop(should_continue, one_step, variables, shape_invariants=shapes)


def growing(values: tf.Tensor) -> tf.TensorShape:
    """The shape of keys or values that holds at every step: any number of rows, any size of axis 2."""
    return tf.TensorShape([None if axis in (0, 2) else size for axis, size in enumerate(values.shape)])
