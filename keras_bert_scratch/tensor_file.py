"""Named arrays in one HDF5 file, written whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError


def write_tensors(path: Path | str, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes `tensors` to `path`; a `/` in a name makes a group.

    Example:
        >>> write_tensors("numbers.h5", {"layer/bias": np.zeros(3)})
        >>> {name: tensor.shape for name, tensor in read_tensors("numbers.h5").items()}
        {'layer/bias': (3,)}
    """
    # Made in memory first: on a full disk the HDF5 library does not fail, it brings the process down.
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        for name, tensor in tensors.items():
            file[name] = tensor
    with atomic.written_file(path) as place:
        place.write_bytes(image.getbuffer())


def read_tensors(path: Path | str) -> dict[str, np.ndarray]:
    """The tensors that `write_tensors` wrote, by name."""
    found: dict[str, np.ndarray] = {}
    try:
        with h5py.File(path) as file:
            file.visititems(
                lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
    except OSError as error:
        raise UserError(f"{path}: is damaged ({str(error).splitlines()[0]}); copy it again") from error
    return found
