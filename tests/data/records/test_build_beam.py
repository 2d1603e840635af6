import gzip
import json
import logging
import sys
from pathlib import Path

import pytest
from fast_and_slow import slow_but

import keras_bert_scratch as kbs
from keras_bert_scratch.data.corpus import blocks, sources
from keras_bert_scratch.data.corpus.form import CorpusForm
from keras_bert_scratch.data.records.build import build_records
from keras_bert_scratch.data.records.build_beam import build_records_with_beam
from keras_bert_scratch.data.records.shards import write_shard

# A pool of workers that nobody has started.
PORTABLE = ["--runner=PortableRunner", "--environment_type=EXTERNAL", "--environment_config=localhost:9"]


def text_of(documents: list[list[str]]) -> str:
    return "\n\n".join("\n".join(sentences) for sentences in documents)


@pytest.fixture
def mixed_corpus(documents, monkeypatch) -> list[str]:
    """Files of three kinds, read as several groups of several blocks each."""
    monkeypatch.setattr(sources, "GROUP_BYTES", 6000)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1500)
    Path("a.txt").write_text(text_of(documents[:20]))
    Path("b.txt.gz").write_bytes(gzip.compress(text_of(documents[20:40]).encode()))
    Path("c.jsonl").write_text("".join(json.dumps({"text": "\n".join(d)}) + "\n" for d in documents[40:60]))
    Path("d.csv").write_text("text,stars\n" + "".join(f'"{" ".join(d)}",5\n' for d in documents[60:]))
    return ["a.txt", "b.txt.gz", "c.jsonl", "d.csv"]


def content(directory: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(directory).iterdir()}


def test_the_mixed_corpus_has_many_files(mixed_corpus):
    groups = sources.file_groups(sources.source_files(mixed_corpus))
    lengths = [len(list(blocks.read_blocks(group, CorpusForm()))) for group in groups]
    assert len(groups) >= 3
    assert max(lengths) >= 2


@pytest.mark.parametrize(
    ("num_shards", "seed", "form"),
    [
        (1, 0, CorpusForm()),
        pytest.param(3, 7, CorpusForm(), marks=pytest.mark.slow),
        pytest.param(None, 0, CorpusForm(documents="files", sentences="lines"), marks=pytest.mark.slow),
        (100, 0, CorpusForm()),  # buckets of one document each make a shard, the later bucket first in the text
    ],
)
def test_the_bytes_are_the_local_builders(mixed_corpus, tokenizer, num_shards, seed, form):
    arguments = {"num_shards": num_shards, "seed": seed, "form": form}
    manifest = build_records_with_beam(mixed_corpus, tokenizer, "beam", **arguments)
    assert manifest == build_records(mixed_corpus, tokenizer, "local", **arguments)
    assert content("beam") == content("local")


def test_the_casing_is_the_tokenizers(mixed_corpus, vocabulary):
    cased = kbs.BertTokenizer(vocabulary, lowercase=False)
    assert not build_records_with_beam(mixed_corpus, cased, "beam", num_shards=2).lowercase
    build_records(mixed_corpus, cased, "local", num_shards=2)
    assert content("beam") == content("local")


def test_the_rules_are_the_tokenizers(tokenizer):
    vocabulary = kbs.Vocabulary((*tokenizer.vocabulary.tokens[:5], "é", "e"))
    accented = kbs.BertTokenizer(vocabulary, True, strip_accents=False)
    Path("accents.txt").write_text("É é e.\n")
    build_records_with_beam(["accents.txt"], accented, "beam")
    build_records(["accents.txt"], accented, "local")
    assert content("beam") == content("local")
    assert kbs.PretrainingRecords("beam").tokenizer.rules == accented.rules


@pytest.mark.parametrize("mode", ["multi_threading", pytest.param("multi_processing", marks=pytest.mark.slow)])
def test_several_workers_write_the_same(corpus, tokenizer, records, mode):
    workers = ["--direct_num_workers=2", f"--direct_running_mode={mode}"]
    build_records_with_beam([corpus], tokenizer, "beam", num_shards=3, pipeline_args=workers)
    assert content("beam") == content(records)


TWO_THREADS = ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]


@pytest.mark.parametrize("workers", slow_but([TWO_THREADS], [[], TWO_THREADS]), ids=["one", "two"])
@pytest.mark.parametrize(
    ("text", "form", "line"),
    [
        (b"One.\nTw\xff.", CorpusForm(), "d.txt: line 2 is not UTF-8 "),
        pytest.param(b" \n", CorpusForm(), "d.txt: contains no text; ", marks=pytest.mark.slow),
    ],
    ids=["bad bytes", "no text"],
)
def test_what_a_worker_finds_is_one_line(tokenizer, tmp_path, capfd, text, form, line, workers):
    Path("d.txt").write_bytes(text)
    with pytest.raises(kbs.UserError) as raised:
        build_records_with_beam(["d.txt"], tokenizer, "beam", form=form, pipeline_args=workers)
    with pytest.raises(kbs.UserError) as raised_locally:
        build_records(["d.txt"], tokenizer, "local", form=form)
    assert str(raised.value) == str(raised_locally.value)
    assert str(raised.value).startswith(line)
    assert not [path for path in tmp_path.iterdir() if "beam" in path.name]


def test_every_attempt_at_a_shard_has_a_place_of_its_own(corpus, tokenizer, monkeypatch):
    places = []

    def noting(path, records):
        places.append(path.parent)
        return write_shard(path, records)

    monkeypatch.setattr("keras_bert_scratch.data.records.build_beam.write_shard", noting)
    build_records_with_beam([corpus], tokenizer, "beam", num_shards=3)
    assert len(set(places)) == 3


@pytest.mark.parametrize(
    "engine",
    slow_but([[]], [[], ["--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"]]),
)
def test_no_traceback_is_logged_for_what_a_user_can_mend(tokenizer, caplog, engine):
    Path("d.txt").write_bytes(b"\xff")
    with pytest.raises(kbs.UserError, match=r"^d.txt: line 1 is not UTF-8"):
        build_records_with_beam(["d.txt"], tokenizer, "beam", pipeline_args=engine)
    # What the service and its worker log stays in their own processes where they have some.
    here = [record for record in caplog.records if record.name in ("root", "apache_beam.runners.common")]
    assert "d.txt" not in "".join(caplog.handler.format(record) for record in here)
    assert not logging.getLogger().filters


def test_other_failures_stay_what_they_are(corpus, tokenizer, tmp_path, monkeypatch, caplog):
    def broken(*arguments):
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr("keras_bert_scratch.data.records.build_beam.make_part", broken)
    with pytest.raises(ZeroDivisionError, match="by chance"):
        build_records_with_beam([corpus], tokenizer, "beam")
    assert "by chance" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_worker_without_the_folder_says_so(corpus, tokenizer, monkeypatch):
    is_dir = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path: path.name != ".partial-beam" and is_dir(path))
    with pytest.raises(kbs.UserError, match=r"\.partial-beam: a worker cannot access it; give a folder on a disk "):
        build_records_with_beam([corpus], tokenizer, "beam")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"directory": "quux://bucket/records"}, r"quux://bucket/records: cannot be read \(TensorFlow cannot open"),
        ({"num_shards": 0}, r"`num_shards`: must be at least 1, not 0"),
        ({"pipeline_args": ["--runner=Walker"]}, r"`beam`: Beam rejects its options \(Unexpected .*: Walker\..*fix"),
        (
            {"pipeline_args": ["--runner=apache_beam.runners.Walker"]},
            r"`beam`: Beam rejects its .*attribute 'Walker'.*fix",
        ),
        ({"pipeline_args": ["--runner=walks.Walker"]}, r"`beam`: Beam rejects its options \(No module named 'walks'\)"),
        (
            {"pipeline_args": ["--runner=PortableRunner"]},
            r"`beam`: the engine rejects the work \(.*--job_endpoint",
        ),
        (
            {"pipeline_args": [*PORTABLE, "--job_endpoint=localhost:9", "--job_server_timeout=1"]},
            r"`beam`: the engine rejects the work \(FutureTimeoutError\); fix the options, or start the engine",
        ),
        (
            {"pipeline_args": [*PORTABLE, "--job_endpoint=embed"]},
            r"`beam`: a server cannot be reached \(failed to connect .*:9: .*\); start it, or fix its address",
        ),
        ({"directory": "full"}, r"full: exists already; delete it or choose another place"),
        ({"directory": "full/a.txt"}, r"full/a.txt: exists already; delete it or choose another place"),
        ({"corpus": ["none.txt"]}, r"none.txt: no such file or folder"),
    ],
)
def test_wrong_arguments_are_named_at_once(corpus, tokenizer, tmp_path, arguments, line):
    Path("full").mkdir()
    Path("full/a.txt").write_text("years of work")
    with pytest.raises(kbs.UserError, match=line):
        build_records_with_beam(**{"corpus": [corpus], "tokenizer": tokenizer, "directory": "beam", **arguments})
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["full", "full/a.txt"]


def test_without_beam_the_extra_is_named(corpus, tokenizer, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(kbs.UserError, match=r"`beam`: needs the package 'apache-beam'; .*keras_bert_scratch\[beam\]"):
        build_records_with_beam([corpus], tokenizer, "beam")
