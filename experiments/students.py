"""Well-read students: the four corners of Turc et al. 2019, pretrained or not, with a teacher or without.

    python experiments/students.py OUT --tasks FOLDER [--teacher RUN] [--seeds 3] [--scale laptop] [--text FOLDER]

Claim: a small network gains from pretraining and from a teacher, and the two add up: pretrain it first, then let it
learn what a large fine-tuned model says of texts without labels.

Rows: a student of random weights or a pretrained one; fine-tuned on SST-2 alone, or taught what the teacher says of
the same sentences and of 60,000 of the corpus, or taught and then fine-tuned. TEACHER is a fine-tuned classifier of
sentences; by default all-MiniLM-L6-v2 of the extra `demo`, fine-tuned on SST-2 here. The accuracy on the dev set is
that after the last step.

Cost at scale laptop: not measured yet. `--scale paper` pretrains the student, bert-tiny, as published.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import typer
from corpus import prepare
from downstream import SST2
from encoders import config_of, pretrained
from scales import scale_of
from study import Claim, Column, Study

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.demo import REAL_PACKAGE, REAL_WEIGHTS
from keras_bert_scratch.commands.main import ends_well
from keras_bert_scratch.data.corpus.files import package_folder
from keras_bert_scratch.data.corpus.sources import read_sentences
from keras_bert_scratch.tasks.data import tables

RULES = kbs.ExampleRules(packing=True)
LAPTOP_STEPS = 12_000  # after 3,000 a network of this size is worth no more to SST-2 than random weights
WORDS_OF_A_SENTENCE = range(3, 40)
COLUMNS = [tables.Column("text", ("sentence",)), tables.Column("label", kind="label")]
STARTS, WAYS = ("random weights", "pretrained"), ("alone", "taught", "taught, then fine-tuned")
CLAIMS = [
    Claim("pretrained, alone", "random weights, alone", "accuracy", "pretraining helps without a teacher"),
    Claim("pretrained, taught", "random weights, taught", "accuracy", "pretraining helps with a teacher"),
    Claim("random weights, taught", "random weights, alone", "accuracy", "a teacher helps random weights"),
    Claim("pretrained, taught", "pretrained, alone", "accuracy", "a teacher helps the pretrained"),
    Claim(
        "pretrained, taught", "pretrained, taught, then fine-tuned", "accuracy", "labels after the teacher add nothing"
    ),
]


def main(
    out: Annotated[Path, typer.Argument(help="Folder of the study; the same command goes on with it.")],
    tasks: Annotated[Path, typer.Option(help="Folder with SST-2/.")],
    teacher: Annotated[Path | None, typer.Option(help="A fine-tuned classifier of sentences.")] = None,
    sentences: Annotated[int, typer.Option(help="How many without labels to ask the teacher about.")] = 60_000,
    seeds: Annotated[int, typer.Option(help="How often to measure each row.")] = 3,
    scale: Annotated[str, typer.Option(help="laptop; paper; or smoke, to see that it runs.")] = "laptop",
    text: Annotated[Path | None, typer.Option(help="Folder with train/ and held_out/; else packages' text.")] = None,
) -> None:
    """Measures every row with every seed, and prints the table."""
    sizes = dataclasses.replace(scale_of(scale), preset="bert-tiny")
    if scale == "laptop":
        sizes = dataclasses.replace(sizes, steps=LAPTOP_STEPS)
    settings = {"scale": scale, "text": str(text or "packages"), "sentences": sentences, "teacher": str(teacher)}
    study = Study(out, "Well-read students", settings, {"accuracy": Column("SST-2 accuracy")}, CLAIMS)
    with study.alone():
        corpus = prepare(out, sizes, text)
    labelled, dev = (tables.read_table(tasks / file, COLUMNS).columns for file in (SST2.train, SST2.dev))
    if scale == "smoke":
        labelled, sentences = {name: values[:64] for name, values in labelled.items()}, 64
    more = (sentence.lower() for sentence in read_sentences([corpus.text / "train"]))
    more = (sentence for sentence in more if len(sentence.split()) in WORDS_OF_A_SENTENCE)
    unlabelled = {"text": labelled["text"] + list(itertools.islice(more, sentences))}

    def how(epochs: float, rate: float) -> kbs.FineTuning:
        return kbs.FineTuning(epochs, 64, 64, rate, bias_correction=True)

    with study.alone():
        if teacher is None:
            teacher = out / "teacher"
            kbs.finetune(
                "classification", package_folder(REAL_PACKAGE) / REAL_WEIGHTS, labelled, teacher, how=how(1, 1e-4)
            )
        study.measure("teacher", 0, lambda: {"accuracy": kbs.evaluate(teacher, dev)["accuracy"]})
    rate = 7e-4 if scale != "paper" else 5e-5
    epochs = 4 if scale != "smoke" else 1

    def row(start: str, way: str, seed: int) -> dict[str, float]:
        student: Any = out / "runs" / f"student-{seed}"
        own: dict[str, Any] = {}
        if start == "pretrained":
            pretrained(student, corpus, sizes, seed, RULES, config_of(sizes, corpus))
        else:
            student = config_of(sizes, corpus, initializer_range=0.02, hidden_dropout=0.1, attention_dropout=0.1)
            own = {"tokenizer": corpus.tokenizer}
        run = out / "runs" / f"{start} {way} {seed}".replace(",", "").replace(" ", "-")
        taught = out / "runs" / f"{start} taught {seed}".replace(" ", "-")
        if way == "alone":
            kbs.finetune("classification", student, labelled, run, how=how(epochs, rate), seed=seed, **own)
        elif way == "taught":
            soft = kbs.Distillation(temperature=2.0)
            kbs.distill(teacher, student, unlabelled, run, how=how(epochs, rate), seed=seed, distillation=soft, **own)
        else:
            kbs.finetune("classification", taught, labelled, run, how=how(1, rate / 3.5), seed=seed)
        return {"accuracy": kbs.evaluate(run, dev)["accuracy"]}

    for seed in study.seeds(seeds):
        for start, way in itertools.product(STARTS, WAYS):
            study.measure(f"{start}, {way}", seed, functools.partial(row, start, way, seed))
    print(f"\n{study.report()}")


if __name__ == "__main__":
    typer.run(ends_well(main))
