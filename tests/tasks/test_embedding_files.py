"""Embeddings in files: what numpy and pyarrow read, and what an index refuses."""

import builtins
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks import embedding_files
from keras_bert_scratch.tasks.embedding_files import EmbeddingIndex, digest_of, embeddings_file

TEXTS = ['quotes " and \\', "", "two\nlines", "北京 ½"]
ROWS = [{"text": text, "line": 2 * number + 1} for number, text in enumerate(TEXTS)]
draws = np.random.default_rng(0)
# By name: the shape of one embedding, of a text or of a token.
POOLED = {"one layer": (3,), "layers": (2, 3)}
OF_TOKENS = {"tokens": (3,), "tokens of layers": (2, 3)}


def answers(kind: str) -> list[dict]:
    if kind in POOLED:
        return [{"embedding": draws.normal(size=POOLED[kind]).astype("float32").tolist()} for _ in TEXTS]
    found = []
    for number in range(2, 2 + len(TEXTS)):
        vectors = draws.normal(size=(number, *OF_TOKENS[kind])).astype("float32")
        found.append({"tokens": ["[CLS]", *"abc"[: number - 2], "[SEP]"], "token_embeddings": vectors.tolist()})
    return found


def written(path: str, kind: str = "one layer", rows=ROWS) -> list[dict]:
    given = answers(kind)
    with embeddings_file(path, "model's digest") as write:
        for row, answer in zip(rows, given, strict=True):
            write(row, answer)
    return given


@pytest.mark.parametrize("kind", POOLED)
def test_numpy_reads_vectors_of_texts(kind):
    given = written("a.npz", kind)
    found = np.load("a.npz")
    assert found["embedding"].dtype == np.float32
    np.testing.assert_array_equal(found["embedding"], np.array([answer["embedding"] for answer in given], "float32"))
    assert found["line"].tolist() == [1, 3, 5, 7]
    assert json.loads(found["text"].tobytes()) == TEXTS
    assert json.loads(found["about"].tobytes())["model"] == "model's digest"


@pytest.mark.parametrize("kind", OF_TOKENS)
def test_numpy_reads_vectors_of_tokens(kind):
    given = written("a.npz", kind)
    found = np.load("a.npz")
    assert json.loads(found["tokens"].tobytes()) == [answer["tokens"] for answer in given]
    parts = np.split(found["token_embeddings"], np.cumsum(found["num_tokens"])[:-1])
    for part, answer in zip(parts, given, strict=True):
        np.testing.assert_array_equal(part, np.array(answer["token_embeddings"], "float32"))


@pytest.mark.parametrize("kind", [*POOLED, *OF_TOKENS])
def test_pyarrow_reads_a_row_for_each_text(kind, monkeypatch):
    monkeypatch.setattr(embedding_files, "ROW_GROUP_NUMBERS", 7)
    given = written("a.parquet", kind)
    table = pq.read_table("a.parquet")
    expected = [{"line": row["line"], "text": row["text"], **answer} for row, answer in zip(ROWS, given, strict=True)]
    assert table.to_pylist() == expected
    assert "float" in str(table.schema.field(table.schema.names[-1]).type)
    file = pq.ParquetFile("a.parquet")
    assert file.num_row_groups > 1
    assert json.loads(file.metadata.metadata[b"about"])["count"] == 4


@pytest.mark.parametrize("block", [1, 3, 100])
def test_an_index_is_read_in_blocks(block, monkeypatch):
    monkeypatch.setattr(embedding_files, "ROWS_AT_ONCE", block)
    given = written("a.npz")
    index = EmbeddingIndex("a.npz")
    blocks = list(index.blocks())
    assert max(len(found.texts) for found in blocks) == min(block, 4)
    assert [text for found in blocks for text in found.texts] == TEXTS
    assert [line for found in blocks for line in found.lines] == [1, 3, 5, 7]
    np.testing.assert_array_equal(
        np.concatenate([found.vectors for found in blocks]), np.array([row["embedding"] for row in given], "float32")
    )
    assert (index.about["texts"], index.about["count"]) == digest_of(iter(ROWS))


def test_the_digest_names_texts_and_lines():
    others = [ROWS[:3], [*ROWS[:3], {**ROWS[3], "line": 8}], [*ROWS[:3], {**ROWS[3], "text": "x"}]]
    assert len({digest_of(iter(rows))[0] for rows in (ROWS, *others)}) == 4


def test_rows_without_lines_are_numbered():
    written("a.npz", rows=[{"text": text} for text in TEXTS])
    assert np.load("a.npz")["line"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["a.npz", "a.parquet"])
def test_nothing_is_left_of_a_file_that_is_not_finished(name):
    with pytest.raises(RuntimeError), embeddings_file(name, "") as write:
        write(ROWS[0], answers("one layer")[0])
        raise RuntimeError
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("name", ["a.npz", "a.parquet"])
def test_what_is_refused_when_writing(name, monkeypatch):
    with (
        pytest.raises(kbs.UserError, match=rf"{name}: \.npz and \.parquet files hold only embeddings; name a \.jsonl"),
        embeddings_file(name, "") as write,
    ):
        write(ROWS[0], {"similarity": 0.5})
    Path(name).write_text("there")
    with pytest.raises(kbs.UserError, match=f"{name}: exists already"), embeddings_file(name, ""):
        pass
    assert Path(name).read_text() == "there"


def test_a_missing_pyarrow_is_named(monkeypatch):
    really = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return really(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with (
        pytest.raises(kbs.UserError, match=r"needs the package 'pyarrow'; install it"),
        embeddings_file("a.parquet", ""),
    ):
        pass


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: written("a.npz", "layers"), "has several vectors for each text"),
        (lambda: written("a.npz", "tokens"), "has no embeddings with their texts"),
        (lambda: np.savez("a.npz", embedding=np.zeros((2, 3))), "has no embeddings with their texts"),
        (lambda: Path("a.npz").write_bytes(b"PK"), "cannot be read"),
        (lambda: (written("a.npz"), Path("a.npz").write_bytes(Path("a.npz").read_bytes()[:-40])), "cannot be read"),
    ],
)
def test_what_is_no_index_is_named(make, message):
    make()
    with pytest.raises(kbs.UserError, match=rf"a\.npz: {message}.*; delete it, and search again with `data`"):
        EmbeddingIndex("a.npz")


def test_a_damaged_block_is_named():
    written("a.npz")
    content = bytearray(Path("a.npz").read_bytes())
    at = content.index(np.float32(np.load("a.npz")["embedding"][2, 1]).tobytes())
    content[at] ^= 1
    Path("a.npz").write_bytes(content)
    with pytest.raises(kbs.UserError, match=r"a\.npz: cannot be read \(Bad CRC-32"):
        list(EmbeddingIndex("a.npz").blocks())
