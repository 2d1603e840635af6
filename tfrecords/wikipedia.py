"""Wikipedia through TensorFlow Datasets, one document per article; by default the English one of June 2023, the newest
in TensorFlow Datasets 4.9.10 (other languages: `--dataset tfds:wikipedia/20230601.de:train`).

    TFDS_DATA_DIR=datasets python tfrecords/wikipedia.py OUT [--vocab vocab.txt]

The command writes `records` into OUT and, unless a vocabulary is given, the `vocab.txt` that it learns from one article
in a hundred. TensorFlow Datasets shuffles articles when it prepares them, so the first hundredth is a fair sample.

The English default has not been run, because the dump was not downloaded: there are no measured counts. What is known:

- The dump is 22.0 GB, by the file list of TensorFlow Datasets. That library looks for prepared data in its bucket; if
  there are none, it parses the dump itself with Beam, which needs `pip install apache-beam mwparserfromhell mwxml` and
  an unknown time.
- Estimates: about 20 GB of text; 35 minutes to build the records at 10 MB/s on two cores; about 4.5 billion tokens in
  about 300 shards, 9 GB. The build needs twice as much disk space.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from recipe import Out, is_learned, make_records

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import handle_errors
from keras_bert_scratch.commands.vocab import vocab as learn

VOCAB_SIZE = 30522


def main(
    out: Out,
    vocab: Annotated[Path | None, typer.Option(help="Vocabulary; by default, one is learned.")] = None,
    dataset: Annotated[
        str, typer.Option(help="The dataset, with configuration and split.")
    ] = "tfds:wikipedia/20230601.en:train",
    percent: Annotated[int, typer.Option(help="Percentage of articles used to learn the vocabulary.")] = 1,
) -> None:
    """Make records of Wikipedia."""
    vocabulary = vocab or out / "vocab.txt"
    if vocab is None and not is_learned(vocabulary):
        learn([f"{dataset}[:{percent}%]"], vocabulary, VOCAB_SIZE)
    make_records([dataset], vocabulary, out / "records", kbs.CorpusForm())


if __name__ == "__main__":
    typer.run(handle_errors(main))
