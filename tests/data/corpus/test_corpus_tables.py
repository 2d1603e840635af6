import csv
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import keras_bert_scratch as kbs
from keras_bert_scratch.data.corpus import blocks
from keras_bert_scratch.data.corpus.form import CorpusForm
from keras_bert_scratch.data.corpus.sources import source_files
from keras_bert_scratch.data.corpus.tables import read_rows

TEXTS = ["One. Two.\nThree.", "今天下雨。明天呢？", None, 'Said "four", and\r\nfive.']
DOCUMENTS = [["One.", "Two.", "Three."], ["今天下雨。", "明天呢？"], ['Said "four", and', "five."]]


class TinyText(tfds.core.GeneratorBasedBuilder):
    """A dataset like any other, but of our own rows."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict({"text": tfds.features.Text(), "stars": np.int64})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(TEXTS), "test": self._generate_examples(["Six."])}

    def _generate_examples(self, texts):
        yield from ((number, {"text": text or "", "stars": number}) for number, text in enumerate(texts))


@pytest.fixture(scope="module", autouse=True)
def datasets_folder(tmp_path_factory):
    """Where TensorFlow Datasets keeps what it prepares: once for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(tmp_path_factory.mktemp("datasets")))
        yield


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_a_column_of_parquet(kind):
    table = pa.table({"stars": [1, 2, 3, 4], "text": pa.array(TEXTS, pa.string()).cast(kind)})
    pq.write_table(table, "a.parquet", row_group_size=2)
    assert list(kbs.read_documents(["a.parquet"])) == DOCUMENTS


def test_a_column_of_parquet_behind_a_url():
    pq.write_table(pa.table({"text": TEXTS}), "a.parquet")
    tf.io.gfile.copy("a.parquet", "ram://rows.parquet", overwrite=True)
    assert list(kbs.read_documents(["ram://rows.parquet"])) == DOCUMENTS


def test_a_column_with_another_name():
    pq.write_table(pa.table({"body": TEXTS}), "a.parquet")
    with Path("b.tsv").open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([["n", "body"], *([n, text] for n, text in enumerate(TEXTS))])
    form = CorpusForm(text_field="body")
    assert list(kbs.read_documents(["a.parquet", "b.tsv"], form)) == 2 * DOCUMENTS


def test_rows_come_in_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)
    pq.write_table(pa.table({"text": [f"Row {number:05d}." for number in range(3000)]}), "a.parquet")
    found = list(blocks.read_blocks(source_files(["a.parquet"]), CorpusForm()))
    assert [len(block.chunks[0].items) for block in found] == [100] * 30 + [0]
    assert [block.chunks[0].first_number for block in found[:3]] == [1, 101, 201]


def test_long_fields_and_short_rows_of_csv():
    Path("a.csv").write_text('n,text\n1,"' + "word " * 100_000 + '"\n2\n3,End.\n')
    assert [len(row) for row in read_rows(source_files(["a.csv"])[0], "text")] == [500_000, 0, 4]


def test_a_byte_order_mark_is_no_part_of_the_first_column():
    Path("a.csv").write_bytes(b"\xef\xbb\xbftext,stars\r\nOne.,1\r\n")
    assert list(kbs.read_documents(["a.csv"])) == [["One."]]


def test_bad_bytes_in_parquet_and_csv():
    binary = pa.array([b"caf\xe9"], pa.binary())
    pq.write_table(pa.table({"text": pa.Array.from_buffers(pa.string(), 1, binary.buffers())}), "a.parquet")
    Path("b.csv").write_bytes(b"text\ncaf\xe9\n")
    for name in ("a.parquet", "b.csv"):
        with pytest.raises(kbs.UserError, match=rf"{name}: row 1 is not UTF-8"):
            list(kbs.read_documents([name]))
        assert list(kbs.read_documents([name], CorpusForm(bad_bytes="replace"))) == [["caf\ufffd"]]


def test_a_prepared_dataset():
    documents = list(kbs.read_documents(["tfds:tiny_text:train"]))
    assert sorted(documents) == sorted(DOCUMENTS)  # the library shuffles when it prepares
    assert list(kbs.read_documents(["tfds:tiny_text:1.0.0:test"])) == [["Six."]]
    assert len(list(read_rows(source_files(["tfds:tiny_text:train[:50%]"])[0], "text"))) == 2
    assert Path(os.environ["TFDS_DATA_DIR"], "tiny_text", "1.0.0").is_dir()
    [file] = source_files(["tfds:tiny_text:train"])
    assert (file.kind, file.stamp) == ("tfds", "tiny_text/1.0.0")
    assert file.num_bytes > 50


@pytest.mark.parametrize(
    ("entry", "field", "named"),
    [
        ("tfds:tiny_text", "text", "tfds:tiny_text: give a dataset and its split"),
        (
            "tfds:tiny_text:valid",
            "text",
            "has no split 'valid'; it has train, test|has no split 'valid'; it has test, train",
        ),
        ("tfds:no_such_dataset_xyz:train", "text", "no such dataset"),
        ("tfds:tiny_text:9.9.9:train", "text", "cannot be downloaded and prepared"),
        ("tfds:tiny_text:train", "body", "has no column 'body'; .* text"),
        ("tfds:tiny_text:train", "stars", "'stars' is not text"),
    ],
)
def test_a_wrong_dataset_is_named(entry, field, named):
    with pytest.raises(kbs.UserError, match=named):
        list(kbs.read_documents([entry], CorpusForm(text_field=field)))


def test_a_wrong_parquet_file_is_named():
    pq.write_table(pa.table({"stars": [1], "body": ["One."]}), "a.parquet")
    with pytest.raises(kbs.UserError, match=r"a\.parquet: has no column 'text'; .*`text_field` to one of stars, body"):
        list(kbs.read_documents(["a.parquet"]))
    with pytest.raises(kbs.UserError, match=r"a\.parquet: column 'stars' contains int64, not text"):
        list(kbs.read_documents(["a.parquet"], CorpusForm(text_field="stars")))
    Path("a.parquet").write_bytes(Path("a.parquet").read_bytes()[:-20])
    with pytest.raises(kbs.UserError, match=r"a\.parquet: is not a valid Parquet file"):
        list(kbs.read_documents(["a.parquet"]))


@pytest.mark.parametrize(
    ("entry", "package"), [("a.parquet", "pyarrow"), ("tfds:tiny_text:train[:1]", "tensorflow_datasets")]
)
def test_what_is_not_installed_is_named(monkeypatch, entry, package):
    Path("a.parquet").touch()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(kbs.UserError, match=r"keras_bert_scratch\[corpora\]"):
        list(kbs.read_documents([entry]))


@pytest.mark.parametrize(
    ("name", "rows", "named"),
    [
        ("a.csv", "1,Blue, mostly.", r"line 2 has 3 cells, but the header names 2; quote the cells"),
        ("a.tsv", '1\t"Hello," she said.', r"line 2 is not valid CSV .*; a cell that begins with a quote"),
        ("a.tsv", '1\t"Never closed.\n2\tNext.', r"line \d is not valid CSV .*; a cell that begins with a quote"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(name, rows, named):
    Path(name).write_text(f"n{',' if name.endswith('csv') else chr(9)}text\n{rows}\n")
    with pytest.raises(kbs.UserError, match=named):
        list(kbs.read_documents([name]))
