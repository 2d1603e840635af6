"""How replicas or workers share a batch: equally, or not at all."""

from __future__ import annotations

from keras_bert_scratch.errors import UserError


def rows_of_each(batch_size: int, parties: int, called: str = "workers") -> int:
    """How many rows of a batch each of several parties has.

    Args:
        batch_size: int. Rows of all of them together.
        parties: int. How many share it.
        called: str, default "workers". What the error calls them.

    Raises:
        UserError: they cannot share it equally.

    Example:
        >>> rows_of_each(32, 4)
        8
    """
    if batch_size >= 1 and batch_size % parties == 0:
        return batch_size // parties
    if parties == 1:
        raise UserError(f"`batch_size`: must be at least 1, not {batch_size}")
    raise UserError(f"`batch_size`: must be a multiple of the {parties} {called}, not {batch_size}")
