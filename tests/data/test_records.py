import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.data.records import Manifest, decode_document, encode_document, token_dtype


@pytest.mark.parametrize(("vocab_size", "width"), [(30522, 2), (65536, 2), (65537, 4)])
def test_a_record_brings_back_the_document(vocab_size, width):
    dtype = token_dtype(vocab_size)
    assert dtype.itemsize == width
    ids, lengths = np.array([0, 5, vocab_size - 1]), np.array([2, 1])
    back = decode_document(encode_document(ids, lengths, dtype), dtype)
    np.testing.assert_array_equal(back[0], ids)
    np.testing.assert_array_equal(back[1], lengths)


def read_back(directory: Path) -> list[list[str]]:
    """Every document's sentences, by plain TensorFlow, as somebody else would read the schema."""
    tokens = (directory / "vocab.txt").read_text().splitlines()
    found = []
    for shard in sorted(directory.glob("*.tfrecord")):
        for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            ids = np.frombuffer(features["token_ids"].bytes_list.value[0], "<u2")
            ends = np.cumsum(features["sentence_lengths"].int64_list.value)
            found.append([" ".join(tokens[i] for i in part) for part in np.split(ids, ends[:-1])])
    return found


def test_records_hold_every_document_once(records, documents, tokenizer):
    expected = [
        [sentence.decode() for sentence in tokenizer.detokenize(tokenizer.tokenize(document)).numpy()]
        for document in documents
    ]
    found = [[sentence.replace(" ##", "") for sentence in document] for document in read_back(records)]
    assert sorted(found) == sorted(expected)


def test_the_manifest_tells_what_is_there(records, documents, vocabulary):
    manifest = json.loads((records / "manifest.json").read_text())
    assert manifest["vocabulary_sha256"] == hashlib.sha256((records / "vocab.txt").read_bytes()).hexdigest()
    assert manifest["vocab_size"] == len(vocabulary)
    for shard in manifest["shards"]:
        content = (records / shard["file"]).read_bytes()
        assert (shard["bytes"], shard["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert sum(shard["documents"] for shard in manifest["shards"]) == len(documents)
    assert sum(shard["sentences"] for shard in manifest["shards"]) == sum(map(len, documents))
    counts = [shard["documents"] for shard in manifest["shards"]]
    assert max(counts) - min(counts) <= 1


def test_the_same_input_gives_the_same_bytes(documents, tokenizer, records):
    kbs.build_records(iter(documents), tokenizer, "again", num_shards=3)
    assert {file.name: file.read_bytes() for file in Path("again").iterdir()} == {
        file.name: file.read_bytes() for file in records.iterdir()
    }
    kbs.build_records(documents, tokenizer, "other", num_shards=3, seed=1)
    assert Manifest.load("other").shards != Manifest.load("again").shards


def test_a_small_corpus_gets_fewer_shards(documents, tokenizer):
    assert len(kbs.build_records(documents[:5], tokenizer, "records", num_shards=8).shards) == 2


def test_an_interrupted_build_leaves_nothing(documents, tokenizer, tmp_path):
    def broken_off():
        yield from documents
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kbs.build_records(broken_off(), tokenizer, "records", num_shards=2)
    assert list(tmp_path.iterdir()) == []
    kbs.build_records(documents, tokenizer, "records", num_shards=2)
    assert Manifest.load("records").total("documents") == len(documents)


def test_a_folder_in_use_is_kept(documents, tokenizer):
    Path("records").mkdir()
    Path("records/thesis.txt").write_text("years of work")
    with pytest.raises(kbs.UserError, match="records: exists already"):
        kbs.build_records(documents, tokenizer, "records")
    assert Path("records/thesis.txt").read_text() == "years of work"


def test_nothing_to_write_is_refused(tokenizer, tmp_path):
    with pytest.raises(kbs.UserError, match="no document"):
        kbs.build_records([], tokenizer, "records")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), r"holds no manifest\.json"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is not a manifest"),
        (lambda folder: (folder / "manifest.json").write_text('{"a": 1}'), "is not a manifest"),
        (lambda folder: next(folder.glob("*.tfrecord")).unlink(), "is missing"),
        (lambda folder: next(folder.glob("*.tfrecord")).write_bytes(b"short"), "not .* bytes long"),
    ],
    ids=["no manifest", "no json", "other json", "no shard", "short shard"],
)
def test_damaged_records_are_named(documents, tokenizer, damage, named):
    kbs.build_records(documents, tokenizer, "records", num_shards=2)
    damage(Path("records"))
    with pytest.raises(kbs.UserError, match=named):
        kbs.PretrainingRecords("records")
