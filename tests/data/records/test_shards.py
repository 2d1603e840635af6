"""Parts become shards: sums and bytes, in one pass over the parts and in flat memory."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from keras_bert_scratch.data.records import shards as shards_module
from keras_bert_scratch.data.records.parts import Part, read_buckets, read_index
from keras_bert_scratch.data.records.shards import buckets_of_shards, shard_of, totals_of, write_shards

NUM_BUCKETS = 40


@pytest.fixture
def parts() -> list[Path]:
    """Thirty parts, each with a dozen of the buckets; a record says whose it is."""
    draw = np.random.default_rng(0)
    paths = []
    for number in range(30):
        buckets = sorted(draw.choice(NUM_BUCKETS, 12, replace=False).tolist())
        records = {bucket: f"part {number}, bucket {bucket};".encode() for bucket in buckets}
        counts = {bucket: {"documents": 1, "sentences": 2, "tokens": bucket} for bucket in buckets}
        text = {"text_bytes": 100, "empty_documents": 0, "cut_documents": 1, "replaced_bytes": 0}
        paths.append(Path(f"{number}.part"))
        paths[-1].write_bytes(Part(records, counts, text).to_bytes())
    return paths


def test_totals_are_sums_over_all_parts(parts):
    totals = totals_of(map(read_index, parts))
    records = [bucket for part in parts for bucket, _ in read_buckets(part)]
    assert totals.keys() == {"text", *map(str, records)}
    for bucket in set(records):
        times = records.count(bucket)
        assert totals[str(bucket)] == {
            "records": times,
            "documents": times,
            "sentences": 2 * times,
            "tokens": bucket * times,
        }
    assert totals["text"] == {"text_bytes": 3000, "empty_documents": 0, "cut_documents": 30, "replaced_bytes": 0}


@pytest.mark.parametrize("at_once", [0, 500, 1 << 20])
def test_a_shard_is_its_buckets_of_all_parts_in_order(parts, monkeypatch, at_once):
    monkeypatch.setattr(shards_module, "AT_ONCE_BYTES", at_once)
    shards = [[0, 1, 2], *[[bucket] for bucket in range(3, NUM_BUCKETS - 1)], [NUM_BUCKETS - 1]]
    written = write_shards(Path(), parts, shards)
    for buckets, facts in zip(shards, written, strict=True):
        expected = b"".join(record for part in parts for bucket, record in read_buckets(part) if bucket in buckets)
        assert Path(facts["file"]).read_bytes() == expected
        assert (facts["bytes"], facts["sha256"]) == (len(expected), hashlib.sha256(expected).hexdigest())


@pytest.mark.parametrize("num_shards", [1, NUM_BUCKETS])
def test_every_part_is_read_once_however_many_shards_there_are(parts, monkeypatch, num_shards):
    read = []
    monkeypatch.setattr(shards_module, "read_buckets", lambda path: read.append(path) or read_buckets(path))
    write_shards(Path(), parts, np.array_split(np.arange(NUM_BUCKETS), num_shards))
    assert read == parts


def test_the_shard_of_a_bucket():
    counts = {"0": 1, "2": 1, "3": 2, "7": 5, "8": 1}
    totals = {bucket: {"documents": count} for bucket, count in counts.items()}
    shards = buckets_of_shards(totals, 10, "text.txt")
    assert shards == [[0, 1, 2], [3], [4, 5, 6, 7, 8, 9]]
    assert [shard_of(bucket, shards) for bucket in range(10)] == [0, 0, 0, 1, 2, 2, 2, 2, 2, 2]
