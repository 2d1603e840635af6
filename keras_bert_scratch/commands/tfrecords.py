"""`keras-bert tfrecords`: convert text to records."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import (
    BadBytes,
    Corpus,
    Documents,
    Length,
    MaskedFraction,
    Masking,
    MaxPredictions,
    Pairs,
    Replacements,
    Seed,
    Sentences,
    ShortSeqProb,
    TextField,
    check_not_given,
    replacements_of,
)

FORMATS = ("documents", "google")
# Of the pairs and masks, which other records get when they are read.
OF_GOOGLE = (
    *("length", "dupe_factor", "pairs", "short_seq_prob"),
    *("masking", "masked_fraction", "replacements", "max_predictions"),
)

EXAMPLE = "keras-bert tfrecords demo/text/train --vocab demo/vocab.txt --out my-records"


def tfrecords(
    ctx: typer.Context,
    corpus: Corpus,
    vocab: Annotated[
        Path,
        typer.Option(
            help="The vocabulary, or a model's folder. Without a tokenizer_config.json beside it, a vocab.txt with "
            "capital letters is treated as cased."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder to create, local or at an address (gs://); an interrupted build is resumed.")
    ],
    format: Annotated[
        str,
        typer.Option(
            help="documents: pairs and masks are sampled when read, new ones in every epoch; google: sampled once, "
            "with the options from --length on, in the schema of Google's create_pretraining_data.py."
        ),
    ] = "documents",
    shards: Annotated[
        int | None,
        typer.Option(
            help="Files that the documents are assigned to; by default one per 64 MB of the input files, at least 8."
        ),
    ] = None,
    documents: Documents = "blank-lines",
    sentences: Sentences = "split",
    text_field: TextField = "text",
    bad_bytes: BadBytes = "fail",
    workers: Annotated[int | None, typer.Option(help="Processes that split text; by default one per core.")] = None,
    beam: Annotated[
        str | None,
        typer.Option(help="Build with Apache Beam, with these pipeline options, such as '--runner=FlinkRunner'."),
    ] = None,
    seed: Seed = 0,
    length: Length = 128,
    dupe_factor: Annotated[int, typer.Option(help="Copies of the corpus, each with other pairs and masks.")] = 10,
    pairs: Pairs = "next",
    short_seq_prob: ShortSeqProb = 0.1,
    masking: Masking = "tokens",
    masked_fraction: MaskedFraction = 0.15,
    replacements: Replacements = "80/10/10",
    max_predictions: MaxPredictions = None,
) -> None:
    """Tokenise text into TFRecord shards with a manifest."""
    from keras_bert_scratch.data.corpus.form import CorpusForm
    from keras_bert_scratch.data.google.writer import build_google_examples
    from keras_bert_scratch.data.pretraining.masking import MaskingRule
    from keras_bert_scratch.data.pretraining.rules import ExampleRules
    from keras_bert_scratch.data.records.build import build_records
    from keras_bert_scratch.data.records.build_beam import build_records_with_beam
    from keras_bert_scratch.errors import UserError
    from keras_bert_scratch.filesystem import path_of
    from keras_bert_scratch.progress import ProgressBar
    from keras_bert_scratch.text.tokenizer import BertTokenizer

    if format not in FORMATS:
        raise UserError(f"`format`: {format!r} is unknown; choose one of {', '.join(FORMATS)}")
    if beam is not None and format == "google":
        raise UserError("`beam`: builds only the format documents; leave it out, or give `format='documents'`")
    if format == "documents":
        check_not_given(ctx, OF_GOOGLE, "only for `format='google'`; leave out")
    if beam is not None:
        check_not_given(ctx, ("workers",), "has no effect with `beam`; leave it out")
    try:
        beam_options = shlex.split(beam or "")
    except ValueError as error:
        raise UserError(f"`beam`: {beam!r} cannot be split into options ({error}); fix its quotes") from None
    form = CorpusForm(documents, sentences, text_field, bad_bytes)
    tokenizer, directory = BertTokenizer.load(vocab), path_of(out)
    _check_vocabulary_is_no_text(corpus, vocab)
    with ProgressBar("tokenising") as bar:
        if beam is not None:
            manifest = build_records_with_beam(corpus, tokenizer, directory, shards, seed, form, beam_options)
        elif format == "documents":
            manifest = build_records(corpus, tokenizer, directory, shards, seed, form, workers, bar.update)
        else:
            masks = MaskingRule(masked_fraction, masking, max_predictions, replacements_of(replacements))
            rules = ExampleRules(pairs, short_seq_prob, masks)
            manifest = build_google_examples(
                corpus, tokenizer, directory, shards, seed, form, workers, bar.update, length, rules, dupe_factor
            )
    whats = ("documents", "sentences", "tokens") if format == "documents" else ("examples",)
    counts = ", ".join(f"{manifest.total(what):,} {what}" for what in whats)
    print(f"{directory}: {counts} in {len(manifest.shards)} shards, {manifest.total('bytes') / 1e6:.1f} MB")
    for what, count in manifest.text.items():
        if count and what != "text_bytes":
            print(f"{directory}: {count:,} {what.replace('_', ' ')} in the text")


def _check_vocabulary_is_no_text(corpus: Sequence[str], vocab: Path) -> None:
    """Raises `UserError` if a local folder or pattern of the corpus includes the vocabulary's file."""
    from keras_bert_scratch.data.corpus.files import PACKAGE_PREFIX, source_files
    from keras_bert_scratch.data.corpus.tables import TFDS_PREFIX
    from keras_bert_scratch.errors import UserError
    from keras_bert_scratch.filesystem import Address, path_of

    for entry in corpus:
        is_elsewhere = entry.startswith((PACKAGE_PREFIX, TFDS_PREFIX)) or isinstance(path_of(entry), Address)
        files = [] if is_elsewhere else source_files(entry)
        if any(Path(file.path).name == vocab.name and Path(file.path).samefile(vocab) for file in files):
            raise UserError(f"{entry}: contains {vocab}, which would be read as text; move the vocabulary elsewhere")
