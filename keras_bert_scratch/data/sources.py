"""Reading a corpus: files, folders and installed packages in, documents of sentences out, one at a time."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.sentences import split_sentences

Document = list[str]

TEXT_SUFFIXES = (".txt", ".txt.gz")
PACKAGE_PREFIX = "package:"
DOCUMENT_RULES = ("blank-lines", "files")


def read_documents(corpus: Sequence[str | Path], documents: str = "blank-lines") -> Iterator[Document]:
    """Yields the documents of `corpus`, each a list of sentences, reading as it goes.

    Args:
        corpus: text files in UTF-8 (`.gz` too), folders (every `.txt` and `.txt.gz` below them, in order of name), or
            `package:NAME` for the text files inside an installed Python package.
        documents: what parts one document from the next: `"blank-lines"` (as in Google's format) or `"files"`, where
            blank lines only part paragraphs.

    Raises:
        UserError: nothing there, no text in it, or bytes that are not UTF-8; names the file.

    Example:
        >>> Path("sky.txt").write_text("The sky is blue. It may rain.\\n\\nA new document.")
        46
        >>> list(read_documents(["sky.txt"]))
        [['The sky is blue.', 'It may rain.'], ['A new document.']]
    """
    if documents not in DOCUMENT_RULES:
        raise UserError(f"documents: {documents!r} is unknown; choose one of {', '.join(DOCUMENT_RULES)}")
    files = [file for entry in corpus for file in text_files(entry)]
    empty = True
    for file in files:
        for document in _documents_of(_lines(file), documents):
            empty = False
            yield document
    if empty:
        raise UserError(f"{', '.join(map(str, corpus))}: holds no text; give files with text in them")


def read_sentences(corpus: Sequence[str | Path]) -> Iterator[str]:
    """Yields the sentences of `corpus` without their documents, for learning a vocabulary."""
    for document in read_documents(corpus):
        yield from document


def text_files(entry: str | Path) -> list[Path]:
    """The files that one entry of a corpus stands for."""
    name = str(entry)
    path = package_folder(name.removeprefix(PACKAGE_PREFIX)) if name.startswith(PACKAGE_PREFIX) else Path(entry)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.name.endswith(TEXT_SUFFIXES) and file.is_file())
        if not files:
            raise UserError(
                f"{entry}: holds no {' or '.join(TEXT_SUFFIXES)} file; give a folder that does, or the files"
            )
        return files
    if not path.exists():
        raise UserError(f"{entry}: no such file or folder; check the path")
    return [path]


def package_folder(package: str) -> Path:
    """Where the installed `package` lies, without importing it."""
    name = package.replace("-", "_")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{PACKAGE_PREFIX}{package}: is not installed; install it with 'pip install {package}'")
    return Path(spec.submodule_search_locations[0])


def _lines(file: Path) -> Iterator[str]:
    number = 1
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            for line in stream:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
                number += 1
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file}: line {number} is not UTF-8 ({error.reason} at byte {error.start}); "
            f"convert it, for instance with 'iconv -f latin1 -t utf-8'"
        ) from None
    except (gzip.BadGzipFile, EOFError) as error:
        raise UserError(f"{file}: is not a whole gzip file ({error}); fetch it again") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error})") from error


def _documents_of(lines: Iterable[str], rule: str) -> Iterator[Document]:
    document: Document = []
    for line in lines:
        if line.strip():
            document.extend(split_sentences(line))
        elif document and rule == "blank-lines":
            yield document
            document = []
    if document:
        yield document
