"""What weights never need is refused in one line, whatever the bytes are: foreign code, bombs, damage."""

import base64
import contextlib
import pickle
import random
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_files import BY_TORCH, FILE, FORMS, NUMBERS, Tensor, check_own, lookup, refusal, steps, write

from keras_bert_scratch.checkpoints import torch_pickle
from keras_bert_scratch.checkpoints.torch_pickle import read_torch_tensors
from keras_bert_scratch.errors import UserError

HACK = ("open('hacked', 'w').close()",)
NO_TRUST = "do not trust this file"
STACKED = steps("builtins") + steps("exec") + b"\x93"
RUNNING = {
    "system": lookup("os", "system") + steps(("echo > hacked",)) + b"R",
    "eval": lookup("builtins", "eval") + steps(HACK) + b"R",
    "stack-global": b"\x80\x04" + STACKED + steps(HACK) + b"R",
    "dotted": b"\x80\x04" + steps("collections") + steps("_sys.modules") + b"\x93" + STACKED + steps(HACK) + b"R",
    "inst": b"(" + steps(*HACK) + b"ibuiltins\nexec\n",
    "obj": b"(" + lookup("builtins", "exec") + steps(*HACK) + b"o",
}


@pytest.mark.parametrize("attack", RUNNING)
@pytest.mark.parametrize("form", FORMS)
def test_foreign_code_does_not_run(form, attack):
    program = RUNNING[attack]
    pickle.loads(b"\x80\x02" + program + b".")
    Path("hacked").unlink()  # `pickle` ran the program, so it is a real attack

    bare = Tensor(shape=(program,))
    hooks = lookup("torch._utils", "_rebuild_tensor_v2") + steps((None, 0, (), (), False, program)) + b"R"
    for value in (program, {"x": program}, {"state_dict": {"x": program}}, {"x": bare}, {"x": hooks}, {"k": [program]}):
        write(form, value)
        message = refusal()
        assert "wants to run " in message
        assert NO_TRUST in message
        assert not Path("hacked").exists()


@pytest.mark.parametrize("where", ["about", "keys"])
def test_foreign_code_does_not_run_beside_the_state_dict(where):
    program = b"\x80\x02" + RUNNING["eval"] + b"."
    head = b"".join(b"\x80\x02" + steps(n) + b"." for n in (torch_pickle.MAGIC_NUMBER, torch_pickle.PROTOCOL_VERSION))
    FILE.write_bytes(head + (program if where == "about" else b"}.}." + program))
    assert "wants to run builtins.eval" in refusal()
    assert not Path("hacked").exists()


STEPS = {
    "newobj": b"\x80\x02" + lookup("collections", "OrderedDict") + b")\x81",
    "extension": b"\x82\x01",
    "text persistent id": b"Pos\n",
    "build list": b"(lp0\n",
    "out of band": b"\x97",
}


@pytest.mark.parametrize("step", STEPS)
def test_steps_that_weights_do_not_need_are_refused(step):
    write("zip", STEPS[step])
    assert NO_TRUST in refusal()


def test_a_name_cannot_break_the_line_of_the_message():
    write("zip", steps("os\n\x1b[2J") + steps("a\ud800".encode("utf-8", "surrogatepass").decode("latin-1")) + b"\x93")
    assert r"os\n\x1b[2J" in refusal()
    write("zip", {"a\nb\x1b": []})
    assert r"'a\nb\x1b'" in refusal()
    write("zip", b"}X\x03\x00\x00\x00\xed\xa0\x80]s")
    assert r"\ud800" in refusal()


UNFIT = {
    "no dict": (steps(Tensor()), "is not a dict of tensors"),
    "a number": (3, "is not a dict of tensors"),
    "nested": ({"model": {"x": Tensor()}}, "no tensor under 'model'"),
    "twice nested": ({"state_dict": {"state_dict": {"x": Tensor()}, "y": {}}}, "no tensor under 'state_dict'"),
    "list": ({"x": Tensor(), "y": []}, "no tensor under 'y'"),
    "size": ({"y": lookup("torch", "Size") + steps(((1, 2),)) + b"R"}, "no tensor under 'y'"),
    "number as name": ({3: Tensor()}, "no tensor under '3'"),
    "bare storage": ({"y": b"(X\x07\x00\x00\x00storage" + lookup("torch", "IntStorage") + steps("0")
                      + steps("cpu") + b"K\x00tQ"}, "no tensor under 'y'"),
    "too long": ({"x": Tensor(shape=(7,), strides=(1,))}, "'x' reaches beyond its storage"),
    "too wide": ({"x": Tensor(shape=(2, 3), strides=(4, 1))}, "'x' reaches beyond its storage"),
    "offset": ({"x": Tensor(offset=1)}, "'x' reaches beyond its storage"),
    "huge": ({"x": Tensor(shape=(2**40, 2**40), strides=(0, 0))}, "'x' would be larger than the whole file"),
    "huge none": ({"x": Tensor(shape=(2**40, 0), strides=(0, 0))}, "'x' would be larger than the whole file"),
    "absurd": ({"x": Tensor(shape=(2**100,), strides=(1,))}, "damaged"),
    "absurd count": ({"x": Tensor(count=2**100)}, "damaged"),
    "absurd stride": ({"x": Tensor(shape=(1,), strides=(2**62,))}, "damaged"),
    "negative": ({"x": Tensor(offset=6, shape=(2,), strides=(-1,))}, "damaged"),
    "negative offset": ({"x": Tensor(offset=-1, shape=(1,), strides=(1,))}, "damaged"),
    "negative shape": ({"x": Tensor(shape=(-1,), strides=(1,))}, "damaged"),
    "shape of texts": ({"x": Tensor(shape=("a",), strides=(1,))}, "damaged"),
    "more axes than strides": ({"x": Tensor(shape=(1, 1), strides=(1,))}, "damaged (it builds a tensor from"),
    "many axes": ({"x": Tensor(shape=(1,) * 99, strides=(1,) * 99)}, "damaged (it builds a tensor from"),
    "two kinds": ({"x": Tensor(), "y": Tensor(kind="Int")}, "damaged"),
    "not a function": (steps(3) + b")R", "damaged"),
    "storage made": (lookup("torch", "FloatStorage") + b")R", "damaged"),
    "no tensor": (lookup("torch._utils", "_rebuild_parameter") + steps((3, True, None)) + b"R", "damaged"),
    "no storage": (steps(("storage", 3)) + b"Q", "damaged"),
    "no kind": (steps(("storage", lookup("torch", "Size"), "0", "cpu", 6)) + b"Q", "damaged (it has a storage in"),
    "module": (steps(("module", "a", "b", "c")) + b"Q", "damaged"),
    "empty stack": (b"R", "damaged"),
    "no mark": (b"t", "damaged"),
    "no such memo": (b"h\x09", "damaged"),
    "odd items": (b"}(K\x01u", "damaged"),
    "append to number": (b"K\x01K\x02a", "damaged"),
    "nothing": (b"", "damaged"),
    "name of no text": (b"NN\x93", "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNFIT)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_state_dict_is_refused(form, case):
    value, reason = UNFIT[case]
    write(form, value)
    assert reason in refusal()


BOMBS = {
    "memo": b"}r\xff\xff\xff\x7f",
    "text": b"X\xff\xff\xff\xff",
    "long text": b"\x8d" + struct.pack("<Q", 2**62),
    "frame": b"\x95" + struct.pack("<Q", 2**62) + b"}",
    "long number": b"\x8b\xff\xff\xff\x7f",
    "bytes": b"\x8e" + struct.pack("<Q", 2**40),
    "deep key": b"})" + b"\x85" * 200_000 + b"K\x01s",
    "deep name": b")" + b"\x85" * 200_000 + b"K\x01\x93",
    "doubled name": b"]q\x00" + b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(60)) + b"K\x01\x93",
    "storage": steps({"x": Tensor(count=2**47, shape=(1,), strides=(1,))}),
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("form", FORMS)
def test_no_file_fills_the_memory_or_brings_python_down(form, bomb):
    write(form, BOMBS[bomb])
    tracemalloc.start()
    try:
        with contextlib.suppress(UserError):
            assert read_torch_tensors(FILE) == {}
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


def test_a_pickle_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(torch_pickle, "MOST_PICKLED_BYTES", 1000)
    write("zip", b"]" * 2000)
    assert NO_TRUST in refusal()


def test_other_files_are_refused():
    assert "cannot be read (No such file" in refusal()
    FILE.write_bytes(b"")
    assert "is empty" in refusal()
    for start in (b"version https://git-lfs", b"P", b"\x89HDF\r\n", b"PK\x05\x06"):
        FILE.write_bytes(start)
        assert "was not written by torch.save" in refusal()
    FILE.write_bytes(pickle.dumps({"x": 1}, 2))
    assert "is a pickle that torch.save did not write" in refusal()
    with zipfile.ZipFile(FILE, "w") as archive:
        archive.writestr("a.txt", "a")
    assert "is a zip file that torch.save did not write" in refusal()
    FILE.unlink()
    FILE.mkdir()
    assert "cannot be read (Is a directory" in refusal()


def test_zip_tricks_are_refused():
    value = {"x": Tensor()}
    write("zip", value, {"0": np.zeros(10**6, np.float32)}, compression=zipfile.ZIP_DEFLATED)
    assert "compressed or encrypted" in refusal()
    write("zip", value)
    FILE.write_bytes(FILE.read_bytes().replace(b"PK\x01\x02\x14\x03\x14\0\0", b"PK\x01\x02\x14\x03\x14\0\1"))
    assert "compressed or encrypted" in refusal()
    write("zip", value, byteorder="middle")
    assert "damaged" in refusal()
    write("zip", value)
    whole = FILE.read_bytes()
    for length in (10**6, 0xFFFFFFFE):
        FILE.write_bytes(whole.replace(struct.pack("<II", 24, 24), struct.pack("<II", length, length)))
        assert "claims to hold more than its own size" in refusal()
    FILE.write_bytes(whole.replace(NUMBERS.tobytes(), bytes(24)))
    assert "damaged (Bad CRC-32" in refusal()

    far = zipfile.ZipInfo("archive/data.pkl")
    far.extra = struct.pack("<HHQ", 1, 8, 2**64 - 1)
    with zipfile.ZipFile(FILE, "w") as archive:
        archive.writestr(far, "")
    whole = FILE.read_bytes()
    offset = whole.index(b"PK\x01\x02") + 42
    FILE.write_bytes(whole[:offset] + b"\xff" * 4 + whole[offset + 4 :])
    assert "damaged" in refusal()


@pytest.mark.parametrize("numbers", [{}, {"0": NUMBERS[:1]}, {"0": np.zeros(7, np.float32)}], ids=["no", "few", "many"])
def test_a_zip_with_missing_numbers_is_refused(numbers):
    write("zip", {"x": Tensor()}, numbers)
    have = sum(array.nbytes for array in numbers.values())
    assert f"the tensor 'x' has {have} bytes but needs 24" in refusal()


def test_a_legacy_file_with_missing_numbers_is_refused():
    value = {"x": Tensor()}
    write("legacy", value, {})
    assert "the tensor 'x' has 0 bytes but needs 24" in refusal()
    write("legacy", value, {"0": struct.pack("<q", 6) + bytes(20)})
    assert "the tensor 'x' has 20 bytes but needs 24" in refusal()
    for block in (b"", bytes(7), struct.pack("<q", 5) + bytes(24), struct.pack("<q", -1) + bytes(24)):
        write("legacy", value, {"0": block})
        assert "the storage 0 is not where it should be" in refusal()
    for keys in (["1"], [0], "0", [("0",)], None):
        write("legacy", value, keys=keys)
        assert "its list of storages" in refusal()


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_short_is_refused(form):
    whole = zlib.decompress(base64.b85decode(BY_TORCH[form]))
    for length in range(len(whole)):
        FILE.write_bytes(whole[:length])
        refusal()


def test_a_zip_with_changed_bytes_is_right_or_refused():
    whole = zlib.decompress(base64.b85decode(BY_TORCH["zip"]))
    rng = random.Random(1)
    for _ in range(1000):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 1, 1, 4, 16))):
            damaged[rng.randrange(len(whole))] ^= rng.randrange(1, 256)
        FILE.write_bytes(damaged)
        with contextlib.suppress(UserError):
            check_own(read_torch_tensors(FILE))


def right_or_refused() -> None:
    """A change of the values themselves may go unnoticed, but there can be no more values than bytes in the file."""
    tensors: dict[str, np.ndarray] = {}
    with contextlib.suppress(UserError):
        tensors = read_torch_tensors(FILE)
    for array in tensors.values():
        assert array.nbytes <= 2 * FILE.stat().st_size
        array.copy()


def test_a_legacy_file_with_changed_bytes_is_read_or_refused():
    whole = zlib.decompress(base64.b85decode(BY_TORCH["legacy"]))
    rng = random.Random(1)
    for _ in range(1000):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 1, 1, 4, 16))):
            damaged[rng.randrange(len(whole))] ^= rng.randrange(1, 256)
        FILE.write_bytes(damaged)
        right_or_refused()


STEP = st.sampled_from(
    [b"\x80\x02", b"N", b"\x88", b")", b"]", b"}", b"(", b"t", b"\x85", b"\x86", b"\x87", b"a", b"e", b"s", b"u", b"b"]
    + [b"R", b"Q", b"q\x00", b"h\x00", b"\x94", b"\x93", b"K\x00", b"K\x03", *map(steps, ("x", "0", "storage", "cpu"))]
    + [lookup(*name.rsplit(".", 1)) for name in (*torch_pickle.FUNCTIONS, "torch.FloatStorage", "torch.BoolStorage")]
    + [steps(Tensor()), steps({"x": Tensor()}), steps({"y": 1})]
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(FORMS), st.lists(STEP | st.binary(max_size=3), max_size=30))
def test_a_pickle_of_any_steps_is_read_or_refused(form, program):
    write(form, b"".join(program))
    right_or_refused()
