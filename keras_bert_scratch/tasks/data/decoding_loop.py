"""What writes texts token by token, in the graph: a loop whose state grows, and the tokens that are never written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.text.vocabulary import CLS, MASK, PAD, UNK, Vocabulary

NEVER_WRITTEN = (PAD, UNK, CLS, MASK)


def never_written(vocabulary: Vocabulary, vocab_size: int) -> np.ndarray:
    """What to add to logits, float32 `(vocab_size,)`: minus infinity at tokens that no text holds, and at rows of the
    embedding without a token.

    Example:
        >>> never_written(Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a")), 7).tolist()
        [-inf, -inf, -inf, 0.0, -inf, 0.0, -inf]
    """
    bias = np.zeros(vocab_size, np.float32)
    bias[len(vocabulary) :] = -np.inf
    bias[[vocabulary.id(token) for token in NEVER_WRITTEN]] = -np.inf
    return bias


def one_loop(goes_on: Callable[..., tf.Tensor], write: Callable[..., Any], variables: Any, shapes: Any) -> Any:
    """`tf.while_loop` that stays one operation whose body is a function, also in the functions that are made of it.

    Else its parts become those of the graph around it, which TensorFlow's graph optimizer may break where the body
    attends to what was computed before: all outputs are empty then (seen in 2.21). The function is called, not inlined:
    so it is optimized by itself, and multiplies matrices by oneDNN.
    """
    body = tf.function(write, autograph=False, experimental_attributes={"_noinline": True})

    def one_step(*state: Any) -> Any:
        # The loop stays one operation by this setting alone. A step under it would hold a thread while it waits for
        # its own parts, so that with as many callers as threads none would ever end.
        with tf.experimental.function_executor_type(""):
            return body(*state)

    with tf.experimental.function_executor_type("SINGLE_THREADED_EXECUTOR"):
        return tf.while_loop(goes_on, one_step, variables, shape_invariants=shapes)


def growing(values: tf.Tensor) -> tf.TensorShape:
    """The shape of keys or values at every step: any number of rows, any size of axis 2."""
    return tf.TensorShape([None if axis in (0, 2) else size for axis, size in enumerate(values.shape)])
