"""Paths and addresses have the same methods; `ram://` is a file system of TensorFlow that needs no network."""

from pathlib import Path

import pytest

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import Address, cache_folder, listed, path_of, reading, writing


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("records", Path("records")),
        (Path("records"), Path("records")),
        ("gs://bucket/records", Address("gs://bucket/records")),
        ("gs://bucket/records/", Address("gs://bucket/records")),
        (Path("gs://bucket/records"), Address("gs://bucket/records")),  # as typer passes it
        (Path("file:///data/records"), Address("file:///data/records")),
        (Address("gs://bucket"), Address("gs://bucket")),
        ("C:/records", Path("C:/records")),
        ("tfds:imdb_reviews/plain_text:train", Path("tfds:imdb_reviews/plain_text:train")),
    ],
)
def test_a_path_or_an_address(given, meant):
    assert path_of(given) == meant


def test_a_local_folder_that_looks_like_an_address_is_a_folder():
    Path("gs:/bucket").mkdir(parents=True)
    assert path_of("gs:/bucket") == Path("gs:/bucket")


@pytest.mark.parametrize(
    "given", ["a.txt", Path("a.txt"), Address("gs://a.txt"), ["a.txt"], ("a.txt",), iter(["a.txt"])]
)
def test_one_path_is_a_list_of_one(given):
    assert len(listed(given)) == 1


@pytest.mark.parametrize("root", ["file", "ram"])
def test_an_address_does_what_a_path_does(root, tmp_path):
    here = Path("there")
    there = Address(f"file://{tmp_path}/there" if root == "file" else f"ram://{tmp_path.name}/there")
    if root == "ram":
        (there / "deep/b.txt").write_bytes(b"Second.")
        (there / "a.txt").write_bytes(b"First.")
    (here / "deep").mkdir(parents=True)
    (here / "deep/b.txt").write_bytes(b"Second.")
    (here / "a.txt").write_bytes(b"First.")
    for ask in (
        lambda path: [entry.name for entry in sorted(path.iterdir())],
        lambda path: [path.exists(), path.is_dir(), path.is_file(), path.name, path.parent.is_dir()],
        lambda path: [(path / "a.txt").exists(), (path / "a.txt").is_dir(), (path / "a.txt").is_file()],
        lambda path: [(path / "none").exists(), (path / "none").is_dir(), (path / "none").is_file()],
        lambda path: (path / "a.txt").stat().st_size,
        lambda path: (path / "deep/b.txt").read_bytes(),
        lambda path: (path / "deep/b.txt").read_text(encoding="utf-8"),
    ):
        assert ask(there) == ask(here)
    with (there / "a.txt").open("rb") as file:
        assert [file.read(2), file.seek(4), file.read(), file.seek(0), file.tell(), file.read()] == [
            b"Fi", 4, b"t.", 0, 0, b"First."
        ]  # fmt: skip
    assert [str(path) for path in (there / "*.txt").matching()] == [f"{there}/a.txt"]
    assert [path.name for path in there.walk_files()] == ["a.txt", "b.txt"]
    (there / "a.txt").write_bytes(b"New.")
    assert (there / "a.txt").read_bytes() == b"New."
    (there / "a.txt").unlink()
    assert not (there / "a.txt").exists()


@pytest.mark.parametrize("act", [Address.open, Address.stat, Address.read_bytes, lambda path: list(path.iterdir())])
def test_what_is_not_there_is_not_found(act, tmp_path):
    with pytest.raises(FileNotFoundError):
        act(Address(f"ram://{tmp_path.name}/none"))


@pytest.mark.parametrize("context", [reading, writing])
def test_what_cannot_be_opened_is_named(context):
    with pytest.raises(UserError, match=r"quux://a: .*TensorFlow cannot open quux:// .*install"), context("quux://a"):
        Address("quux://a").exists()


def test_the_cache_can_be_moved(monkeypatch):
    assert cache_folder() == Path.cwd() / "cache"
    monkeypatch.delenv("KERAS_BERT_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "keras_bert_scratch"
