"""Arrays in a file: one at a time is in memory, and a full disk raises an error and does not end the process."""

import tracemalloc
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tensor_file import iterate_tensors, read_tensors, write_tensors


def test_names_shapes_and_types_come_back():
    tensors = {"b": np.float32(3), "a/x": np.arange(6, dtype="int64").reshape(2, 3), "a/none": np.zeros((0, 3))}
    write_tensors("tensors.h5", tensors)
    found = read_tensors("tensors.h5")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype


def test_bfloat16_of_other_programs_becomes_float32():
    """HDF5 has no such type: Keras writes two opaque bytes per number."""
    numbers = np.array([[1.0, -2.5], [3e38, 1e-38]], ml_dtypes.bfloat16)
    with h5py.File("theirs.h5", "w") as file:
        file["matrix"], file["scalar"] = numbers, numbers[0, 1]
    found = read_tensors("theirs.h5")
    np.testing.assert_array_equal(found["matrix"], numbers.astype("float32"))
    assert (found["scalar"], found["scalar"].dtype) == (-2.5, "float32")


def test_one_tensor_is_in_memory_at_a_time():
    size, count = 1 << 20, 12
    tracemalloc.start()
    try:
        write_tensors("tensors.h5", ((str(number), np.full(size, number, "uint8")) for number in range(count)))
        assert sum(int(tensor[0]) for _, tensor in iterate_tensors("tensors.h5")) == sum(range(count))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * size


@pytest.mark.parametrize("sizes", [[1 << 16] * 12, [1 << 20]], ids=["after some", "in the first"])
def test_a_full_disk_is_an_error_and_what_was_there_stays(small_disk, sizes):
    file = small_disk / "tensors.h5"
    write_tensors(file, {"old": np.ones(3)})
    with pytest.raises(UserError, match=rf"^{file}: the disk is full; free some space"):
        write_tensors(file, {str(number): np.ones(size, "uint8") for number, size in enumerate(sizes)})
    assert list(read_tensors(file)) == ["old"]
    assert [entry.name for entry in small_disk.iterdir()] == ["tensors.h5"]


@pytest.mark.parametrize("damage", [lambda content: content[:100], lambda content: b"", lambda content: b"x" * 2000])
def test_a_damaged_file_is_named(damage):
    write_tensors("tensors.h5", {"a": np.ones(300)})
    file = Path("tensors.h5")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=r"tensors\.h5: is damaged"):
        read_tensors(file)
