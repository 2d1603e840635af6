"""`torch.save` files read without torch: right, or refused in one line, and never run."""

import base64
import contextlib
import dataclasses
import pickle
import random
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_bert_scratch.checkpoints import torch_pickle
from keras_bert_scratch.checkpoints.torch_pickle import read_torch_tensors
from keras_bert_scratch.errors import UserError

FORMS = ("zip", "legacy")
FILE = Path("weights.bin")
NUMBERS = np.arange(6, dtype=np.float32).reshape(2, 3)

# torch 2.13's own: {"weight": NUMBERS.T, "tied": NUMBERS, "half": [1.5, -2.0] in bfloat16}
BY_TORCH = {
    "zip": (
        "c-p0vJ#W)M9LCRf;sh7c7fRC>=p3Yy+DV!h5KU!}CFFrL6;jm2a-"
        "C~z;l@4Z(h4M`N~o2(0TUB~4Z#Os?N?xD>rgQ<@CCTDi)*_irPRvh@^a5}zw`h9Bn_2I0FX|DGuIfH0J>|K);3&d>sZfkJ+l=#1J)wfF8dOJ"
        "T#F}y9cXn-j2HtuM3&e3*s^<q=EC*9Ww$j9yFJI%whIDcbGcTED0*b2-"
        "hqhoC4yo*I$rfZ6i}kYkToJowm32yTYbc<JVvP%6{wub?xVEIsN6ofa$p#aZ9@ZFPPZpKaof;^?MIe@1ti>Qq7jU)Hqo^fIVZptY@>`x08Gw"
        "Im`T&K9Ho{l^%^72%sv`FFsX6^qw7sH=_yU!-at2e<q59r@k-@@c*-"
        "M|P?p%T7)^V&duT>w_Ry?vc@v{sO?11TZ>XvCaq8XY8j;Y^7+8obkb^?xHyn3U$J#b@d*rl=ycDa)MK6hReEs?T6(y%*Fvl#YoN}C$PSb6x)"
        "7^w!tjNXxK`ECgKz#@OV96HjP=Ikz4*=GmW9ZOIEAsuz+ydLe*oKs0@4?XwZDW2YLk28GQn4T^^1Vv{_^!Kk^0Z7IWbBghVVM$TUmw4jCSOd"
        "SLo^>Hk`y`j&qRlHa7gz`t*jl<Hct%QYcy1Wpam~=|BC|M{oDJ_)AQ>;2MVVR=pD5OU5j+!3!O$^v)YQBzaWgbSe7KQx>zWdrCPZnE*5GfsX"
        "|_e)nZjFlxk8*EZ4*erF{J5<F6dy$a$0ug$+2vQ64)(9{(MUtHS}zMwAB(7!>}vNjOBa(crLPNOI#o;UJ7heBOq9f&j+l;jYa@<Wn4oWhbr;"
        "cVSffDXx{`+HenzMzoU&5bxT!I9%Gf=$S*}zc*b&<@xzPEy~>ul<C+!!uoSH>CZ$*{{+Fql>grU^-c1=Che{F*Zu}q@vY7"
    ),
    "legacy": (
        "c-n1{%}(1u5XbGclay_t;j1nE636rs5tINqfvSqjsx71!UyzmB+w4{=Z^j-"
        "|frOL`5%3HgIPw_04v$c&hmP$QamZ?Sq@A7l|K`6FcE!z~>;2#BKW`7#+7tHq-lKR1PAh0Sjx$az+Q^#lSf-h_3Aj`c%+rg}h(?AoiS;l6b`"
        "fw&;>lQsnLd>ncxT|Zf*K_=WmANjV1Y+BogmbOANYlaO-9fVexCnl)+zf-"
        ">XAZlBeZFx+F_2`WIRme_gtGeM44nZ4UacDuvRN*6a=aqjwE<h3*R?(h~KIt2R~S#ntpeCqtoec_PRU$ZWn6hFwr=tVd`HH8i&FWo?ugWB3$"
        "83VeT>_-$q7Awln@Ujb$q1PdY*l{KEjAB0L+weCY$VjA231ILcEqanDtSX%-"
        "k(=r0n@ox;+kD%6${RtB(Is;Qy*0WT`Ge}+DmjyhWpo?bqJZ1j443S01sAdDbuCFC4l3-"
        "=t}RDib#?*{O`_~@hJqi3|cvj%6f&75l8?K*dL=kc2CQrM$SXF}&@?=QyxnK1"
    ),
}


@dataclasses.dataclass
class Tensor:
    """A tensor as torch pickles it."""

    kind: str = "Float"
    count: Any = 6
    offset: Any = 0
    shape: tuple[Any, ...] = (2, 3)
    strides: tuple[Any, ...] = (3, 1)
    key: str = "0"
    view: tuple[Any, ...] | None = None


def lookup(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def steps(value: Any, form: str = "zip") -> bytes:
    """The pickle steps that make `value`; bytes are steps already."""

    def each(items) -> bytes:
        return b"".join(steps(item, form) for item in items)

    match value:
        case bytes():
            return value
        case None | True | False:
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        case int():
            return b"\x8a\x10" + value.to_bytes(16, "little", signed=True)
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + each(value) + b"t"
        case list():
            return b"](" + each(value) + b"e"
        case dict():
            return b"}(" + each(part for item in value.items() for part in item) + b"u"
        case Tensor():
            view = [value.view] if form == "legacy" else []
            identity = ("storage", lookup("torch", f"{value.kind}Storage"), value.key, "cpu", value.count, *view)
            hooks = lookup("collections", "OrderedDict") + b")R"
            arguments = (steps(identity, form) + b"Q", value.offset, value.shape, value.strides, False, hooks)
            return lookup("torch._utils", "_rebuild_tensor_v2") + steps(arguments, form) + b"R"


def write(form: str, value: Any, storages: dict[str, Any] | None = None, order: str = "<", **changes: Any) -> None:
    """Writes `FILE` as torch would: `storages` are arrays, or the bytes that stand in their place."""
    storages = {"0": NUMBERS} if storages is None else storages
    program = b"\x80\x02" + steps(value, form) + b"."
    if form == "zip":
        with zipfile.ZipFile(FILE, "w", changes.get("compression", zipfile.ZIP_STORED)) as archive:
            root = changes.get("root", "archive")
            archive.writestr(f"{root}/data.pkl", program)
            if "byteorder" in changes:
                archive.writestr(f"{root}/byteorder", changes["byteorder"])
            for key, numbers in storages.items():
                data = numbers if isinstance(numbers, bytes) else numbers.astype(numbers.dtype.newbyteorder(order))
                archive.writestr(f"{root}/data/{key}", bytes(data))
    else:
        about = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2}}
        head = [torch_pickle.MAGIC_NUMBER, torch_pickle.PROTOCOL_VERSION, about]
        blocks = [n if isinstance(n, bytes) else struct.pack("<q", n.size) + n.tobytes() for n in storages.values()]
        pickles = [b"\x80\x02" + steps(part) + b"." for part in head] + [program]
        keys = b"\x80\x02" + steps(changes.get("keys", list(storages))) + b"."
        FILE.write_bytes(b"".join(pickles) + keys + b"".join(blocks))


def refusal() -> str:
    """What reading `FILE` is refused with: one line, which names the file."""
    with pytest.raises(UserError) as refused:
        read_torch_tensors(FILE)
    message = str(refused.value)
    assert message.startswith("weights.bin: ")
    assert message.isprintable()
    return message


@pytest.mark.parametrize("form", FORMS)
def test_torchs_own_file_is_read(form):
    FILE.write_bytes(zlib.decompress(base64.b85decode(BY_TORCH[form])))
    check_own(read_torch_tensors(str(FILE)))


def check_own(tensors) -> None:
    assert list(tensors) == ["weight", "tied", "half"]
    np.testing.assert_array_equal(tensors["weight"], NUMBERS.T, strict=True)
    np.testing.assert_array_equal(tensors["tied"], NUMBERS, strict=True)
    np.testing.assert_array_equal(tensors["half"], np.array([1.5, -2], np.float32), strict=True)
    assert np.shares_memory(tensors["weight"], tensors["tied"])


KINDS = [
    # kind, as it lies in the file, as it should be read
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
    assert "'x' reaches beyond its numbers" in refusal()
    write("legacy", {"x": Tensor(shape=(2,), strides=(1,), view=("7", 4, 3))})
    assert "'x' reaches beyond its numbers" in refusal()
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
    Path("hacked").unlink()  # so it is an attack

    bare = Tensor(shape=(program,))
    hooks = lookup("torch._utils", "_rebuild_tensor_v2") + steps((None, 0, (), (), False, program)) + b"R"
    for value in (program, {"x": program}, {"state_dict": {"x": program}}, {"x": bare}, {"x": hooks}, {"k": [program]}):
        write(form, value)
        message = refusal()
        assert "wants to run " in message
        assert NO_TRUST in message
        assert not Path("hacked").exists()


@pytest.mark.parametrize("place", ["about", "keys"])
def test_foreign_code_does_not_run_beside_the_state_dict(place):
    program = b"\x80\x02" + RUNNING["eval"] + b"."
    head = b"".join(b"\x80\x02" + steps(n) + b"." for n in (torch_pickle.MAGIC_NUMBER, torch_pickle.PROTOCOL_VERSION))
    FILE.write_bytes(head + (program if place == "about" else b"}.}." + program))
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
    "no dict": (steps(Tensor()), "holds no tensors by name"),
    "a number": (3, "holds no tensors by name"),
    "nested": ({"model": {"x": Tensor()}}, "no tensor under 'model'"),
    "twice nested": ({"state_dict": {"state_dict": {"x": Tensor()}, "y": {}}}, "no tensor under 'state_dict'"),
    "list": ({"x": Tensor(), "y": []}, "no tensor under 'y'"),
    "size": ({"y": lookup("torch", "Size") + steps(((1, 2),)) + b"R"}, "no tensor under 'y'"),
    "number as name": ({3: Tensor()}, "no tensor under '3'"),
    "bare storage": ({"y": b"(X\x07\x00\x00\x00storage" + lookup("torch", "IntStorage") + steps("0")
                      + steps("cpu") + b"K\x00tQ"}, "no tensor under 'y'"),
    "too long": ({"x": Tensor(shape=(7,), strides=(1,))}, "'x' reaches beyond its numbers"),
    "too wide": ({"x": Tensor(shape=(2, 3), strides=(4, 1))}, "'x' reaches beyond its numbers"),
    "offset": ({"x": Tensor(offset=1)}, "'x' reaches beyond its numbers"),
    "huge": ({"x": Tensor(shape=(2**40, 2**40), strides=(0, 0))}, "'x' would be larger than the whole file"),
    "huge none": ({"x": Tensor(shape=(2**40, 0), strides=(0, 0))}, "'x' would be larger than the whole file"),
    "absurd": ({"x": Tensor(shape=(2**100,), strides=(1,))}, "damaged"),
    "absurd count": ({"x": Tensor(count=2**100)}, "damaged"),
    "absurd stride": ({"x": Tensor(shape=(1,), strides=(2**62,))}, "damaged"),
    "negative": ({"x": Tensor(offset=6, shape=(2,), strides=(-1,))}, "damaged"),
    "negative offset": ({"x": Tensor(offset=-1, shape=(1,), strides=(1,))}, "damaged"),
    "negative shape": ({"x": Tensor(shape=(-1,), strides=(1,))}, "damaged"),
    "shape of texts": ({"x": Tensor(shape=("a",), strides=(1,))}, "damaged"),
    "more axes than strides": ({"x": Tensor(shape=(1, 1), strides=(1,))}, "damaged (it makes a tensor of"),
    "many axes": ({"x": Tensor(shape=(1,) * 99, strides=(1,) * 99)}, "damaged (it makes a tensor of"),
    "two kinds": ({"x": Tensor(), "y": Tensor(kind="Int")}, "damaged"),
    "not a function": (steps(3) + b")R", "damaged"),
    "storage made": (lookup("torch", "FloatStorage") + b")R", "damaged"),
    "no tensor": (lookup("torch._utils", "_rebuild_parameter") + steps((3, True, None)) + b"R", "damaged"),
    "no storage": (steps(("storage", 3)) + b"Q", "damaged"),
    "no kind": (steps(("storage", lookup("torch", "Size"), "0", "cpu", 6)) + b"Q", "damaged (it has a storage of"),
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
    assert f"the tensor 'x' has {have} bytes and needs 24" in refusal()


def test_a_legacy_file_with_missing_numbers_is_refused():
    value = {"x": Tensor()}
    write("legacy", value, {})
    assert "the tensor 'x' has 0 bytes and needs 24" in refusal()
    write("legacy", value, {"0": struct.pack("<q", 6) + bytes(20)})
    assert "the tensor 'x' has 20 bytes and needs 24" in refusal()
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
    chance = random.Random(1)
    for _ in range(1000):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 1, 1, 4, 16))):
            damaged[chance.randrange(len(whole))] ^= chance.randrange(1, 256)
        FILE.write_bytes(damaged)
        with contextlib.suppress(UserError):
            check_own(read_torch_tensors(FILE))


def right_or_refused() -> None:
    """Nothing in the file vouches for the numbers themselves, but there can be no more of them than bytes."""
    tensors: dict[str, np.ndarray] = {}
    with contextlib.suppress(UserError):
        tensors = read_torch_tensors(FILE)
    for array in tensors.values():
        assert array.nbytes <= 2 * FILE.stat().st_size
        array.copy()


def test_a_legacy_file_with_changed_bytes_is_read_or_refused():
    whole = zlib.decompress(base64.b85decode(BY_TORCH["legacy"]))
    chance = random.Random(1)
    for _ in range(1000):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 1, 1, 4, 16))):
            damaged[chance.randrange(len(whole))] ^= chance.randrange(1, 256)
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
