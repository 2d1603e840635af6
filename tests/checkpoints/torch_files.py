"""Files in the format of `torch.save`, built by hand: the tests need no torch, and can also write wrong content."""

import dataclasses
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_bert_scratch.checkpoints import torch_pickle
from keras_bert_scratch.checkpoints.torch_pickle import read_torch_tensors
from keras_bert_scratch.errors import UserError

FORMS = ("zip", "legacy")
FILE = Path("weights.bin")
NUMBERS = np.arange(6, dtype=np.float32).reshape(2, 3)

# Written by torch 2.13: {"weight": NUMBERS.T, "tied": NUMBERS, "half": [1.5, -2.0] in bfloat16}
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
    """The pickle opcodes that build `value`; bytes are opcodes already."""

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
    """Writes `FILE` as torch would: `storages` are arrays, or bytes to write in their place."""
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
    """The error of reading `FILE`: one line that names the file."""
    with pytest.raises(UserError) as refused:
        read_torch_tensors(FILE)
    message = str(refused.value)
    assert message.startswith("weights.bin: ")
    assert message.isprintable()
    return message


def check_own(tensors) -> None:
    assert list(tensors) == ["weight", "tied", "half"]
    np.testing.assert_array_equal(tensors["weight"], NUMBERS.T, strict=True)
    np.testing.assert_array_equal(tensors["tied"], NUMBERS, strict=True)
    np.testing.assert_array_equal(tensors["half"], np.array([1.5, -2], np.float32), strict=True)
    assert np.shares_memory(tensors["weight"], tensors["tied"])
