"""Reading a corpus: from paths and names to groups of files and to documents of sentences."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from keras_bert_scratch.data.corpus.blocks import read_blocks
from keras_bert_scratch.data.corpus.files import source_files
from keras_bert_scratch.data.corpus.form import CorpusForm, SourceFile
from keras_bert_scratch.data.corpus.splitting import split_block
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import listed

Document = list[str]

GROUP_BYTES = 4 << 20

_AS_GOOGLES = CorpusForm()


def read_documents(corpus: str | Path | Sequence[str | Path], form: CorpusForm = _AS_GOOGLES) -> Iterator[Document]:
    r"""Yields the documents of `corpus`, each a list of sentences; files are read lazily.

    Args:
        corpus: one or several paths, patterns, folders, addresses, packages and datasets, as for `source_files`.
        form: how they store the text.

    Raises:
        UserError: an entry matches no file, there is no text, or text is not as `form` says; names the file.

    Example:
        >>> Path("sky.txt").write_text("The sky is blue. It may rain.\n\nA new document.")
        46
        >>> list(read_documents(["sky.txt"]))
        [['The sky is blue.', 'It may rain.'], ['A new document.']]
    """
    empty = True
    for file in source_files(corpus):
        for block in read_blocks([file], form):
            for document in split_block(block, form).documents():
                empty = False
                yield document
    if empty:
        raise UserError(f"{', '.join(map(str, listed(corpus)))}: contains no text; give files that contain text")


def read_sentences(corpus: str | Path | Sequence[str | Path], form: CorpusForm = _AS_GOOGLES) -> Iterator[str]:
    """Yields the sentences of `corpus` without document boundaries, for learning a vocabulary."""
    return itertools.chain.from_iterable(read_documents(corpus, form))


def file_groups(files: Iterable[SourceFile]) -> list[list[SourceFile]]:
    """`files` in consecutive groups of at most `GROUP_BYTES` in total; a larger file is a group of its own.

    Example:
        >>> sizes = {"a.txt": 3 << 20, "b.txt": 1 << 20, "c.txt": 9 << 20}
        >>> groups = file_groups(SourceFile(name, "text", size, "") for name, size in sizes.items())
        >>> [[file.path for file in group] for group in groups]
        [['a.txt', 'b.txt'], ['c.txt']]
    """
    groups: list[list[SourceFile]] = []
    num_bytes = 0
    for file in files:
        num_bytes += file.num_bytes
        if not groups or num_bytes > GROUP_BYTES:
            groups.append([])
            num_bytes = file.num_bytes
        groups[-1].append(file)
    return groups
