"""Reading what `torch.save` wrote, in both of its formats."""

import base64
import zlib

import numpy as np
import pytest
from torch_files import BY_TORCH, FILE, FORMS, NUMBERS, Tensor, check_own, lookup, refusal, steps, write

from keras_bert_scratch.checkpoints.torch_pickle import read_torch_tensors


@pytest.mark.parametrize("form", FORMS)
def test_torchs_own_file_is_read(form):
    FILE.write_bytes(zlib.decompress(base64.b85decode(BY_TORCH[form])))
    check_own(read_torch_tensors(str(FILE)))


KINDS = [
    # storage type, values in the file, values that are read
    ("Float", np.array([1.5, -0.0, np.inf], "f4"), np.array([1.5, -0.0, np.inf], "f4")),
    ("Half", np.array([1.5, -2, 65504], "f2"), np.array([1.5, -2, 65504], "f2")),
    ("BFloat16", np.array([0x3FC0, 0xC000, 0x7F80], "u2"), np.array([1.5, -2, np.inf], "f4")),
    ("Double", np.array([1e300, 2, 3]), np.array([1e300, 2, 3])),
    ("Long", np.array([1, -2, 2**62]), np.array([1, -2, 2**62])),
    ("Int", np.array([1, -2, 2**30], "i4"), np.array([1, -2, 2**30], "i4")),
    ("Short", np.array([1, -2, 2**14], "i2"), np.array([1, -2, 2**14], "i2")),
    ("Char", np.array([1, -2, 127], "i1"), np.array([1, -2, 127], "i1")),
    ("Byte", np.array([1, 0, 255], "u1"), np.array([1, 0, 255], "u1")),
    ("Bool", np.array([1, 0, 2], "u1"), np.array([True, False, True])),
]


@pytest.mark.parametrize(("kind", "stored", "wanted"), KINDS, ids=[kind for kind, _, _ in KINDS])
def test_every_kind_of_number(kind, stored, wanted):
    value = {"x": Tensor(kind, 3, 0, (3,), (1,))}
    for form in FORMS:
        write(form, value, {"0": stored})
        np.testing.assert_array_equal(read_torch_tensors(FILE)["x"], wanted, strict=True)
        assert not read_torch_tensors(FILE)["x"].flags.writeable
    write("zip", value, {"0": stored}, byteorder="little")
    np.testing.assert_array_equal(read_torch_tensors(FILE)["x"], wanted, strict=True)
    write("zip", value, {"0": stored}, order=">", byteorder="big")
    np.testing.assert_array_equal(read_torch_tensors(FILE)["x"], wanted, strict=True)


@pytest.mark.parametrize("form", FORMS)
def test_shapes_offsets_and_strides(form):
    value = {
        "whole": Tensor(),
        "turned": Tensor(shape=(3, 2), strides=(1, 3)),
        "column": Tensor(offset=1, shape=(2,), strides=(3,)),
        "one": Tensor(offset=5, shape=(), strides=()),
        "spread": Tensor(offset=2, shape=(4, 2), strides=(0, 1)),
        "none": Tensor(count=0, shape=(0, 5), strides=(5, 1), key="1"),
        "none of five": Tensor(count=0, shape=(5, 0), strides=(1, 1), key="1"),
    }
    write(form, value, {"0": NUMBERS, "1": NUMBERS[:0]})
    tensors = read_torch_tensors(FILE)
    wanted = {
        "whole": NUMBERS,
        "turned": NUMBERS.T,
        "column": NUMBERS[:, 1],
        "one": NUMBERS[1, 2],
        "spread": np.broadcast_to(NUMBERS.ravel()[2:4], (4, 2)),
        "none": np.zeros((0, 5), np.float32),
        "none of five": np.zeros((5, 0), np.float32),
    }
    assert list(tensors) == list(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(tensors[name], array, err_msg=name)
        assert tensors[name].shape == array.shape


def test_a_legacy_view_of_a_storage():
    write("legacy", {"x": Tensor(offset=1, shape=(2,), strides=(1,), view=("7", 2, 3))})
    np.testing.assert_array_equal(read_torch_tensors(FILE)["x"], [3, 4])
    write("legacy", {"x": Tensor(offset=2, shape=(2,), strides=(1,), view=("7", 2, 3))})
    assert "'x' reaches beyond its storage" in refusal()
    write("legacy", {"x": Tensor(shape=(2,), strides=(1,), view=("7", 4, 3))})
    assert "'x' reaches beyond its storage" in refusal()
    for tensor in (Tensor(view=("7", -1, 3)), Tensor(view=("7", 0)), Tensor(count="6", view=("7", 0, 6))):
        write("legacy", {"x": tensor})
        assert "damaged" in refusal()


@pytest.mark.parametrize("form", FORMS)
def test_storages_of_other_values_are_passed_over(form):
    value = {
        "optimizer": {0: Tensor(count=2, key="0"), "lr": 0.1, "groups": [(1, None, True)]},
        "state_dict": {"x": Tensor(key="1"), "steps": 3, "note": "hi", "rate": 0.5, "on": True, "nothing": None},
    }
    write(form, value, {"0": NUMBERS[0, :2], "1": NUMBERS})
    tensors = read_torch_tensors(FILE)
    assert list(tensors) == ["x"]
    np.testing.assert_array_equal(tensors["x"], NUMBERS)


def test_parameters_and_the_notes_of_a_state_dict():
    parameter = lookup("torch._utils", "_rebuild_parameter") + steps((steps(Tensor()), True, None)) + b"R"
    notes = steps({"_metadata": {"": {"version": 1}}}) + b"b"
    write(
        "zip", lookup("collections", "OrderedDict") + b")R" + steps({"x": parameter})[1:] + notes, root="pytorch_model"
    )
    np.testing.assert_array_equal(read_torch_tensors(FILE)["x"], NUMBERS)


def test_steps_of_later_protocols():
    name = b"\x8c\x0ctorch._utils\x8c\x12_rebuild_tensor_v2\x93"
    tensor = name + steps(Tensor())[len(lookup("torch._utils", "_rebuild_tensor_v2")) :]
    write("zip", b"\x95" + bytes(8) + b"}\x94\x8c\x01x" + tensor + b"\x94s\x8c\x01yh\x01s")
    tensors = read_torch_tensors(FILE)
    np.testing.assert_array_equal(tensors["x"], NUMBERS)
    assert np.shares_memory(tensors["x"], tensors["y"])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("form", FORMS)
def test_all_is_as_torch_reads_it(form, protocol):
    torch = pytest.importorskip("torch", reason="torch comes with the parity extra")
    torch.manual_seed(0)
    names = ["float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"]
    values = {name: (torch.randn(7, 5) * 50).abs().to(getattr(torch, name)) for name in names}
    base = torch.randn(8, 6)
    values |= {
        "base": base, "tied": base, "turned": base.T, "rows": base[2:5], "column": base[:, 3], "steps": base[::3, 1::2],
        "spread": base[:1, :1].expand(4, 3), "one": base[3, 3], "none": torch.zeros(0, 3), "scalar": torch.tensor(2.5),
        "parameter": torch.nn.Parameter(torch.randn(3)), "epoch": 3,
    }  # fmt: skip
    block = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    for value in (values, {"state_dict": values, "epoch": 3}, block.state_dict()):
        torch.save(value, FILE, pickle_protocol=protocol, _use_new_zipfile_serialization=form == "zip")
        tensors = read_torch_tensors(FILE)
        theirs = torch.load(FILE, weights_only=protocol == 2).get("state_dict", value)
        assert list(tensors) == [name for name in theirs if name != "epoch"]
        for name, tensor in tensors.items():
            wanted = theirs[name].detach()
            wanted = wanted.float() if wanted.dtype == torch.bfloat16 else wanted
            np.testing.assert_array_equal(tensor, wanted.numpy(), strict=True, err_msg=name)
    torch.save(values, FILE, _use_new_zipfile_serialization=form == "zip")
    tensors = read_torch_tensors(FILE)
    assert np.shares_memory(tensors["base"], tensors["steps"])
