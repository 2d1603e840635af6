"""Corpora and records at addresses that `tf.io.gfile` opens: the same bytes and the same batches as on a disk."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but

import keras_bert_scratch as kbs
from keras_bert_scratch.data.google.reader import GoogleRecords
from keras_bert_scratch.data.google.writer import build_google_examples, write_google_examples
from keras_bert_scratch.data.pretraining import reader
from keras_bert_scratch.data.records import folder
from keras_bert_scratch.data.records.build_beam import build_records_with_beam
from keras_bert_scratch.filesystem import Address, path_of


@pytest.fixture(params=["file", "ram"])
def there(request, tmp_path) -> str:
    """An address where nothing exists yet."""
    return f"file://{tmp_path}/deep/there" if request.param == "file" else f"ram://{tmp_path.name}/deep/there"


def upload(source: Path, target: str) -> None:
    for file in source.iterdir():
        (path_of(target) / file.name).write_bytes(file.read_bytes())


def content(directory) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in path_of(directory).iterdir() if path.is_file()}


def some(batches: tf.data.Dataset) -> list:
    return list(batches.take(3).as_numpy_iterator())


def assert_same(found, expected) -> None:
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)


BUILDS = {
    "local": kbs.build_records,
    "beam": build_records_with_beam,
    "google": lambda *args, **options: build_google_examples(*args, **options, max_length=32, dupe_factor=2),
}


@pytest.mark.slow
@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_records_built_there_have_the_bytes_of_those_built_here(build, corpus, tokenizer, there):
    here = build([corpus], tokenizer, "here", num_shards=3)
    assert build([corpus], tokenizer, there, num_shards=3) == here
    assert content(there) == content("here")
    assert not [path for path in Path("cache/uploads").glob("*") if path.is_dir()]  # nothing is left behind
    with pytest.raises(kbs.UserError, match="there: exists already; delete it"):
        build([corpus], tokenizer, there, num_shards=3)


@pytest.mark.parametrize("step", slow_but([1000], [0, 1000]))
@pytest.mark.parametrize("as_given", [str, Path, Address], ids=["str", "Path", "Address"])
def test_records_there_give_the_batches_of_those_here(records, there, step, as_given):
    upload(records, there)
    found = kbs.open_records(as_given(there))
    assert isinstance(found, kbs.PretrainingRecords)
    expected = kbs.PretrainingRecords(records)
    assert_same(some(found.batches(4, 32, first_step=step)), some(expected.batches(4, 32, first_step=step)))
    assert found.fingerprint == expected.fingerprint
    assert found.tokenizer.vocabulary.origin == f"{there}/vocab.txt"
    assert found.tokenizer.lowercase == expected.tokenizer.lowercase


def test_googles_records_there_give_the_batches_of_those_here(records, vocabulary, tokenizer, there):
    write_google_examples(records, "googles", max_length=32, dupe_factor=1)
    for name in ("manifest.json", "vocab.txt", "tokenizer_config.json"):  # as Google's script writes no such files
        Path("googles", name).unlink()
    names = sorted(path.name for path in Path("googles").iterdir())
    upload(Path("googles"), there)
    vocabulary.save("vocab.txt")
    (path_of(there).parent / "words.txt").write_bytes(Path("vocab.txt").read_bytes())
    expected = some(GoogleRecords("googles", tokenizer).batches(4, first_step=5))
    for paths in (there, f"{there}/exa*", [f"{there}/{name}" for name in names]):
        assert_same(some(GoogleRecords(paths, tokenizer).batches(4, 32, first_step=5)), expected)
    found = kbs.open_records(there, vocab=f"{path_of(there).parent}/words.txt")
    assert_same(some(found.batches(4, first_step=5)), expected)
    assert found.fingerprint == GoogleRecords("googles", tokenizer).fingerprint


def test_examples_are_written_there_of_records_there(records, there):
    upload(records, there)
    write_google_examples(there, f"{there}-examples", max_length=32, dupe_factor=1)
    write_google_examples(records, "here", max_length=32, dupe_factor=1)
    assert content(f"{there}-examples") == content("here")
    found, expected = kbs.open_records(f"{there}-examples"), kbs.open_records("here")
    assert_same(some(found.batches(4)), some(expected.batches(4)))


def test_an_interrupted_upload_is_no_folder_of_records_and_is_continued(corpus, tokenizer, there, monkeypatch):
    upload_file = folder.upload_file

    def interrupted(source, target):
        if source.name == "vocab.txt":
            (target.parent / f".partial-{target.name}").write_bytes(b"half")
            raise KeyboardInterrupt
        upload_file(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(folder, "upload_file", interrupted)
        kbs.build_records([corpus], tokenizer, there, num_shards=3)
    assert set(content(there)) == {*(f"records-0000{n}-of-00003.tfrecord" for n in range(3)), ".partial-vocab.txt"}
    with pytest.raises(kbs.UserError, match=r"there: (contains no manifest|has no vocabulary)"):
        kbs.open_records(there)
    with monkeypatch.context() as patch:
        patch.delattr("keras_bert_scratch.data.records.build.make_part")  # no text is tokenized again
        kbs.build_records([corpus], tokenizer, there, num_shards=3)
    kbs.build_records([corpus], tokenizer, "here", num_shards=3)
    assert content(there) == content("here")


def test_what_is_not_records_is_not_written_over(corpus, tokenizer, there):
    (path_of(there) / "thesis.txt").write_bytes(b"years of work")
    for build in BUILDS.values():
        with pytest.raises(kbs.UserError, match="there: exists already; delete it"):
            build([corpus], tokenizer, there)
    assert content(there) == {"thesis.txt": b"years of work"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda there: (there / "manifest.json").unlink(), "there: has no vocabulary|there: contains no"),
        (lambda there: (there / "manifest.json").write_bytes(b"{"), r"there/manifest\.json: is not a valid manifest"),
        (lambda there: (there / "*.tfrecord").matching()[0].unlink(), "is missing or not [0-9]+ bytes long"),
        (lambda there: (there / "vocab.txt").write_bytes(b"[PAD]\n"), "there/vocab.txt: lacks"),
    ],
    ids=["no manifest", "damaged manifest", "a shard missing", "a damaged vocabulary"],
)
def test_damage_there_is_named(records, there, damage, message):
    upload(records, there)
    damage(path_of(there))
    with pytest.raises(kbs.UserError, match=message):
        kbs.PretrainingRecords(there)


def test_an_address_that_nothing_opens_is_named(tokenizer):
    with pytest.raises(kbs.UserError, match=r"quux://bucket/records.*: .*TensorFlow cannot open quux://"):
        kbs.open_records("quux://bucket/records", tokenizer)


def test_counts_of_rows_are_kept_there(records, there, monkeypatch):
    monkeypatch.setattr("keras_bert_scratch.data.pretraining.row_counts.WORTH_SAVING_SECONDS", 0.0)
    upload(records, there)
    some(kbs.open_records(there).batches(4, 32, first_step=1000))
    [file] = (path_of(there) / ".row_counts").iterdir()
    assert len(json.loads(file.read_bytes())["counts"]) >= 3 * reader.PLANS
