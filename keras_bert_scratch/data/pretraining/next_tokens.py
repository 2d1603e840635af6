"""The labels of one-way models: every token predicts the next one in the direction of reading."""

from __future__ import annotations

import numpy as np

from keras_bert_scratch.config import LEFT_TO_RIGHT


def next_tokens(
    token_ids: np.ndarray, example_ids: np.ndarray, direction: str = LEFT_TO_RIGHT
) -> tuple[np.ndarray, np.ndarray]:
    """What each position of a one-way model is to predict (Radford et al. 2018, section 3.1, equation 1).

    A row may hold several examples; the last token of each, in the reading direction, has nothing to predict.

    Args:
        token_ids: int32 `(rows, length)`.
        example_ids: int32 `(rows, length)`. 1, 2, ... at the tokens of the row's first, second, ... example; 0 at
            padding.
        direction: `"left-to-right"` (default), the token that follows; or `"right-to-left"`, the one before.

    Returns: the labels, int32 `(rows, length)`, and their weights, float32 `(rows, length)`: 1 where the next token
    belongs to the same example; elsewhere weight and label are 0.

    Example:
        >>> labels, weights = next_tokens(np.array([[2, 5, 3, 2, 6, 0]]), np.array([[1, 1, 1, 2, 2, 0]]))
        >>> labels.tolist(), weights.tolist()
        ([[5, 3, 0, 6, 0, 0]], [[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]])
    """
    follows = np.zeros(token_ids.shape, bool)
    same = (example_ids[:, :-1] == example_ids[:, 1:]) & (example_ids[:, :-1] != 0)
    forward = direction == LEFT_TO_RIGHT
    if forward:
        follows[:, :-1] = same
    else:
        follows[:, 1:] = same
    labels = np.where(follows, np.roll(token_ids, -1 if forward else 1, axis=1), 0)
    return labels.astype(np.int32), follows.astype(np.float32)
