"""Pairs of texts: two aligned files, tables, and what is wrong with them."""

import gzip
import json
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.data.parallel_texts import read_pairs, sources_of

# Characters that end a line elsewhere, but not here.
ODD = "a\x0b b\x0c c\x1c d\x85 e\u2028 f\rg"


def pairs_of(source, names=None, on_bad_row="fail") -> list[tuple[str, str]]:
    examples = read_pairs(source, names or {}, on_bad_row)
    return list(zip(examples.raw["source"], examples.gold["target"], strict=True))


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ("a\nb\n", "x\ny\n", [("a", "x"), ("b", "y")]),
        ("a\nb", "x\ny\n", [("a", "x"), ("b", "y")]),
        ("a\r\nb\r\n", "x\ny\n", [("a", "x"), ("b", "y")]),
        (f"{ODD}\nb\n", "x\ny\n", [(ODD, "x"), ("b", "y")]),
        ('a "b\nc" d\n', "x\ny\n", [('a "b', "x"), ('c" d', "y")]),
        ("\ufeffa\nb\n", "x\ny\n", [("a", "x"), ("b", "y")]),
        (" a, b\t\nb\n", "x\ny\n", [(" a, b\t", "x"), ("b", "y")]),
    ],
)
def test_lines_are_aligned_by_newlines_alone(source, target, found):
    Path("a.de").write_bytes(source.encode())
    Path("a.en.gz").write_bytes(gzip.compress(target.encode()))
    assert pairs_of("a.de,a.en.gz") == found


@pytest.mark.parametrize("longer", ["a.de", "a.en"])
def test_files_of_different_length_are_named_with_their_lines(longer):
    for path in ("a.de", "a.en"):
        Path(path).write_text("a\n" * (12 if path == longer else 9))
    counts = "a.de has 12 lines, but a.en has 9" if longer == "a.de" else "a.de has 9 lines, but a.en has 12"
    for on_bad_row in ("fail", "skip"):
        with pytest.raises(kbs.UserError, match=f"{counts}; aligned files"):
            read_pairs("a.de,a.en", {}, on_bad_row)


@pytest.mark.parametrize(
    ("name", "content", "names"),
    [
        ("a.tsv", 'source\ttarget\na\tx\n"b\ty\n', {}),
        ("a.csv", 'source,target\na,x\n"""b",y\n', {}),
        ("a.jsonl", '{"source": "a", "target": "x"}\n{"source": "\\"b", "target": "y"}\n', {}),
        ("a.jsonl", '{"de": "a", "en": "x"}\n{"de": "\\"b", "en": "y"}\n', {"text": "de", "label": "en"}),
        ("a,b.jsonl", '{"text": "a", "translation": "x"}\n{"text": "\\"b", "translation": "y"}\n', {}),
    ],
)
def test_tables(name, content, names):
    Path(name).write_text(content)
    assert pairs_of(name, names) == [("a", "x"), ('"b', "y")]
    assert [row["source"] for row in sources_of(name, names, "fail")] == ["a", '"b']


def test_columns_in_memory():
    assert pairs_of({"source": ["a"], "target": ["x"]}) == [("a", "x")]
    assert list(sources_of({"source": ["a"]}, {}, "fail")) == [{"source": "a"}]


@pytest.mark.parametrize(
    ("source", "target", "message", "reason"),
    [
        (b"a\n \nc\n", b"x\ny\nz\n", "line 2 has an empty source", "empty source"),
        (b"a\nb\nc\n", b"x\n\nz\n", "line 2 has an empty target", "empty target"),
        (b"a\nb\nc\n", b"x\n\xff\nz\n", "line 2 of a.en is not UTF-8", "not UTF-8"),
        (b"a\nb\0\nc\n", b"x\ny\nz\n", "line 2 of a.de contains a NUL", "NUL"),
    ],
)
def test_a_bad_pair_is_named_or_counted(source, target, message, reason):
    Path("a.de").write_bytes(source)
    Path("a.en").write_bytes(target)
    with pytest.raises(kbs.UserError, match=message):
        read_pairs("a.de,a.en", {}, "fail")
    examples = read_pairs("a.de,a.en", {}, "skip")
    assert examples.raw["source"] == ["a", "c"]
    [found] = examples.skipped
    assert reason in found


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a.de,b.de,c.de", "names 3 files; give two"),
        ("a.de,", "names 2 files; give two"),
        ("a.de,nowhere.en", "nowhere.en: no such file"),
        ("a.de,empty.en", "a.de has 1 lines, but empty.en has 0"),
        ("empty.en,empty.en", "holds no pairs of texts"),
        ("a.csv", "has no column 'source'"),
        ("blank.jsonl", "line 2 has an empty target"),
    ],
)
def test_what_is_no_pair_of_files_is_refused(source, message):
    Path("a.de").write_text("a\n")
    Path("empty.en").write_text("")
    Path("a.csv").write_text("x,y\n1,2\n")
    Path("blank.jsonl").write_text('{"source": "a", "target": "b"}\n{"source": "a", "target": " "}\n')
    with pytest.raises(kbs.UserError, match=message):
        read_pairs(source, {}, "fail")


@pytest.mark.parametrize("name", ["a.de", "a.txt", "a.de,nowhere.en"])
def test_every_line_is_translated_an_empty_one_too(name):
    Path(name.split(",")[0]).write_text(f"a\n\n{ODD}\n")
    assert [row["source"] for row in sources_of(name, {}, "fail")] == ["a", "", ODD]


def test_same_pairs_have_the_same_digest():
    """A run recognizes its data by this digest."""
    Path("a.de").write_text("a\nb\n")
    Path("a.jsonl").write_text("".join(json.dumps({"source": text, "target": text}) + "\n" for text in "ab"))
    assert read_pairs("a.de,a.de", {}, "fail").digest == read_pairs("a.jsonl", {}, "fail").digest
