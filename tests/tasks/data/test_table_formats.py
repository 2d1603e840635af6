"""Tables in other forms than plain text: compressed, Parquet, TensorFlow Datasets, behind a URL."""

import bz2
import gzip
import lzma
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
import zstandard
from small_tables import COLUMNS, LABEL, LABELS, TEXT, rows_of

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.data.tables import Column, read_table


@pytest.mark.parametrize(
    ("ending", "compress"),
    [
        (".gz", gzip.compress), (".bz2", bz2.compress), (".XZ", lzma.compress),
        (".zst", zstandard.ZstdCompressor().compress),
        (".gz", lambda data: gzip.compress(data[:15]) + gzip.compress(data[15:])),
    ],
)  # fmt: skip
def test_compressed_tables(ending, compress):
    assert rows_of(compress(b"text,label\nabc,1\n"), f"t.csv{ending}") == [("abc", "1")]
    assert rows_of(compress(b"text\tlabel\nabc\t1\n"), f"t.tsv{ending}") == [("abc", "1")]


def test_parquet():
    columns = {"text": ["a", "", "nan"], "label": [1, 0, 2], "more": [[1], None, [2]]}
    pq.write_table(pa.table(columns), "t.parquet", row_group_size=2)
    table = read_table("t.parquet", COLUMNS)
    assert (table.columns, table.lines) == ({"text": ["a", "", "nan"], "label": ["1", "0", "2"]}, [1, 2, 3])
    pq.write_table(pa.table({"text": ["a", None], "label": ["x", "y"]}), "t.parquet")
    with pytest.raises(kbs.UserError, match=r"t\.parquet: row 2 has no value in the column 'text'"):
        read_table("t.parquet", COLUMNS)
    table = pa.table({"text": pa.array([b"a", b"\xff"]), "label": pa.array(["x", "y"]).dictionary_encode()})
    pq.write_table(table, "t.parquet")
    with pytest.raises(kbs.UserError, match=r"t\.parquet: row 2 has .* bytes that are not UTF-8 in the column 'text'"):
        read_table("t.parquet", COLUMNS)
    pq.write_table(pa.table({"text": ["a"], "labels": [["b", "c"]]}), "t.parquet")
    assert read_table("t.parquet", [TEXT, LABELS]).columns["labels"] == [("b", "c")]


def test_parquet_needs_pyarrow(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(kbs.UserError, match=r"needs the package 'pyarrow'; .*\[corpora\]"):
        rows_of("", "t.parquet")


class TinyPairs(tfds.core.GeneratorBasedBuilder):
    """A dataset with named labels, and -1 where there is none, as in GLUE's test sets."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        label = tfds.features.ClassLabel(names=["no", "yes"])
        features = {"sentence": tfds.features.Text(), "label": label, "score": np.float32}
        features["tokens"] = tfds.features.Sequence(tfds.features.Text())
        features["tags"] = tfds.features.Sequence(tfds.features.ClassLabel(names=["O", "B-LOC"]))
        spans = {"text": tfds.features.Text(), "answer_start": np.int32}
        features["answers"] = tfds.features.Sequence(spans)
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples([1, 0]), "test": self._generate_examples([-1])}

    def _generate_examples(self, labels):
        for n, label in enumerate(labels):
            lists = {"tokens": ["té", "Rome"], "tags": ["O", "B-LOC"], "answers": [{"text": "é", "answer_start": 1}]}
            yield n, {"sentence": f"té {n}", "label": label, "score": n / 2, **lists}


def test_tensorflow_datasets(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    table = read_table("tfds:tiny_pairs:train", [TEXT, LABEL, Column("score", kind="number")])
    assert sorted(zip(*table.columns.values(), strict=True)) == [("té 0", "yes", 0.0), ("té 1", "no", 0.5)]
    with pytest.raises(kbs.UserError, match="tfds:tiny_pairs:test: row 1 has no value in the column 'label'"):
        read_table("tfds:tiny_pairs:test", COLUMNS)


def test_lists_of_tensorflow_datasets(monkeypatch, tmp_path):
    """Words with tags as in `conll2003`, answers as in `squad`."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    columns = [
        Column("words", ("tokens",), kind="texts"),
        Column("tags", kind="texts"),
        Column("answers", kind="answers"),
    ]
    found = read_table("tfds:tiny_pairs:test", columns).columns
    assert found == {"words": [("té", "Rome")], "tags": [("O", "B-LOC")], "answers": [(("é", 1),)]}


def test_a_table_behind_a_url():
    with tf.io.gfile.GFile("ram://t.csv", "wb") as file:
        file.write("text,label\na,1\n")
    assert read_table("ram://t.csv", COLUMNS).columns == {"text": ["a"], "label": ["1"]}
