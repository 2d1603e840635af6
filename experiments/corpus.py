"""The text of a study: a vocabulary, records to learn from and held-out records, made once in the study's folder."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

from scales import Scale

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.demo_text import write_demo_text
from keras_bert_scratch.progress import ProgressBar


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What `prepare` made.

    Args:
        text: Path. The folder with `train/` and `held_out/`.
        records, held_out: PretrainingRecords.
    """

    text: Path
    records: kbs.PretrainingRecords
    held_out: kbs.PretrainingRecords

    @property
    def tokenizer(self) -> kbs.BertTokenizer:
        return self.records.tokenizer


def prepare(out: Path, scale: Scale, text: Path | None) -> Corpus:
    """Learns a vocabulary and builds records in `out/corpus`, where they are not yet.

    Args:
        out: Path. The study's folder.
        scale: Scale. Size of the vocabulary.
        text: Path or None. A folder with `train/` and `held_out/`, in any form that `keras-bert tfrecords` reads;
            `None` for the speeches and film reviews of the extra `demo`.
    """
    folder = out / "corpus"
    if text is None:
        text = folder / "packages" / "text"
        if not text.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_demo_text(folder / "packages", scale.text_fraction, 0)
    if not (text / "train").is_dir() or not (text / "held_out").is_dir():
        raise kbs.UserError(f"{text}: needs two folders, train and held_out; name a folder that has them by `text`")
    vocabulary = folder / "vocab.txt"
    if not vocabulary.exists():
        folder.mkdir(parents=True, exist_ok=True)
        sentences = itertools.chain.from_iterable(kbs.read_documents([text / "train"]))
        kbs.learn_vocabulary(sentences, scale.vocab_size).save(vocabulary)
    for part in ("train", "held_out"):
        if not (folder / part).exists():
            with ProgressBar(part) as bar:
                kbs.build_records([text / part], kbs.BertTokenizer(vocabulary), folder / part, on_progress=bar.update)
    return Corpus(text, *(kbs.PretrainingRecords(folder / part) for part in ("train", "held_out")))
