"""What a teacher is worth to a small student, pretrained or not: the four corners of Turc et al. (2019).

    python benchmarks/distilling.py TEACHER STUDENT TRAIN DEV [--text UNLABELLED.txt] [--sentences 60000] [--seeds 5]
        [--begin pretrained,random] [--epochs 4] [--rate 7e-4] [--soft-epochs 4] [--after-epochs 1] [--after-rate 2e-4]
        [--temperature 2]

TEACHER is a fine-tuned classifier of `sentence`, STUDENT a run of `keras-bert pretrain`; TRAIN and DEV are tables of
`sentence` and `label`. A student is fine-tuned on TRAIN for EPOCHS; or it learns first what the teacher says of the
sentences of TRAIN, and of the first ones of UNLABELLED if given, for SOFT_EPOCHS, and is then fine-tuned on TRAIN for
AFTER_EPOCHS. It begins with STUDENT's weights, or with random ones of the same sizes. A cell is the mean accuracy on
DEV and its standard deviation over the seeds, after the last step of each run; the difference is tested by a paired
t-test over the seeds.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import scipy.stats
import typer

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.data.corpus.sources import read_sentences
from keras_bert_scratch.tasks.data.tables import Column, read_table

COLUMNS = [Column("text", ("sentence",)), Column("label", kind="label")]
NUMBER_OF_WORDS = range(3, 40)


def main(
    teacher: Annotated[Path, typer.Argument(help="A fine-tuned classifier.")],
    student: Annotated[Path, typer.Argument(help="A pretrained run.")],
    train: Annotated[Path, typer.Argument(help="Labelled table to learn from.")],
    dev: Annotated[Path, typer.Argument(help="Labelled table to measure on.")],
    text: Annotated[Path | None, typer.Option(help="Text with more sentences, without labels.")] = None,
    sentences: Annotated[int, typer.Option(help="How many of these.")] = 60_000,
    seeds: Annotated[int, typer.Option(help="Runs of each corner.")] = 5,
    epochs: Annotated[float, typer.Option(help="Epochs on labels.")] = 4,
    rate: Annotated[float, typer.Option(help="Learning rate, but after distillation.")] = 7e-4,
    after_rate: Annotated[float, typer.Option(help="Learning rate on labels after distillation.")] = 2e-4,
    after_epochs: Annotated[float, typer.Option(help="Epochs on labels after distillation.")] = 1,
    soft_epochs: Annotated[float, typer.Option(help="Epochs of distillation.")] = 4,
    temperature: Annotated[float, typer.Option(help="Of distillation.")] = 2.0,
    length: Annotated[int, typer.Option(help="Tokens per row.")] = 64,
    begin: Annotated[str, typer.Option(help="What students begin with.")] = "pretrained,random",
) -> None:
    """Prints each run's accuracy, and then each start's mean without and with a teacher."""
    labelled, measured = (read_table(table, COLUMNS).columns for table in (train, dev))
    more = (sentence.lower() for sentence in read_sentences(text)) if text else ()
    more = (sentence for sentence in more if len(sentence.split()) in NUMBER_OF_WORDS)
    unlabelled = {"text": labelled["text"] + list(itertools.islice(more, sentences))}
    tokenizer = kbs.BertTokenizer.load(student)

    def how(passes: float, learning_rate: float) -> kbs.FineTuning:
        return kbs.FineTuning(passes, 64, length, learning_rate, bias_correction=True)

    def tuned(init: Any, seed: int, out: str, method: kbs.FineTuning) -> float:
        own = {"tokenizer": tokenizer} if isinstance(init, kbs.BertConfig) else {}
        kbs.finetune("classification", init, labelled, out, how=method, seed=seed, **own)
        return kbs.evaluate(out, measured)["accuracy"]

    print(f"{len(labelled['text']):,} labelled sentences, {len(unlabelled['text']):,} to ask the teacher about")
    print(f"teacher: {kbs.evaluate(teacher, measured)['accuracy']:.1%}", flush=True)
    starts = {"pretrained": student, "random": read_checkpoint(student).config.replace(initializer_range=0.02)}
    for name in begin.split(","):
        start = starts[name]
        found: list[tuple[float, float, float]] = []
        for seed in range(seeds):
            began = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                alone = tuned(start, seed, f"{folder}/alone", how(epochs, rate))
                kbs.distill(
                    teacher, start, unlabelled, f"{folder}/soft", how=how(soft_epochs, rate), seed=seed,
                    distillation=kbs.Distillation(temperature), tokenizer=tokenizer,
                )  # fmt: skip
                soft = kbs.evaluate(f"{folder}/soft", measured)["accuracy"]
                both = tuned(Path(folder) / "soft", seed, f"{folder}/both", how(after_epochs, after_rate))
            found.append((alone, soft, both))
            seconds = time.perf_counter() - began
            print(name, seed, *(f"{value:.2%}" for value in found[-1]), f"{seconds:.0f} s", flush=True)
        for column, what in ((1, "distilled"), (2, "distilled, then fine-tuned")):
            _report(f"{name}: fine-tuned alone", [row[0] for row in found], what, [row[column] for row in found])


def _report(one: str, first: list[float], other: str, second: list[float]) -> None:
    cells = (f"{statistics.mean(values):.1%} ± {100 * statistics.stdev(values):.1f}" for values in (first, second))
    p = scipy.stats.ttest_rel(first, second).pvalue
    difference = 100 * (statistics.mean(second) - statistics.mean(first))
    print(f"{one} {next(cells)}, {other} {next(cells)}: {difference:+.1f} points, p = {p:.3f}", flush=True)


if __name__ == "__main__":
    typer.run(main)
