"""Named entities in files: CoNLL columns, JSON lines and running text give the same data; errors are named."""

import dataclasses
import gzip
import json
import os
import re
import threading
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.registry import get_task

TASK = get_task("ner")
SPEC = kbs.Spec("ner", ("text",), 8, ("O", "B-LOC", "I-LOC", "B-PER", "I-PER"), options={"overlap": 64})
CONLL = "-DOCSTART- -X- O\n\nPeter NNP B-PER\nin IN O\nRome NNP B-LOC\n\nParis NNP I-LOC\n"


def read(source, spec: kbs.Spec | None = None, on_bad_row: str = "fail", document_context: bool = False, **names):
    options = {"overlap": 64, "document_context": document_context}
    spec = spec or kbs.Spec("ner", (), 8, header_names=names, options=options)
    return TASK.read(source, spec, on_bad_row)


def test_files_of_all_kinds_are_the_same_data():
    Path("a.conll").write_text(CONLL)
    rows = [(["Peter", "in", "Rome"], ["B-PER", "O", "B-LOC"]), (["Paris"], ["B-LOC"])]
    Path("a.jsonl").write_text("\n".join(json.dumps({"tokens": words, "ner_tags": tags}) for words, tags in rows))
    in_memory = {"words": [words for words, _ in rows], "tags": [tags for _, tags in rows]}
    found = [read(source) for source in ("a.conll", "a.jsonl", in_memory)]
    assert len({examples.digest for _, examples in found}) == 1
    assert found[0][0].labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert [dict(row) for row in TASK.unlabelled("a.conll", found[0][0])] == [{"words": words} for words, _ in rows]
    assert [dict(row) for row in TASK.unlabelled("a.jsonl", found[0][0])] == [{"words": words} for words, _ in rows]


def test_a_file_is_read_alike_with_and_without_tags():
    """Even if the file's ending is that of a table, whose cells hold no lists."""
    spec = SPEC
    for name in ("a.tsv", "a.txt", "a.json-like.conll"):
        Path(name).write_text("Rome\tB-LOC\n")
        assert read(name)[1].raw == {"words": [["Rome"]]}
        assert list(TASK.unlabelled(name, spec)) == [{"words": ["Rome"]}]
    Path("a.csv").write_text("text\nRome.\n")
    assert list(TASK.unlabelled("a.csv", spec)) == [{"text": "Rome."}]


@pytest.mark.parametrize("name", ["a.conll", "a.txt"])
def test_nothing_of_a_pipe_is_lost(name):
    """A pipe can be read only once, so it cannot be read first to detect its format."""
    os.mkfifo(name)
    writer = threading.Thread(target=Path(name).write_text, args=("Rome B-LOC\nfell O\n",))
    writer.start()
    found = list(TASK.unlabelled(name, SPEC))
    writer.join()
    assert found == [{"words": ["Rome", "fell"]}]


@pytest.mark.parametrize("name", ["a.tsv", "a.txt", "a.tsv.gz"])
def test_running_text_is_not_taken_for_tagged_words(name):
    spec, pack = SPEC, gzip.compress if name.endswith("gz") else bytes
    Path(name).write_bytes(pack(b"Text\tid\nRome, Paris\t1\n"))
    assert list(TASK.unlabelled(name, spec)) == [{"text": "Rome, Paris"}]
    Path(name).write_bytes(pack(b"good film\nbad otter\n"))
    with pytest.raises(
        kbs.UserError, match=rf"{re.escape(name)}: its first line has no tag, but 'film'; put running text"
    ):
        list(TASK.unlabelled(name, spec))
    named = dataclasses.replace(spec, header_names={"text": "1"})
    assert list(TASK.unlabelled(name, named)) == [{"words": ["good", "bad"]}]
    Path(name).write_bytes(pack(b"-DOCSTART-\n\ntext O\nRome B-LOC\n\nParis O\n"))
    assert list(TASK.unlabelled(name, spec)) == [{"words": ["text", "Rome"]}, {"words": ["Paris"]}]
    Path(name).write_bytes(pack(b"Rome\nfell\n"))  # only words
    assert list(TASK.unlabelled(name, spec)) == [{"words": ["Rome", "fell"]}]


def test_a_second_text_is_not_read():
    Path("a.conll").write_text("Rome B-LOC\n")
    with pytest.raises(kbs.UserError, match="`pair_column`: this task reads only words, tags"):
        read("a.conll", text_pair="2")


def test_other_columns_are_named_by_their_number():
    Path("a.conll").write_text("1 Rome B-LOC NNP\n")
    _, examples = read("a.conll", text="2", label="3")
    assert examples.raw == {"words": [["Rome"]]}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("a O\nRome LOC\n", r"line 1 has the word 'Rome' with the tag 'LOC'.* write O, or B-"),
        ("a O\n\nb B-LOC x\n", r"line 3 has 3 columns in line 3"),
        ("a O\n", "every tag is O"),
        ("\n\n", "holds no sentences"),
        ("a B-LOC\n\nb X-LOC\n", "line 3 has the word 'b' with the tag 'X-LOC'"),
    ],
)
def test_what_is_wrong_is_named(content, named):
    Path("bad.conll").write_text(content)
    with pytest.raises(kbs.UserError, match=rf"(?s)bad\.conll: .*{named}"):
        read("bad.conll")


def test_bad_sentences_are_left_out_and_counted():
    Path("bad.conll").write_text("a B-LOC\n\nb\n\nc LOC\n\nd O\n")
    _, examples = read("bad.conll", on_bad_row="skip")
    assert examples.raw["words"] == [["a"], ["d"]]
    assert dict(examples.skipped) == {"number of columns": 1, "no tag": 1}


def test_a_type_that_was_not_trained_on_is_named():
    spec, _ = read({"words": [["a"]], "tags": [["B-LOC"]]})
    with pytest.raises(kbs.UserError, match=r"row 1 .*'B-PER', whose type is not one of LOC"):
        read({"words": [["a"]], "tags": [["B-PER"]]}, spec)


def test_words_and_tags_of_unequal_number_are_named():
    with pytest.raises(kbs.UserError, match="row 2 has 2 words, but 1 tags"):
        read({"words": [["a"], ["b", "c"]], "tags": [["B-X"], ["O"]]})
