"""What the cases share, each made once: a little text, its vocabulary, records, fine-tuned runs."""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import keras_bert_scratch as kbs
from benchmarks.cases.case import NotHereError, keras_bert

ANIMALS = ("heron", "otter", "badger", "falcon", "lizard", "beaver", "weasel", "magpie")
PLACES = ("river", "meadow", "harbour", "orchard", "canyon", "quarry", "lagoon", "thicket")
DEEDS = ("watches", "crosses", "circles", "leaves", "guards", "explores", "remembers", "avoids")

# How the small models are fine-tuned: fast, but so that they learn something.
HOW = kbs.FineTuning(epochs=1, batch_size=8, max_length=32, learning_rate=3e-3, bias_correction=True)
ROWS = {
    "text": [f"the {animal} {DEEDS[n]} the {PLACES[n]}" for animal in ("heron", "otter") for n in range(8)],
    "label": ["bird"] * 8 + ["beast"] * 8,
}
PAIRS = {**ROWS, "text_pair": ["at dawn"] * 16}


@functools.cache
def home() -> Path:
    """Returns a folder that is deleted when the process ends."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def sentences(number: int) -> list[str]:
    """Returns a document about one animal and one place."""
    animal, place = ANIMALS[number % 8], PLACES[number // 8 % 8]
    return [f"Day {day}: the {animal} {DEEDS[(number + day) % 8]} the old {place} before dawn." for day in range(1, 7)]


@functools.cache
def corpus() -> Path:
    """Returns a text file of 64 documents."""
    file = home() / "animals.txt"
    file.write_text("\n\n".join("\n".join(sentences(number)) for number in range(64)))
    return file


@functools.cache
def tokenizer() -> kbs.BertTokenizer:
    """Returns a tokenizer with a vocabulary of 150 tokens."""
    texts = itertools.chain.from_iterable(map(sentences, range(64)))
    return kbs.BertTokenizer(kbs.learn_vocabulary(texts, size=150))


@functools.cache
def vocab() -> Path:
    """Returns the vocabulary's file."""
    file = home() / "vocab.txt"
    tokenizer().vocabulary.save(file)
    return file


@functools.cache
def records() -> Path:
    """Returns the folder of the text's records, in three shards."""
    folder = home() / "records"
    kbs.build_records([corpus()], tokenizer(), folder, num_shards=3)
    return folder


def config(**changes: Any) -> kbs.BertConfig:
    """Returns a config with one layer of width 16."""
    sizes = {"vocab_size": len(tokenizer().vocabulary), "num_layers": 1, "hidden_size": 16, "num_heads": 2}
    return kbs.BertConfig(**{**sizes, "max_position_embeddings": 64, **changes})


def classifier(labels: tuple[str, ...] = ("no", "maybe", "yes"), **changes: Any) -> kbs.BertTextClassifier:
    """Returns a classifier with random weights; every call draws new ones."""
    return kbs.BertTextClassifier(kbs.BertBackbone(config(**changes)), len(labels), label_names=labels)


@functools.cache
def tuned() -> Path:
    """Returns the run of a classifier of single texts."""
    folder = home() / "tuned"
    kbs.finetune("classification", config(), ROWS, folder, dev=ROWS, how=HOW, tokenizer=tokenizer())
    return folder


@functools.cache
def tuned_on_pairs() -> Path:
    """Returns the run of a classifier of text pairs."""
    folder = home() / "pairs"
    kbs.finetune("classification", config(), PAIRS, folder, how=HOW, tokenizer=tokenizer())
    return folder


@functools.cache
def _huggingface() -> Path:
    classifier().save_pretrained(home() / "ours", tokenizer())
    keras_bert("convert", home() / "ours", home() / "theirs", "--to", "huggingface")
    return home() / "theirs"


def huggingface() -> Path:
    """Returns a copy of a classifier's folder in Hugging Face's format, which a case may change."""
    return Path(shutil.copytree(_huggingface(), "theirs"))


def batch(rows: int = 12, length: int = 8) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns inputs and labels of three classes."""
    rng = np.random.default_rng(0)
    ids = rng.integers(5, 60, (rows, length)).astype("int32")
    mask = (np.arange(length) < rng.integers(3, length + 1, (rows, 1))).astype("int32")
    return {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": mask}, rng.integers(0, 3, rows)


@contextlib.contextmanager
def disk(kilobytes: int) -> Iterator[Path]:
    """Mounts a file system of so many kilobytes."""
    place = Path("disk").absolute()
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", place]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        raise NotHereError("only root can mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def make_read_only(place: Path) -> None:
    """Makes the disk read-only."""
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
