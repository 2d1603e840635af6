"""The labels of the left-to-right objective: every token predicts the next one."""

from __future__ import annotations

import numpy as np


def next_tokens(token_ids: np.ndarray, example_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels of a left-to-right model (Radford et al. 2018, section 3.1, equation 1).

    A row may hold several examples; the last token of each has nothing to predict.

    Args:
        token_ids: int32 `(rows, length)`.
        example_ids: int32 `(rows, length)`. 1, 2, ... at the tokens of the row's first, second, ... example; 0 at
            padding.

    Returns: the labels, int32 `(rows, length)`, and their weights, float32 `(rows, length)`: 1 where the next token
    belongs to the same example; elsewhere weight and label are 0.

    Example:
        >>> labels, weights = next_tokens(np.array([[2, 5, 3, 2, 6, 0]]), np.array([[1, 1, 1, 2, 2, 0]]))
        >>> labels.tolist(), weights.tolist()
        ([[5, 3, 0, 6, 0, 0]], [[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]])
    """
    follows = np.zeros(token_ids.shape, bool)
    follows[:, :-1] = (example_ids[:, :-1] == example_ids[:, 1:]) & (example_ids[:, :-1] != 0)
    labels = np.where(follows, np.roll(token_ids, -1, axis=1), 0)
    return labels.astype(np.int32), follows.astype(np.float32)
