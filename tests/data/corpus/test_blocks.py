import bz2
import functools
import gzip
import json
import lzma
import tracemalloc
from pathlib import Path

import pytest
from backports import zstd
from fast_and_slow import slow_but
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_bert_scratch.data.corpus import blocks, splitting
from keras_bert_scratch.data.corpus.blocks import read_blocks
from keras_bert_scratch.data.corpus.form import CorpusForm
from keras_bert_scratch.data.corpus.sources import source_files
from keras_bert_scratch.data.corpus.splitting import MAX_SENTENCE_CHARACTERS, SplitBlock, split_block
from keras_bert_scratch.errors import UserError

REPLACE = CorpusForm(bad_bytes="replace")


def split_all(*names: str, form: CorpusForm = REPLACE) -> list[SplitBlock]:
    return [split_block(block, form) for block in read_blocks(source_files(names), form)]


def documents_of(splits: list[SplitBlock]) -> list[list[str]]:
    return [document for split in splits for document in split.documents()]


def total(splits: list[SplitBlock], what: str) -> int:
    return sum(getattr(split, what) for split in splits)


def plainly(content: bytes, rule: str) -> list[list[str]]:
    """Documents of one-sentence lines, written in the fewest words."""
    documents: list[list[str]] = [[]]
    for line in content.decode("utf-8-sig", "replace").split("\n"):
        if line.strip():
            documents[-1].append(line.strip())
        elif rule == "blank-lines":
            documents.append([])
    return [document for document in documents if document]


LINES = ["a", "bc d", "é。", "好𝄞", "", "", "\r", " \t", "\xa0", "\u3000\x1c\x85", "\ufeff", "\u2028"]
texts = st.lists(st.sampled_from(LINES), max_size=30).map(lambda lines: "\n".join(lines).encode())


@pytest.mark.parametrize("rule", ["blank-lines", "files"])
@given(text=texts, block_bytes=st.integers(1, 40), tail=st.sampled_from([b"", b"\n", b"\r\n", b"\xff\xe5"]))
@settings(max_examples=300, deadline=None)
def test_wherever_blocks_end_the_documents_are_the_same(rule, text, block_bytes, tail):
    Path("a.txt").write_bytes(text + tail)
    Path("b.txt").write_bytes(b"\xef\xbb\xbf" + text)
    form = CorpusForm(documents=rule, sentences="lines", bad_bytes="replace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", block_bytes)
        splits = split_all("a.txt", "b.txt", form=form)
    assert documents_of(splits) == plainly(text + tail, rule) + plainly(b"\xef\xbb\xbf" + text, rule)
    assert total(splits, "cut_documents") == 0
    assert total(splits, "text_bytes") == len((text + tail).removeprefix(b"\xef\xbb\xbf") + text)


def test_blocks_are_of_about_the_size_and_small_files_share_one(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)
    Path("long.txt").write_text("One line of a document.\n\n" * 400)
    sizes = [sum(chunk.num_bytes for chunk in block.chunks) for block in read_blocks(source_files(["."]), REPLACE)]
    assert sum(sizes) == 10_000
    assert max(sizes) < 1100
    for number in range(20):
        Path(f"{number}.txt").write_text("A small file.\n" * 10)
    found = list(read_blocks(source_files(["?.txt", "1?.txt"]), REPLACE))
    assert [len(block.chunks) for block in found] == [8, 8, 4]


def test_a_block_says_on_which_line_of_the_file_it_begins(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 8)
    Path("a.txt").write_bytes(b"One.\r\nTwo.\n\nThree.\n\nFour.\nFi\xffve.\n\nSix.")
    with pytest.raises(UserError, match=r"a\.txt: line 7 is not UTF-8 \(invalid start byte at byte 2\)"):
        split_all("a.txt", form=CorpusForm())
    rows = [json.dumps({"text": f"Row {number}."}) for number in range(1, 7)]
    Path("a.jsonl").write_text("\n".join([*rows, "{torn"]))
    with pytest.raises(UserError, match=r"a\.jsonl: line 7 is not valid JSON"):
        split_all("a.jsonl", form=CorpusForm())
    Path("a.csv").write_bytes(b"text\n" + b"good\n" * 6 + b"b\xffd\n")
    with pytest.raises(UserError, match=r"a\.csv: row 7 is not UTF-8"):
        split_all("a.csv", form=CorpusForm())


@pytest.mark.parametrize(
    ("content", "documents", "replaced"),
    [
        (b"caf\xe9 au lait", [["caf\ufffd au lait"]], 1),
        ("Already \ufffd there.".encode() + b"\xff", [["Already \ufffd there.\ufffd"]], 1),
        (b"\xf0\xef\xbf\xbd", [["\ufffd\ufffd"]], 1),
        (b"\xff\n\xff", [["\ufffd", "\ufffd"]], 2),
        (b"Whole.", [["Whole."]], 0),
    ],
)
@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv"])
def test_bad_bytes_are_replaced_and_counted(kind, content, documents, replaced):
    row = {
        "txt": content,
        "jsonl": b'{"text": "' + content.replace(b"\n", b"\\n") + b'"}',
        "csv": b'text\n"%s"' % content,
    }
    Path(f"a.{kind}").write_bytes(row[kind])
    splits = split_all(f"a.{kind}")
    assert documents_of(splits) == documents
    assert total(splits, "replaced_bytes") == replaced


def test_lone_surrogates_in_json_are_bad_bytes():
    Path("a.jsonl").write_bytes(rb'{"text": "a \ud83d b \ud83d\ude00 c"}')
    splits = split_all("a.jsonl")
    assert documents_of(splits) == [["a \ufffd b 😀 c"]]
    assert total(splits, "replaced_bytes") == 1


@pytest.mark.parametrize("rule", ["blank-lines", "files"])
def test_files_and_rows_without_text_are_counted(rule):
    Path("a.txt").write_bytes(b"")
    Path("b.txt").write_bytes(b"\n \n\xc2\xa0\n")
    Path("c.txt").write_bytes(b"\n\nOne.\n\n\n")
    Path("d.jsonl").write_text('{"text": " "}\n\n{"text": null}\n{"text": "Two."}\n')
    Path("e.csv").write_text("text,stars\nThree.,1\n,2\n\n")
    splits = split_all(".", form=CorpusForm(documents=rule))
    assert documents_of(splits) == [["One."], ["Two."], ["Three."]]
    assert total(splits, "empty_documents") == 6


def test_blank_blocks_are_no_empty_documents(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 8)
    Path("a.txt").write_bytes(b"One.\n" + b"\n" * 100)
    assert total(split_all("a.txt"), "empty_documents") == 0


UNITS = {"lines": "A line.\n", "words": "word ", "letters": "é", "wide": "𝄞", "spaces": "  \t"}


@pytest.mark.parametrize("limit", [128, 129, 130, 131])
@pytest.mark.parametrize("unit", UNITS)
def test_a_long_document_is_cut_where_it_hurts_least(monkeypatch, unit, limit):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64)
    monkeypatch.setattr(blocks, "MAX_DOCUMENT_BYTES", limit)
    text = UNITS[unit] * (4000 // len(UNITS[unit]))
    Path("a.txt").write_text(f"Short.\n\n{text}\n\nShort.")
    splits = split_all("a.txt", form=CorpusForm())  # no character is cut in two, or this would fail
    documents = documents_of(splits)
    assert documents[0] == documents[-1] == ["Short."]
    joined = "".join(sentence for document in documents for sentence in document)
    assert joined.replace(" ", "") == f"Short.{''.join(text.split())}Short.".replace(" ", "")
    assert total(splits, "cut_documents") == 1
    if unit == "lines":
        assert {sentence for document in documents[1:-1] for sentence in document} == {"A line."}
    if unit == "words":
        assert {word for document in documents[1:-1] for sentence in document for word in sentence.split()} == {"word"}


@pytest.mark.parametrize("blank", ["", "\r", " \t", "\xa0", "\u3000\x85\u2028"])
def test_any_blank_line_saves_a_document_from_being_cut(monkeypatch, blank):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64)
    monkeypatch.setattr(blocks, "MAX_DOCUMENT_BYTES", 128)
    Path("a.txt").write_bytes(f"A line.\n{blank}\n".encode() * 100)
    splits = split_all("a.txt")
    assert documents_of(splits) == [["A line."]] * 100
    assert total(splits, "cut_documents") == 0


def test_every_long_document_is_counted_once(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64)
    monkeypatch.setattr(blocks, "MAX_DOCUMENT_BYTES", 128)
    monkeypatch.setattr(splitting, "MAX_DOCUMENT_BYTES", 128)
    text = "Words in a line. " * 30
    Path("a.txt").write_text(f"{text}\n\n{text}\n\nShort.")
    assert total(split_all("a.txt"), "cut_documents") == 2
    Path("a.jsonl").write_text("\n".join(json.dumps({"text": it}) for it in (text, text, "Short.")))
    splits = split_all("a.jsonl")
    assert total(splits, "cut_documents") == 2
    assert {sentence for document in documents_of(splits) for sentence in document} >= {"Words in a line.", "Short."}


def test_a_row_of_json_that_never_ends_is_named(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << 18)
    monkeypatch.setattr(blocks, "MAX_ROW_BYTES", 1 << 20)
    Path("a.jsonl").write_text('{"text": "One."}\n[' + '{"text": "Two."},' * 100_000)
    with pytest.raises(UserError, match=r"a\.jsonl: line 2 is longer than 1 MB; write one row per line"):
        split_all("a.jsonl")


@pytest.mark.parametrize("sentences", ["split", "lines"])
def test_a_long_sentence_is_cut_at_white_space(sentences):
    words = "word " * 5000 + "x" * 25_000 + " end"
    Path("a.txt").write_text(f"First. {words}\nLast.")
    [document] = documents_of(split_all("a.txt", form=CorpusForm(sentences=sentences)))
    assert max(map(len, document)) <= MAX_SENTENCE_CHARACTERS
    assert document[-1] == "Last."
    assert "".join(document).replace(" ", "") == f"First.{words}Last.".replace(" ", "")
    assert {word for sentence in document for word in sentence.split()} == {
        *("First.", "Last.", "word", "end", "x" * 10_000, "x" * 5000)
    }


@pytest.mark.parametrize("suffix", slow_but(["", ".gz", ".zst"], ["", ".gz", ".bz2", ".xz", ".zst"]))
@pytest.mark.parametrize("text", [b"x", b"The same line.\n"])
def test_memory_stays_flat(monkeypatch, suffix, text):
    """12 MB in one line, or in one document, take no more than a few of the largest documents (here of 1 MB)."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << 18)
    monkeypatch.setattr(blocks, "MAX_DOCUMENT_BYTES", 1 << 20)
    pack = {
        "": bytes,
        ".gz": gzip.compress,
        ".bz2": functools.partial(bz2.compress, compresslevel=1),
        ".xz": functools.partial(lzma.compress, preset=0),  # the others look back over 8 MB and more
        ".zst": zstd.compress,
    }
    content = text * ((12 << 20) // len(text))
    Path(f"a.txt{suffix}").write_bytes(pack[suffix](content))
    num_bytes, content = len(content), b""
    tracemalloc.start()
    try:
        found = sum(
            chunk.num_bytes
            for block in read_blocks(source_files([f"a.txt{suffix}"]), REPLACE)
            for chunk in block.chunks
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == num_bytes
    assert peak < 7 << 20


def test_blocks_are_the_same_every_time():
    Path("a.txt").write_text("One.\n\n" * 2_000_000)
    assert list(read_blocks(source_files(["a.txt"]), REPLACE)) == list(read_blocks(source_files(["a.txt"]), REPLACE))
