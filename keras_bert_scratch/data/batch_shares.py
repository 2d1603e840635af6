"""How replicas or workers share a batch: in equal parts only."""

from __future__ import annotations

from keras_bert_scratch.errors import UserError


def local_batch_size(batch_size: int, parties: int, called: str = "workers") -> int:
    """How many rows of a global batch each replica or worker has.

    Args:
        batch_size: int. Rows of the global batch.
        parties: int. How many replicas or workers share it.
        called: str, default "workers". What the error message calls them.

    Raises:
        UserError: the batch cannot be divided equally.

    Example:
        >>> local_batch_size(32, 4)
        8
    """
    if batch_size >= 1 and batch_size % parties == 0:
        return batch_size // parties
    if parties == 1:
        raise UserError(f"`batch_size`: must be at least 1, not {batch_size}")
    raise UserError(f"`batch_size`: must be a multiple of {parties}, the number of {called}, not {batch_size}")
