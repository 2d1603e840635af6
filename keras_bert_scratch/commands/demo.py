"""`keras-bert demo`: the whole road, each step by the verb that a user would call."""

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
from rich.table import Table

from keras_bert_scratch import atomic
from keras_bert_scratch.commands.app import app
from keras_bert_scratch.errors import UserError

EXAMPLE = "keras-bert demo --minutes 1 --out demo"

FULL_MINUTES = 10.0  # what the sizes below are meant for; other budgets scale them
PRESET = "bert-tiny"
VOCAB_SIZE = 8000
NUM_LABELLED = 3000
# Few updates on few labels, so that what pretraining has taught shows; neither start drops anything. On one device: so
# small a network is no quicker on several, and not every number of them can share the batch.
FINETUNING = "--strategy none --epochs 1 --batch 32 --length 64 --learning-rate 1e-3 --bias-correction"
PRETRAINING = "--strategy none --batch 32 --length 64 --learning-rate 1e-3 --warmup 0.05 --dropout 0 --bias-correction"

# Shares of the budget: what the stages before pretraining leave goes to it, less what must come after.
SAFETY = 0.08
AFTER = 0.06  # export, the new process, pictures
BASELINE = "fine-tuning from random weights"
QUESTIONS = [
    "A joy from the first scene to the last.",
    "Two hours of my life that I will never get back.",
    "The plot is thin, but the acting is wonderful.",
]


def demo(
    minutes: Annotated[
        float, typer.Option(help="Time for all of it on 2 cores; more time, better numbers.")
    ] = FULL_MINUTES,
    out: Annotated[
        Path, typer.Option(help="Folder for everything; an interrupted demo goes on where it stopped.")
    ] = Path("demo"),
) -> None:
    """Walk the whole road on real text: vocabulary, records, pretraining, fine-tuning, SavedModel, answers."""
    demonstration = _Demonstration(out, minutes)
    demonstration.walk()


class _Demonstration:
    """The stages, and what `demo.json` remembers of them."""

    def __init__(self, out: Path, minutes: float) -> None:
        if not (math.isfinite(minutes) and minutes > 0):
            raise UserError(f"`minutes`: must be more than 0, not {minutes}")
        self.out = out
        self.console = Console()
        self.memory_file = out / "demo.json"
        self.memory: dict[str, Any] = {"minutes": minutes, "seconds": {}}
        if self.memory_file.exists():
            self.memory |= atomic.read_json(self.memory_file, "delete the folder to start anew")
            if self.memory["minutes"] != minutes:
                held = self.memory["minutes"]
                raise UserError(
                    f"{out}: holds a demo of {held} minutes; continue it with `minutes={held}`, delete it, or choose "
                    f"another `out`"
                )
        else:
            atomic.check_is_free(out)
        self.scale = minutes / FULL_MINUTES

    def walk(self) -> None:
        """Every stage that is not done yet, then the table."""
        o = shlex.quote(str(self.out))
        finetuning = f"--train {o}/train.csv --dev {o}/held_out.csv {FINETUNING}"
        with self._stage("text"):
            if not (self.out / "text").exists():
                self._write_text()
        self._verb("vocabulary", f"vocab {o}/text/train --size {VOCAB_SIZE} --out {o}/vocab.txt", "vocab.txt")
        for part, folder in (("train", "records"), ("held_out", "records_held_out")):
            self._verb(folder, f"tfrecords {o}/text/{part} --vocab {o}/vocab.txt --out {o}/{folder}", folder)
        # The comparison comes first: its time tells what fine-tuning will take after pretraining.
        self._verb(
            BASELINE,
            f"finetune --preset {PRESET} --dropout 0 --vocab {o}/vocab.txt {finetuning} --out {o}/from_random",
        )
        self._verb(
            "pretraining",
            f"pretrain {o}/records --preset {PRESET} --budget {self._budget()}s {PRETRAINING} "
            f"--eval {o}/records_held_out --out {o}/pretrained",
        )
        self._verb("fine-tuning", f"finetune --init {o}/pretrained {finetuning} --out {o}/sentiment")
        self._verb("export", f"export {o}/sentiment --out {o}/saved_model", "saved_model")
        with self._stage("answers from a new process"):
            self._ask_new_process()
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
        """Runs `keras-bert COMMAND` here, unless its `artefact` is there; runs see by themselves how far they are."""
        if artefact and (self.out / artefact).exists():
            return
        with self._stage(stage):
            self._show(command)
            # A verb that ended early says with which code: one that was terminated with 0.
            if (code := app(shlex.split(command), standalone_mode=False)) is not None:
                raise typer.Exit(code)

    def _show(self, command: str) -> None:
        self.console.print(f"$ keras-bert {command}", style="cyan", highlight=False, soft_wrap=True)

    def _write_text(self) -> None:
        from keras_bert_scratch.commands.demo_text import write_demo_text

        write_demo_text(self.out, min(1.0, self.scale), max(64, round(NUM_LABELLED * self.scale)))
        print(f"{self.out}/text: speeches and reviews; {self.out}/train.csv, held_out.csv: reviews with labels")

    def _budget(self) -> int:
        """Seconds for pretraining: what is left; remembered, so that a resumed demo asks for the same."""
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

    def _draw(self) -> None:
        from keras_bert_scratch.training.curves import plot_curves

        runs = {"pretraining": "pretrained", "fine-tuning": "sentiment", "from random weights": "from_random"}
        files = {title: self.out / folder / "metrics.csv" for title, folder in runs.items()}
        plot_curves(files, self.out / "curves.png")

    def _report(self) -> None:
        from keras_bert_scratch.training.run_directory import read_run

        pretrained, sentiment, from_random = (
            read_run(self.out / folder)["results"] for folder in ("pretrained", "sentiment", "from_random")
        )
        before, after = pretrained["held_out_before"], pretrained["held_out_after"]
        table = Table(title="On text that no stage has seen", title_justify="left")
        for column in ("", "before", "after"):
            table.add_column(column, justify="left" if not column else "right")
        for title, name, form in (
            ("masked words: loss", "masked_lm_loss", "{:.3f}"),
            ("masked words: right", "masked_lm_accuracy", "{:.1%}"),
            ("next sentence: right", "next_sentence_accuracy", "{:.1%}"),
        ):
            table.add_row(title, form.format(before[name]), form.format(after[name]))
        table.add_section()
        table.add_row("sentiment: always the majority", "", f"{sentiment['dev']['majority']:.1%}")
        table.add_row("sentiment: fine-tuned from random weights", "", f"{from_random['dev']['accuracy']:.1%}")
        table.add_row("sentiment: fine-tuned from the pretrained", "", f"{sentiment['dev']['accuracy']:.1%}")
        self.console.print(table)
        seconds = self.memory["seconds"]
        stages = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items())
        print(f"{sum(seconds.values()):.0f} s in all: {stages}")
        print(f"all of it lies in {self.out}/, the pictures in curves.png; the lines after $ do each step by itself")
        print(f"curves live: tensorboard --logdir {self.out}")
