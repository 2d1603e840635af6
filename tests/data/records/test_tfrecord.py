import gzip
from pathlib import Path

import pytest
import tensorflow as tf

from keras_bert_scratch.data.records.tfrecord import framed, numbered_records, read_records
from keras_bert_scratch.errors import UserError

RECORDS = [b"first", b"", b"third" * 1000, bytes(range(256))]


@pytest.fixture
def file() -> Path:
    """Written by TensorFlow."""
    with tf.io.TFRecordWriter("records.tfrecord") as writer:
        for record in RECORDS:
            writer.write(record)
    return Path("records.tfrecord")


def test_what_tensorflow_wrote_is_read(file):
    assert list(read_records(file)) == RECORDS


def test_what_is_framed_is_what_tensorflow_writes(file):
    assert b"".join(map(framed, RECORDS)) == file.read_bytes()


def test_gzip_is_told_by_its_first_bytes(file):
    Path("packed").write_bytes(gzip.compress(file.read_bytes()))
    assert list(read_records("packed")) == RECORDS
    with tf.io.TFRecordWriter("by_tensorflow", tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        writer.write(b"packed")
    assert list(read_records("by_tensorflow")) == [b"packed"]


def test_a_length_that_begins_like_gzip_is_a_length():
    record = bytes(int.from_bytes(b"\x1f\x8b", "little"))
    Path("plain").write_bytes(framed(record))
    assert list(read_records("plain")) == [record]


def test_an_empty_file_holds_nothing():
    Path("empty").touch()
    assert list(read_records("empty")) == []


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


HEADER, FOOTER = 12, 4
THIRD = 2 * (HEADER + FOOTER) + len(RECORDS[0])  # where the third record's header begins
LENGTH_DAMAGED = "the checksum of its length is wrong"
DAMAGES = {
    "length": (lambda content: flipped(content, THIRD), 2, LENGTH_DAMAGED, [0, 1, 3]),
    "length's checksum": (
        lambda content: flipped(content, THIRD + 9),
        2,
        LENGTH_DAMAGED,
        [0, 1, 3],
    ),
    "content": (lambda content: flipped(content, THIRD + 500), 2, "its checksum is wrong", [0, 1, 3]),
    "content's checksum": (lambda content: flipped(content, len(content) - 1), 3, "its checksum is wrong", [0, 1, 2]),
    "cut in a header": (lambda content: content[: THIRD + 5], 2, "the file ends inside it", [0, 1]),
    "cut in a content": (lambda content: content[:-50], 3, "the file ends inside it", [0, 1, 2]),
    "no records": (lambda content: b"a text, not records at all", 0, LENGTH_DAMAGED, []),
    "zeros between": (lambda content: content[:THIRD] + bytes(100) + content[THIRD:], 2, "is wrong", [0, 1, 2, 3]),
}


@pytest.mark.parametrize(("damage", "record", "how", "rest"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_named_or_left_out(file, damage, record, how, rest):
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(
        UserError, match=rf"records\.tfrecord: record {record} is damaged \(.*{how}.*`on_corrupt='skip'`"
    ):
        list(read_records(file))
    damages = []
    assert list(read_records(file, lambda *damage: damages.append(damage))) == [RECORDS[index] for index in rest]
    assert [(path, number) for path, number, _ in damages] == [(file, record)]


def test_a_record_behind_a_damaged_one_keeps_its_number(file):
    file.write_bytes(flipped(file.read_bytes(), THIRD + 500))
    numbered = numbered_records(file, lambda *damage: None)
    assert list(numbered) == [(index, RECORDS[index]) for index in (0, 1, 3)]


def test_a_damaged_gzip_is_named(file):
    packed = gzip.compress(file.read_bytes())
    for damaged in (packed[: len(packed) // 2], flipped(packed, len(packed) - 30)):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=r"records\.tfrecord: record \d is damaged"):
            list(read_records(file))
