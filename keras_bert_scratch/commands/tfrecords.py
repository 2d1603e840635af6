"""`keras-bert tfrecords`: turn text into records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import Corpus, Documents, Seed

EXAMPLE = "keras-bert tfrecords demo/text/train --vocab demo/vocab.txt --out my-records"


def tfrecords(
    corpus: Corpus,
    vocab: Annotated[Path, typer.Option(help="The vocabulary; one with capital letters is taken as cased.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    shards: Annotated[int, typer.Option(help="Files to deal the documents to.")] = 8,
    documents: Documents = "blank-lines",
    seed: Seed = 0,
) -> None:
    """Tokenise text into TFRecord shards with a manifest."""
    from rich.console import Console

    from keras_bert_scratch.data.builder import build_records
    from keras_bert_scratch.data.sources import read_documents
    from keras_bert_scratch.text.tokenizer import BertTokenizer

    tokenizer = BertTokenizer(vocab)
    with Console(stderr=True).status("tokenising") as status:
        manifest = build_records(
            read_documents(corpus, documents),
            tokenizer,
            out,
            shards,
            seed,
            on_progress=lambda done: status.update(f"tokenising: {done:,} documents"),
        )
    print(
        f"{out}: {manifest.total('documents'):,} documents, {manifest.total('sentences'):,} sentences, "
        f"{manifest.total('tokens'):,} tokens in {len(manifest.shards)} shards, {manifest.total('bytes') / 1e6:.1f} MB"
    )
