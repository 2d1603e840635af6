"""What a corpus is: files of some kind, and how they store the text."""

from __future__ import annotations

import dataclasses

from keras_bert_scratch.errors import UserError

CHOICES = {
    "documents": ("blank-lines", "files"),
    "sentences": ("split", "lines"),
    "bad_bytes": ("fail", "replace"),
}


@dataclasses.dataclass(frozen=True)
class CorpusForm:
    r"""How the files of a corpus store the text.

    Args:
        documents: `"blank-lines"` (default) or `"files"`. What separates documents in text files: blank lines, as in
            Google's format, or the ends of files; then blank lines only separate paragraphs. In JSON lines and tables
            each row is a document.
        sentences: `"split"` (default) or `"lines"`. Whether each line is a paragraph, to be split into sentences, or
            already one sentence, as in Google's format.
        text_field: str, default "text". The field or column that holds the text, in JSON lines, CSV, Parquet and
            TensorFlow Datasets.
        bad_bytes: `"fail"` (default) or `"replace"`. Whether bytes that are not UTF-8 are an error, or are replaced by
            U+FFFD and counted.

    Raises:
        UserError: a value that is none of these; names the argument.

    Example:
        >>> CorpusForm(documents="files").sentences
        'split'
    """

    documents: str = "blank-lines"
    sentences: str = "split"
    text_field: str = "text"
    bad_bytes: str = "fail"

    def __post_init__(self) -> None:
        for option, choices in CHOICES.items():
            if (value := getattr(self, option)) not in choices:
                raise UserError(f"`{option}`: {value!r} is unknown; choose one of {', '.join(choices)}")
        if not self.text_field:
            raise UserError("`text_field`: is empty; name the field or column that holds the text")


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """One file of a corpus.

    Args:
        path: as given or found: a local path, a URL that TensorFlow opens, or `tfds:NAME:SPLIT`.
        kind: `"text"`, `"jsonl"`, `"csv"`, `"parquet"` or `"tfds"`.
        num_bytes: its size as it is stored, compressed or not.
        stamp: changes when the file changes: size and modification time; for TensorFlow Datasets, the version.
    """

    path: str
    kind: str
    num_bytes: int
    stamp: str
