"""The last step of every recipe: build records of a corpus, with a progress bar, and print their counts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import keras_bert_scratch as kbs
from keras_bert_scratch.progress import ProgressBar

Out = Annotated[Path, typer.Argument(help="Output folder; the same command resumes where it stopped.")]


def is_learned(vocabulary: Path) -> bool:
    """Whether an earlier call has learned the vocabulary; says so, because it may be of another corpus or size."""
    if vocabulary.exists():
        print(f"{vocabulary}: is used as it is; delete it to learn one from this corpus")
    return vocabulary.exists()


def make_records(corpus: list[str], vocabulary: Path, directory: Path, form: kbs.CorpusForm) -> None:
    """Builds the records of `corpus` in `directory`, resuming an interrupted build, and prints what they contain."""
    with ProgressBar(f"{directory}") as bar:
        tokenizer = kbs.BertTokenizer.load(vocabulary)
        manifest = kbs.build_records(corpus, tokenizer, directory, form=form, on_progress=bar.update)
    counts = ", ".join(f"{manifest.total(what):,} {what}" for what in ("documents", "sentences", "tokens"))
    print(f"{directory}: {counts} in {len(manifest.shards)} shards, {manifest.total('bytes') / 1e6:.1f} MB")
    for what, count in manifest.text.items():
        if count:
            print(f"{directory}: {count:,} {what.replace('_', ' ')}")
