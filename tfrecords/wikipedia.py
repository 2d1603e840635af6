"""Wikipedia through TensorFlow Datasets, an article a document; by default the English one of June 2023, the newest
that TensorFlow Datasets 4.9.10 has (other languages: `--dataset tfds:wikipedia/20230601.de:train`).

    TFDS_DATA_DIR=datasets python tfrecords/wikipedia.py OUT [--vocab vocab.txt]

OUT holds then `records` and, unless one is given, the `vocab.txt` that was learned from one article in a hundred; the
library shuffles articles when it prepares them, so the first hundredth is a fair sample.

The English default has not been run here, for want of the download: there are no measured counts. What is known:

- The dump is 22.0 GB, by the library's own list of its files. The library looks for prepared data in its bucket; where
  there are none it parses the dump itself, with Beam, which needs `pip install apache-beam mwparserfromhell mwxml` and
  a time that we cannot tell.
- Estimates: some 20 GB of text; at 10 MB/s on two cores 35 minutes for the records; some 4.5 billion tokens in some 300
  shards, 9 GB. While they are built, twice as much disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from recipe import Out, make_records

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import ends_well
from keras_bert_scratch.commands.vocab import vocab as learn

VOCAB_SIZE = 30522


def main(
    out: Out,
    vocab: Annotated[Path | None, typer.Option(help="A vocabulary; by default one is learned.")] = None,
    dataset: Annotated[str, typer.Option(help="Name, configuration and split.")] = "tfds:wikipedia/20230601.en:train",
    percent: Annotated[int, typer.Option(help="Share of the articles to learn the vocabulary from.")] = 1,
) -> None:
    """Make records of Wikipedia."""
    vocabulary = vocab or out / "vocab.txt"
    if vocab is None and not vocabulary.exists():
        learn([f"{dataset}[:{percent}%]"], vocabulary, VOCAB_SIZE)
    make_records([dataset], vocabulary, out / "records", kbs.CorpusForm())


if __name__ == "__main__":
    typer.run(ends_well(main))
