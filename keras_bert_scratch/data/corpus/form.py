"""What a corpus is: files of some kind, and the form in which the text lies in them."""

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
    r"""How text lies in a corpus.

    Args:
        documents: what parts documents in text files: `"blank-lines"`, as in Google's format, or `"files"`, where blank
            lines only part paragraphs. In JSON lines and tables each row is a document.
        sentences: `"split"`: each line is a paragraph, to be split into sentences; `"lines"`: each line is a sentence
            already, as in Google's format.
        text_field: the field or column that holds the text, in JSON lines, CSV, Parquet and TensorFlow Datasets.
        bad_bytes: what becomes of bytes that are not UTF-8: `"fail"`, or `"replace"` by U+FFFD, counted.

    Raises:
        UserError: a value that is none of these; names the option.

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
                raise UserError(
                    f"--{option.replace('_', '-')}: {value!r} is unknown; choose one of {', '.join(choices)}"
                )
        if not self.text_field:
            raise UserError("--text-field: is empty; name the field or column that holds the text")


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """One file of a corpus.

    Args:
        path: as given or found: a local path, a URL that TensorFlow opens, or `tfds:NAME:SPLIT`.
        kind: `"text"`, `"jsonl"`, `"csv"`, `"parquet"` or `"tfds"`.
        num_bytes: its size where it lies, compressed or not.
        stamp: changes when the file changes: size and time of change; for TensorFlow Datasets, the version.
    """

    path: str
    kind: str
    num_bytes: int
    stamp: str
