"""The text of a study: vocabulary, training records and held-out records, made once in the study's folder."""

from __future__ import annotations

import dataclasses
import itertools
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import filelock
from scales import Scale

import keras_bert_scratch as kbs
from keras_bert_scratch import atomic
from keras_bert_scratch.commands.demo_text import write_demo_text
from keras_bert_scratch.progress import ProgressBar

TELLING = 30  # letters; sentences that are no longer than this do not identify a document
ASKED = "asked.json"


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


def prepare(out: Path, scale: Scale, text: Path | None, unseen: Sequence[str] = ()) -> Corpus:
    """Learns a vocabulary and builds records in `out/corpus`, unless they exist.

    Args:
        out: Path. The study's folder.
        scale: Scale. Size of the vocabulary.
        text: Path or None. A folder with `train/` and `held_out/`, in any form that `keras-bert tfrecords` reads;
            `None` for the speeches and film reviews of the extra `demo`.
        unseen: strings, default none. Texts that a task is measured on. Documents of the packages' text that contain
            one of them are left out of the training records.

    Raises:
        UserError: the folder's corpus was made from other text or for other sizes.
    """
    folder = out / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    asked = {
        "text": str(text.resolve()) if text else "packages",
        "unseen": 0 if text else zlib.crc32("\n".join(unseen).encode()),
        "fraction": scale.text_fraction,
        "vocab_size": scale.vocab_size,
    }
    with filelock.FileLock(folder / ".lock"):  # a second process waits, and then finds the corpus
        if not (folder / ASKED).exists():
            atomic.write_json(folder / ASKED, asked)
        if (stored := atomic.read_json(folder / ASKED, "delete the folder to start over")) != asked:
            raise kbs.UserError(f"{folder}: was built with {stored}, not with {asked}; choose another folder")
        if text is None:
            text = folder / "text"
            if not text.exists():
                if not (folder / "packages").exists():
                    write_demo_text(folder / "packages", scale.text_fraction, 0)
                with atomic.write_folder(text) as made:
                    for part, hidden in (("train", unseen), ("held_out", ())):
                        documents = kbs.read_documents([folder / "packages" / "text" / part])
                        _write(without(documents, hidden), made / part / "text.txt")
        if not (text / "train").is_dir() or not (text / "held_out").is_dir():
            raise kbs.UserError(f"{text}: lacks the folders train and held_out; set `text` to a folder that has both")
        vocabulary = folder / "vocab.txt"
        if not vocabulary.exists():
            sentences = itertools.chain.from_iterable(kbs.read_documents([text / "train"]))
            kbs.learn_vocabulary(sentences, scale.vocab_size).save(vocabulary)
        for part in ("train", "held_out"):
            _build([text / part], vocabulary, folder / part)
    return Corpus(text, *(kbs.PretrainingRecords(folder / part) for part in ("train", "held_out")))


def small_part(corpus: Corpus, out: Path, every: int) -> Corpus:
    """Keeps one training document in `every`, so that a run sees each many times; all else stays the same."""
    folder = out / "corpus"
    with filelock.FileLock(folder / ".lock"):
        text = folder / "small.txt"
        if not text.exists():
            _write(itertools.islice(kbs.read_documents([corpus.text / "train"]), 0, None, every), text)
        _build([text], folder / "vocab.txt", folder / "small")
    return dataclasses.replace(corpus, records=kbs.PretrainingRecords(folder / "small"))


def without(documents: Iterable[list[str]], hidden: Sequence[str]) -> Iterable[list[str]]:
    """Yields the documents that contain none of these texts; ignores all but letters, their case, and short texts."""
    telling = [letters for letters in map(_letters, hidden) if len(letters) > TELLING]
    for document in documents:
        letters = _letters(" ".join(document))
        if not any(one in letters for one in telling):
            yield document


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def _write(documents: Iterable[list[str]], file: Path) -> None:
    """Writes one sentence per line, and an empty line between documents."""
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(file, "\n\n".join("\n".join(document) for document in documents) + "\n")


def _build(paths: list[Path], vocabulary: Path, records: Path) -> None:
    if not records.exists():
        with ProgressBar(records.name) as bar:
            kbs.build_records(paths, kbs.BertTokenizer(vocabulary), records, on_progress=bar.update)
