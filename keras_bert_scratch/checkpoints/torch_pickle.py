"""Reads weights that `torch.save` wrote as numpy arrays, without torch and without executing code from the file.

A pickle is a program. This reader interprets only the opcodes that weights need: Python's own unpickler, even when
limited to certain names, can be made to exhaust the memory, to change our classes and to crash.
"""

from __future__ import annotations

import dataclasses
import io
import math
import mmap
import os
import pickletools
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from keras_bert_scratch.errors import UserError

# Dtypes as stored in the file. numpy has no bfloat16, and a byte of 2 is not a valid bool in numpy.
CODES = {"Float": "f4", "Half": "f2", "BFloat16": "u2", "Double": "f8", "Bool": "u1", "Byte": "u1"}
CODES |= {"Char": "i1", "Short": "i2", "Int": "i4", "Long": "i8"}
KINDS = {f"torch.{name}Storage": np.dtype(code) for name, code in CODES.items()}
FUNCTIONS = {"collections.OrderedDict", "torch.Size"}
FUNCTIONS |= {"torch._utils._rebuild_parameter", "torch._utils._rebuild_tensor_v2"}
# Opcodes of the pickle: what they push on the stack, or how many items they pop.
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
TAKEN = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 1, "SETITEM": 2}
MAGIC_NUMBER, PROTOCOL_VERSION = 0x1950A86A20F9469CFC6C, 1001
# Above what any model has, and small enough that sums of products do not overflow 64 bits in numpy.
MOST_NUMBERS, MOST_AXES, MOST_PICKLED_BYTES = 2**48, 32, 2**24
# What the standard library raises on damaged bytes, depending on the system.
DAMAGE = (zipfile.BadZipFile, EOFError, LookupError, OverflowError, RuntimeError, ValueError)
# By key: a storage's kind and how many numbers it has.
_Declared = dict[str, tuple[str, int]]


@dataclasses.dataclass(frozen=True)
class _Named:
    """A global that the pickle looks up; it is represented by its name only and never imported."""

    name: str


@dataclasses.dataclass(frozen=True)
class _Storage:
    """The numbers `start` to `limit` of a storage."""

    key: str
    kind: str
    start: int
    limit: int


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A tensor whose numbers are not read yet; offset (from the start of the storage) and strides count numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_tensors(path: Path | str) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name, read-only; tied tensors share their memory, bfloat16 becomes float32.

    Args:
        path: what `torch.save(model.state_dict(), path)` wrote, in the current format or the one before torch 1.6.
            The state dict may be one value among others, under "state_dict". Numbers and strings are ignored.

    Example:
        >>> _ = Path("pytorch_model.bin").write_bytes(b"\\x80\\x02cos\\nsystem\\nX\\x06\\x00\\x00\\x00whoami\\x85R.")
        >>> read_torch_tensors("pytorch_model.bin")
        Traceback (most recent call last):
        ...
        keras_bert_scratch.errors.UserError: pytorch_model.bin: wants to run os.system, which weights do not need;
        do not trust this file
    """
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(4)
            if start == b"PK\x03\x04":
                return _read_zip(file, size)
            if start[:1] == b"\x80":
                # Unlike a file, mmap does not allocate as much memory as a damaged length field says.
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
                    return _read_legacy(stream, size)
        raise UserError("is empty; copy it again" if not size else "was not written by torch.save; choose another file")
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); copy it again") from error
    except DAMAGE as error:
        raise UserError(f"{path}: is cut short or damaged ({_brief(error)}); copy it again") from error


def _brief(text: str | int | Exception) -> str:
    """A text from the file, escaped and shortened for one line of a message."""
    return repr(str(text)[:120])[1:-1]


def _read_zip(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        records = {record.filename: record for record in archive.infolist()}
        for name, record in records.items():
            if record.compress_type != zipfile.ZIP_STORED or record.flag_bits & 1:
                raise UserError(f"its part {_brief(name)} is compressed or encrypted; save it again with torch.save")
        if sum(record.file_size for record in records.values()) > size:
            raise UserError("claims to hold more than its own size; copy it again")
        roots = [name.partition("/")[0] for name in records if name.partition("/")[2] == "data.pkl"]
        if len(roots) != 1:
            raise UserError("is a zip file that torch.save did not write; choose another file")

        def read(name: str) -> bytes:
            record = records.get(f"{roots[0]}/{name}")
            return archive.read(record) if record else b""

        order = {b"": "<", b"little": "<", b"big": ">"}[read("byteorder")]
        declared: _Declared = {}
        tensors = _state_dict(_unpickled(io.BytesIO(read("data.pkl")), declared))
        return _arrays(tensors, declared, lambda key: read(f"data/{key}"), order, size)


def _read_legacy(stream: mmap.mmap, size: int) -> dict[str, np.ndarray]:
    if _unpickled(stream, {}) != MAGIC_NUMBER or _unpickled(stream, {}) != PROTOCOL_VERSION:
        raise UserError("is a pickle that torch.save did not write; choose another file")
    _unpickled(stream, {})  # about the machine that wrote it; numbers are little-endian in any case
    declared: _Declared = {}
    tensors = _state_dict(_unpickled(stream, declared))
    keys = _unpickled(stream, {})
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in declared for key in keys):
        raise ValueError("its list of storages does not fit its tensors")
    slices, position = {}, stream.tell()
    for key in keys:
        kind, count = declared[key]
        if stream[position : position + 8] != struct.pack("<q", count):
            raise ValueError(f"the storage {_brief(key)} is not where it should be")
        slices[key] = slice(position + 8, position + 8 + count * KINDS[kind].itemsize)
        position = slices[key].stop
    return _arrays(tensors, declared, lambda key: stream[slices.get(key, slice(0))], "<", size)


def _unpickled(stream: BinaryIO | mmap.mmap, declared: _Declared) -> Any:
    """Returns the object that the pickle at `stream` builds; adds the storages that it names to `declared`."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def take(step: str) -> list[Any]:
        mark = len(stack) - TAKEN[step] if step in TAKEN else marks.pop()
        items, stack[mark:] = stack[mark:], []
        return items

    # genops only parses: an argument is a number or a text. It raises if the pickle ends before its STOP.
    for step, argument, position in pickletools.genops(stream):
        if position > MOST_PICKLED_BYTES:
            raise UserError("its description of the tensors is longer than any model needs; do not trust this file")
        match step.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                marks.append(len(stack))
            case name if name in CONSTANTS:
                stack.append(CONSTANTS[name])
            case name if name in VALUES:
                stack.append(argument)
            case "EMPTY_LIST" | "EMPTY_DICT" as name:
                stack.append([] if name == "EMPTY_LIST" else {})
            case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                stack.append(tuple(take(name)))
            case "APPEND" | "APPENDS" | "SETITEM" | "SETITEMS" as name:
                _fill(take(name), stack[-1])
            case "BUILD":
                stack.pop()  # a state dict's version metadata
            case "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                memo[len(memo) if argument is None else argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL" | "INST":
                stack.append(_named(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                stack.append(_named(name=stack.pop(), module=stack.pop()))
            case "REDUCE":
                stack.append(_made(arguments=stack.pop(), function=stack.pop()))
            case "BINPERSID":
                stack.append(_storage(stack.pop(), declared))
            case name:
                raise UserError(f"has the pickle step {name}, which weights do not need; do not trust this file")


def _fill(items: list[Any], target: Any) -> None:
    if isinstance(target, list):
        target.extend(items)
    # Hashing deeply nested tuples crashes Python.
    elif isinstance(target, dict) and all(isinstance(key, (str, int)) for key in items[::2]):
        target.update(zip(items[::2], items[1::2], strict=True))
    else:
        raise ValueError("it adds items to something that is not a list or dict")


def _named(module: Any, name: Any) -> _Named:
    # Not converted to text: nested lists that each hold the next one twice would become exponentially long.
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("it looks up something that is not a name")
    whole = f"{module}.{name}"
    if whole not in KINDS and whole not in FUNCTIONS:
        raise UserError(f"wants to run {_brief(whole)}, which weights do not need; do not trust this file")
    return _Named(whole)


def _are_counts(*values: Any) -> bool:
    return all(type(value) is int and 0 <= value <= MOST_NUMBERS for value in values)


def _made(function: Any, arguments: Any) -> Any:
    """What `function(*arguments)` would return in torch."""
    match function, arguments:
        case _Named("collections.OrderedDict"), ():
            return {}
        case _Named("torch.Size"), (tuple(shape),):
            return shape
        case _Named("torch._utils._rebuild_parameter"), (_Tensor() as tensor, *_):
            return tensor
        case _Named("torch._utils._rebuild_tensor_v2"), (_Storage() as storage, offset, tuple(shape), tuple(steps), *_):
            if len(shape) == len(steps) <= MOST_AXES and _are_counts(offset, *shape, *steps):
                return _Tensor(storage, storage.start + offset, shape, steps)
    raise ValueError("it builds a tensor from invalid arguments")


def _storage(identity: Any, declared: _Declared) -> _Storage:
    match identity:
        case ("storage", _Named(kind), str(key), str(), count, *views) if kind in KINDS and _are_counts(count):
            if declared.setdefault(key, (kind, count)) != (kind, count):
                raise ValueError(f"the storage {_brief(key)} has two types")
            _, start, length = views[0] if views and isinstance(views[0], tuple) else (key, 0, count)
            if _are_counts(start, length):
                return _Storage(key, kind, start, start + length)
    raise ValueError("it has a storage in an unknown form")


def _state_dict(value: Any) -> dict[str, _Tensor]:
    if isinstance(value, dict) and isinstance(value.get("state_dict"), dict):
        value = value["state_dict"]
    if not isinstance(value, dict):
        raise UserError("is not a dict of tensors; save model.state_dict()")
    tensors = {name: item for name, item in value.items() if isinstance(name, str) and isinstance(item, _Tensor)}
    for name, item in value.items():
        if name not in tensors and not isinstance(item, (int, float, str, type(None))):
            raise UserError(f"holds no tensor under '{_brief(name)}'; save model.state_dict() and nothing else")
    return tensors


def _arrays(
    tensors: dict[str, _Tensor], declared: _Declared, read: Callable[[str], bytes], order: str, size: int
) -> dict[str, np.ndarray]:
    """The arrays; `read` returns the bytes of a storage, `order` is their byte order, `size` the file's size."""
    for name, tensor in tensors.items():
        _check_bounds(name, tensor, declared[tensor.storage.key][1], size)
    owners = {tensor.storage.key: name for name, tensor in tensors.items()}
    numbers = {}
    for key, name in owners.items():
        kind, count = declared[key]
        data, needed = read(key), count * KINDS[kind].itemsize
        if len(data) != needed:
            raise UserError(f"the tensor '{_brief(name)}' has {len(data)} bytes but needs {needed}; copy it again")
        numbers[key] = _decoded(data, kind, order)
    return {name: _view(tensor, numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _check_bounds(name: str, tensor: _Tensor, count: int, size: int) -> None:
    # Also if a stride of 0 repeats numbers: a copy of the array would need the full memory.
    if math.prod(length or 1 for length in tensor.shape) * KINDS[tensor.storage.kind].itemsize > size:
        raise UserError(f"the tensor '{_brief(name)}' would be larger than the whole file; copy it again")
    last = sum((length - 1) * step for length, step in zip(tensor.shape, tensor.strides, strict=True))
    end = tensor.offset + last + 1 if all(tensor.shape) else 0
    if end > tensor.storage.limit or tensor.storage.limit > count:
        raise UserError(f"the tensor '{_brief(name)}' reaches beyond its storage in the file; copy it again")


def _decoded(data: bytes, kind: str, order: str) -> np.ndarray:
    stored = np.frombuffer(data, KINDS[kind].newbyteorder(order))
    if kind == "torch.BFloat16Storage":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.bool_ if kind == "torch.BoolStorage" else KINDS[kind], copy=False)


def _view(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    steps = [step * numbers.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, steps, writeable=False)
