"""Built records: what is in them, the same bytes however they come about, and what an interruption leaves."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from animal_documents import write_corpus
from fast_and_slow import slow_but

import keras_bert_scratch as kbs
from keras_bert_scratch.data.corpus import blocks
from keras_bert_scratch.data.corpus.form import CorpusForm
from keras_bert_scratch.data.records import build
from keras_bert_scratch.data.records.schema import Manifest


def read_back(directory: Path) -> list[list[str]]:
    """Every document's sentences, by plain TensorFlow, as somebody else would read the schema."""
    tokens = (directory / "vocab.txt").read_text().splitlines()
    found = []
    for shard in sorted(directory.glob("*.tfrecord")):
        for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            ids = np.frombuffer(features["token_ids"].bytes_list.value[0], "<u2")
            ends = np.cumsum(features["sentence_lengths"].int64_list.value)
            sentences = [" ".join(tokens[i] for i in part) for part in np.split(ids, ends[:-1])]
            stops = np.cumsum(features["document_lengths"].int64_list.value)
            found += [part.tolist() for part in np.split(np.array(sentences, object), stops[:-1])]
    return found


def content(directory: Path | str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in Path(directory).iterdir()}


def test_records_hold_every_document_once(records, documents):
    expected = [[sentence.lower().replace(" ", "") for sentence in document] for document in documents]
    found = [[sentence.replace(" ##", "").replace(" ", "") for sentence in document] for document in read_back(records)]
    assert sorted(found) == sorted(expected)


def test_the_manifest_tells_what_is_there(records, corpus, documents, vocabulary):
    manifest = json.loads((records / "manifest.json").read_text())
    assert manifest["vocabulary_sha256"] == hashlib.sha256((records / "vocab.txt").read_bytes()).hexdigest()
    assert manifest["vocab_size"] == len(vocabulary)
    for shard in manifest["shards"]:
        found = (records / shard["file"]).read_bytes()
        assert (shard["bytes"], shard["sha256"]) == (len(found), hashlib.sha256(found).hexdigest())
    counts = [shard["documents"] for shard in manifest["shards"]]
    assert sum(counts) == len(documents)
    assert max(counts) - min(counts) <= 1
    assert sum(shard["sentences"] for shard in manifest["shards"]) == sum(map(len, documents))
    assert manifest["text"]["text_bytes"] == corpus.stat().st_size
    assert manifest["options"] == {
        "num_shards": 3,
        "seed": 0,
        "documents": "blank-lines",
        "sentences": "split",
        "text_field": "text",
        "bad_bytes": "fail",
    }


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_text_gives_the_same_bytes(corpus, tokenizer, records, workers):
    kbs.build_records([corpus], tokenizer, "again", num_shards=3, workers=workers)
    assert content("again") == content(records)
    kbs.build_records([corpus], tokenizer, "other", num_shards=3, seed=1)
    assert Manifest.load("other").shards != Manifest.load("again").shards


def test_bad_bytes_and_empty_documents_are_counted(tokenizer):
    Path("a.txt").write_bytes(b"The heron\xff sees.\n\n\x00\n\nThe otter.\n\nThe river.\n")
    manifest = kbs.build_records(["a.txt"], tokenizer, "records", form=CorpusForm(bad_bytes="replace"))
    assert (manifest.text["replaced_bytes"], manifest.text["empty_documents"]) == (1, 1)
    assert manifest.total("documents") == 3


@pytest.mark.parametrize(("number", "shards"), [(5, 2), (2, 1), (1, 1), (16, 8), (64, 8)])
def test_a_shard_has_two_documents_where_there_are_two(documents, tokenizer, number, shards):
    manifest = kbs.build_records(
        [write_corpus(documents[:number], Path("some.txt"))], tokenizer, "records", num_shards=8
    )
    assert len(manifest.shards) == shards
    assert min(shard["documents"] for shard in manifest.shards) >= min(2, number)


def test_few_documents_a_block_are_spread_too(documents, tokenizer, monkeypatch):
    """Every file its own block: the dealing goes on from block to block."""
    monkeypatch.setattr("keras_bert_scratch.data.corpus.sources.GROUP_BYTES", 1)
    for number, document in enumerate(documents[:32]):
        write_corpus([document], Path(f"{number:02d}.txt"))
    manifest = kbs.build_records(["*.txt"], tokenizer, "records", num_shards=4)
    assert [shard["documents"] for shard in manifest.shards] == [8, 8, 8, 8]


# --- interruptions


@pytest.fixture
def many_blocks(documents, monkeypatch) -> Path:
    """A corpus of some twenty blocks."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(build, "BLOCK_BYTES", 1000)
    return write_corpus(documents, Path("many.txt"))


class StopError(Exception):
    pass


def build_until(many_blocks, tokenizer, parts: int, **arguments) -> None:
    """A build of `records` that is stopped when so many parts are there."""

    def stop(done, of):
        if len(list(Path(".partial-records/parts").glob("*.part"))) >= parts:
            raise StopError

    with pytest.raises(StopError):
        kbs.build_records([many_blocks], tokenizer, "records", num_shards=3, on_progress=stop, **arguments)


@pytest.fixture
def made(monkeypatch) -> list:
    """Grows with every part that is made."""
    parts = []
    make_part = build.make_part
    monkeypatch.setattr(build, "make_part", lambda *args: parts.append(args) or make_part(*args))
    return parts


def test_an_interrupted_build_goes_on(many_blocks, tokenizer, made):
    kbs.build_records([many_blocks], tokenizer, "whole", num_shards=3)
    in_all = len(made)
    build_until(many_blocks, tokenizer, 4)
    assert not Path("records").exists()
    kept = len(list(Path(".partial-records/parts").glob("*.part")))
    (Path(".partial-records/parts") / ".partial-000000-000099.part").write_bytes(b"half")
    Path(".partial-records/records-00000-of-00009.tfrecord").write_bytes(b"of a build of other files")
    made.clear()
    kbs.build_records([many_blocks], tokenizer, "records", num_shards=3)
    assert content("records") == content("whole")
    assert 4 <= kept < in_all
    assert len(made) == in_all - kept
    assert not Path(".partial-records").exists()


@pytest.mark.parametrize("change", slow_but(["text"], ["seed", "text", "vocabulary"]))
def test_another_build_starts_anew(many_blocks, tokenizer, documents, change):
    build_until(many_blocks, tokenizer, 4)
    if change == "text":
        write_corpus(documents[1:], many_blocks)
    if change == "vocabulary":
        tokenizer = kbs.BertTokenizer(kbs.learn_vocabulary((" ".join(document) for document in documents), size=100))
    seed = 1 if change == "seed" else 0
    kbs.build_records([many_blocks], tokenizer, "records", num_shards=3, seed=seed)
    kbs.build_records([many_blocks], tokenizer, "fresh", num_shards=3, seed=seed)
    assert content("records") == content("fresh")


BUILD = """
import sys
import keras_bert_scratch as kbs
from keras_bert_scratch.data.records import build
from keras_bert_scratch.data.corpus import blocks
blocks.BLOCK_BYTES = build.BLOCK_BYTES = 1000
print("ready", flush=True)
kbs.build_records(["many.txt"], kbs.BertTokenizer("vocab.txt"), "records", num_shards=3, workers=1)
"""


@pytest.mark.slow
def test_a_killed_build_goes_on_to_the_same_bytes(many_blocks, tokenizer, vocabulary):
    vocabulary.save("vocab.txt")
    kbs.build_records([many_blocks], tokenizer, "whole", num_shards=3)
    rng = random.Random(0)
    for _ in range(20):
        with subprocess.Popen([sys.executable, "-c", BUILD], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 1.5))  # somewhere between the tokenizer's making and the last shard
            process.send_signal(signal.SIGKILL)
        if Path("records").exists():  # it was quicker
            assert content("records") == content("whole")
            shutil.rmtree("records")
    kbs.build_records([many_blocks], tokenizer, "records", num_shards=3)
    assert content("records") == content("whole")


def others_here(process: subprocess.Popen) -> list[str]:
    """The processes that work in this folder, but for `process` itself."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == Path.cwd() and int(entry.name) not in (process.pid, os.getpid()):
                found.append((entry / "cmdline").read_text())
    return [command for command in found if "popen_loky" in command]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="lists processes as Linux does")
def test_the_workers_of_a_killed_build_end(many_blocks, vocabulary):
    vocabulary.save("vocab.txt")
    endless = BUILD.replace("print(", "build.split_block = lambda *_: __import__('time').sleep(600)\nprint(")
    deadline = time.monotonic() + 60
    with subprocess.Popen([sys.executable, "-c", endless], stdout=subprocess.PIPE) as process:
        while not others_here(process) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert others_here(process)
        process.send_signal(signal.SIGKILL)
    while others_here(process) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not others_here(process)


def test_a_killed_worker_is_an_error_not_a_wait(many_blocks, tokenizer, monkeypatch):
    monkeypatch.setattr(build, "split_block", lambda block, form: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(kbs.UserError, match="`workers`: a worker process was killed"):
        kbs.build_records([many_blocks], tokenizer, "records", workers=1)


def test_a_folder_in_use_is_kept(corpus, tokenizer):
    Path("records").mkdir()
    Path("records/thesis.txt").write_text("years of work")
    with pytest.raises(kbs.UserError, match="records: exists already"):
        kbs.build_records([corpus], tokenizer, "records")
    assert Path("records/thesis.txt").read_text() == "years of work"


def test_nothing_to_write_is_refused(tokenizer, tmp_path):
    Path("empty.txt").write_text("\n \n")
    with pytest.raises(kbs.UserError, match="contains no text"):
        kbs.build_records(["empty.txt"], tokenizer, "records")
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith(".")] == ["empty.txt"]


@pytest.mark.parametrize("arguments", [{"num_shards": 0}, {"workers": 0}])
def test_impossible_numbers_are_refused(corpus, tokenizer, arguments):
    with pytest.raises(kbs.UserError, match="must be at least 1, not 0"):
        kbs.build_records([corpus], tokenizer, "records", **arguments)


def test_a_bad_file_among_good_ones_loses_nothing(many_blocks, tokenizer, monkeypatch, made):
    """What was done before the error is kept; once the file is mended, the build goes on."""
    monkeypatch.setattr("keras_bert_scratch.data.corpus.sources.GROUP_BYTES", 1)
    Path("z.txt").write_bytes(b"latin \xe9")
    with pytest.raises(kbs.UserError, match=r"z\.txt: line 1 is not UTF-8"):
        kbs.build_records([many_blocks, "z.txt"], tokenizer, "records")
    kept = len(list(Path(".partial-records/parts").glob("*.part")))
    Path("z.txt").write_text("no longer latin")
    made.clear()
    kbs.build_records([many_blocks, "z.txt"], tokenizer, "records")
    made_again = len(made)
    kbs.build_records([many_blocks, "z.txt"], tokenizer, "fresh")
    assert content("records") == content("fresh")
    assert made_again == len(made) - made_again - kept
    assert kept > made_again
