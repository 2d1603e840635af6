"""A file of Google's records in windows: the examples that are in memory and permuted together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from keras_bert_scratch.data.google.schema import (
    FEATURES,
    Examples,
    ExampleSize,
    decode_examples,
    fault_of,
    size_of,
)
from keras_bert_scratch.data.records.schema import token_dtype
from keras_bert_scratch.data.records.tfrecord import numbered_records, refuse_damage
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.text.vocabulary import Vocabulary

PARSED_AT_ONCE = 1024
PARTS = 64  # of each window
WINDOW = PARTS * PARSED_AT_ONCE

# Called with a file and its records that were left out, each with the reason.
OnLeftOut = Callable[[AnyPath, list[str]], None]


def read_windows(
    path: AnyPath, size: ExampleSize, vocabulary: Vocabulary, on_left_out: OnLeftOut | None = None, first: int = 0
) -> Iterator[Examples]:
    """Yields a file's examples in its own order, `WINDOW` at a time, in the smallest types that hold them.

    Args:
        path: path. The file, plain or gzip.
        size: `ExampleSize`. The size of every example.
        vocabulary: `Vocabulary`. The one that made the ids.
        on_left_out: function, default None. Called at the end of the file with the records that were damaged or not
            examples; the windows hold that many fewer. Without it, such a record is an error.
        first: int, default 0. The first window to yield; those before it are not parsed.

    Raises:
        UserError: a record is damaged, of another schema or size, or made with another vocabulary; names it.

    Example:
        >>> from pathlib import Path
        >>> from keras_bert_scratch.data.google.schema import encode_examples
        >>> from keras_bert_scratch.data.records.tfrecord import framed
        >>> vocabulary = Vocabulary(("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"))
        >>> two = {name: np.ones((2, ExampleSize(8, 2).of(name)), int) for name in FEATURES}
        >>> _ = Path("part-0").write_bytes(b"".join(map(framed, encode_examples(two))))
        >>> size = find_size([Path("part-0")], skip_damage=False)
        >>> [len(window["input_ids"]) for window in read_windows(Path("part-0"), size, vocabulary)]
        [2]
    """
    parts = _parts(path, size, vocabulary, on_left_out, first * WINDOW)
    while window := list(itertools.islice(parts, PARTS)):
        yield {name: np.concatenate([part[name] for part in window]) for name in FEATURES}


def find_size(paths: Sequence[AnyPath], skip_damage: bool) -> ExampleSize:
    """The size of the first example in the files.

    Raises:
        UserError: the first record is not an example, or with `skip_damage` no record is one.
    """
    on_damage, on_fault = (_ignore, _ignore) if skip_damage else (refuse_damage, _refuse_fault)
    for path in paths:
        for number, record in numbered_records(path, on_damage):
            try:
                return size_of(record)
            except ValueError as error:
                on_fault(path, number, str(error))
    names = ", ".join(map(str, paths[:3])) + ", ..." * (len(paths) > 3)
    raise UserError(f"{names}: these files contain no examples; give complete files in Google's format")


def _ignore(path: AnyPath, record: int, how: str) -> None:
    """Does nothing; the damage is reported when the examples are read."""


def _refuse_fault(path: AnyPath, record: int, how: str) -> None:
    raise UserError(
        f"{path}: record {record} {how}; give only files in Google's format with examples of one size, or give "
        f"`on_corrupt='skip'`"
    )


def _parts(
    path: AnyPath, size: ExampleSize, vocabulary: Vocabulary, on_left_out: OnLeftOut | None, first_record: int
) -> Iterator[Examples]:
    """The examples from `first_record` on, `PARSED_AT_ONCE` at a time."""
    left_out: list[str] = []

    def leave_out(path: AnyPath, record: int, how: str) -> None:
        left_out.append(f"record {record} ({how})")

    on_damage, on_fault = (leave_out, leave_out) if on_left_out else (refuse_damage, _refuse_fault)
    records = itertools.islice(numbered_records(path, on_damage), first_record, None)
    while part := dict(itertools.islice(records, PARSED_AT_ONCE)):
        try:
            examples = decode_examples(list(part.values()), size)
        except ValueError:  # some records are not such examples: find out which
            faults = {number: fault for number, record in part.items() if (fault := fault_of(record, size))}
            for number, fault in faults.items():
                on_fault(path, number, fault)
                del part[number]
            examples = decode_examples(list(part.values()), size)
        _check_vocabulary(path, list(part), examples, vocabulary)
        yield {name: values.astype(_dtype(name, len(vocabulary))) for name, values in examples.items()}
    if on_left_out and left_out:
        on_left_out(path, left_out)


def _check_vocabulary(path: AnyPath, numbers: Sequence[int], examples: Examples, vocabulary: Vocabulary) -> None:
    ids = np.concatenate([examples["input_ids"], examples["masked_lm_ids"]], axis=1)
    other = (ids[:, 0] != vocabulary.cls_id) | (ids < 0).any(axis=1) | (ids >= len(vocabulary)).any(axis=1)
    if other.any():
        row = int(other.argmax())
        raise UserError(
            f"{path}: record {numbers[row]} was made with another vocabulary than {vocabulary.origin} "
            f"({len(vocabulary)} tokens, [CLS] is {vocabulary.cls_id}): it begins with {ids[row, 0]} and has ids up to "
            f"{ids[row].max()}; set `vocab` to the one that it was made with"
        )


def _dtype(name: str, vocab_size: int) -> np.dtype:
    """The smallest type that holds a feature's values."""
    if name in ("input_ids", "masked_lm_ids"):
        return token_dtype(vocab_size)
    return np.dtype({"masked_lm_positions": "i4", "masked_lm_weights": "f4"}.get(name, "i1"))
