"""When does pretraining start to pay? Masked words beside what counting reaches, and SST-2, over the minutes.

    python experiments/when_it_pays.py OUT [--tasks FOLDER] [--minutes 10,30,60,120] [--seeds 3] [--scale laptop]
        [--text FOLDER]

Claim: a network first learns how frequent words are, and stays there for a while (the plateau); then it finds that
neighbours matter, and within some hundred steps the loss drops below what counting one neighbour reaches (the drop).
A task gains from pretraining only after that. Devlin et al. 2019, appendix C.1, show the same question at 0.2 to 1
million steps.

Rows: what counting reaches (`counted_bounds.py`) on the same hidden words; random weights; networks of 4 layers of
256 that were pretrained for so many minutes each on masked words alone, the whole schedule of the rate within them.
Columns: loss and fraction right of held-out words, a `[MASK]` in the place of one in each row; the minute of the drop,
where three readings of the training loss have a mean below what counting the left neighbour reaches; SST-2 after
fine-tuning on 1,000 labels, and on as many as fit in the scale's steps. Each start has the better of two rates on the
dev set; random weights are of 0.02, which serves SST-2 better than what pretraining starts from. `curves.png` in OUT
has the training loss over time of the first seed; it is not to be held against the lines of counting to the last digit,
as a tenth of the words that it is about stand there unmasked.

Cost: the minutes, for each seed, and about 3 for fine-tuning each row. The clock decides: run nothing else on
its core.
`--scale paper --minutes 10000` is at the paper's size, with its text.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
import typer
from corpus import Corpus, prepare
from counted_bounds import bounds
from downstream import BATCH, DROPOUT, RANDOM_RANGE, SST2, at_hand, fine_tuned, settings_of, texts_of_dev
from encoders import backbone_of, config_of, pretrained
from hidden_words import found, hide, rows_of, said_by, words_of
from scales import Scale, scale_of
from study import Claim, Column, Study

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import ends_well
from keras_bert_scratch.training.callbacks import METRICS_FILE, read_metrics

RULES = kbs.ExampleRules("none", packing=True)
RANDOM = "random weights"
COUNTED = ("frequency", "left neighbour", "both neighbours")
DROP = "left neighbour"  # the drop is where the loss falls below what counting it reaches
COUNTED_ROWS = 150_000  # of 64 tokens
FEW = 1000
RATES = (0.3, 1.0)  # times the scale's rate of fine-tuning


def main(
    out: Annotated[Path, typer.Argument(help="Folder of the study; the same command goes on with it.")],
    tasks: Annotated[Path | None, typer.Option(help="Folder with SST-2/.")] = None,
    minutes: Annotated[str, typer.Option(help="Of pretraining, a row for each.")] = "10,30,60,120",
    seeds: Annotated[int, typer.Option(help="How often to measure each row.")] = 3,
    scale: Annotated[str, typer.Option(help="laptop; paper; or smoke, to see that it runs.")] = "laptop",
    text: Annotated[Path | None, typer.Option(help="Folder with train/ and held_out/; else packages' text.")] = None,
) -> None:
    """Measures every row with every seed, prints the table and draws the curves."""
    sizes, there = scale_of(scale), at_hand((SST2,), tasks)
    if scale == "laptop":
        sizes = dataclasses.replace(sizes, preset="bert-mini", learning_rate=1e-3, initializer_range=0.05)
    columns = {
        "loss": Column("masked words: loss", ".2f", "low"),
        "right": Column("right"),
        "drop": Column("drop, minute", ".1f", "low"),
    }
    labels = {"few": f"{FEW:,} labels", "many": f"{sizes.tuning_steps * BATCH:,} labels"}
    if there:
        columns |= {metric: Column(f"SST-2, {name}") for metric, name in labels.items()}
    budgets = {f"{number} minutes": 60 * float(number) for number in minutes.split(",")}
    claims = [
        Claim(row, RANDOM, metric, f"SST-2, {name}: {row} of pretraining are worth more than none")
        for row in budgets
        for metric, name in labels.items()
        if there
    ]
    corpus = prepare(out, sizes, text, texts_of_dev(there, tasks))
    settings = settings_of(scale, sizes, corpus, there, tasks) | {"minutes": list(budgets)}
    study = Study(out, "When does pretraining start to pay?", settings, columns, claims)
    with study.shared_work():
        counted = functools.cache(functools.partial(_counted, corpus, sizes.hidden_words))
        for name in COUNTED:
            row = functools.partial(lambda name: dict(zip(("loss", "right"), counted()[name], strict=True)), name)
            study.measure(f"counted: {name}", 0, row)
    for seed in study.seeds(seeds):
        for name, seconds in {RANDOM: None, **budgets}.items():
            bound = study.content["rows"][f"counted: {DROP}"]["0"]["loss"]
            run = functools.partial(_row, seconds, seed, out, corpus, sizes, tasks if there else None, bound)
            study.measure(name, seed, run)
    print(f"\n{study.report()}")
    runs = {name: out / "runs" / f"{seconds:.0f}s-0" for name, seconds in budgets.items()}
    lines = {name: study.content["rows"][f"counted: {name}"]["0"]["loss"] for name in COUNTED}
    _draw(runs, lines, out / "curves.png")


def _counted(corpus: Corpus, number: int) -> dict[str, tuple[float, float]]:
    """What counting reaches on the words that the networks are asked for, from rows as these read."""
    rows = list(rows_of(corpus.records, COUNTED_ROWS))
    asked = list(hide(corpus.held_out, number))
    left, hidden, right = (
        np.concatenate([one.inputs["token_ids"][np.arange(len(one.words)), one.positions + step] for one in asked])
        for step in (-1, 0, 1)
    )
    before, after = (np.concatenate([row[part] for row in rows]) for part in (slice(None, -1), slice(1, None)))
    return bounds(np.concatenate(rows), before, after, left, hidden, right, corpus.records.vocab_size)


def _row(
    seconds: float | None,
    seed: int,
    out: Path,
    corpus: Corpus,
    sizes: Scale,
    tasks: Path | None,
    bound: float,
) -> dict[str, float | None]:
    """What one row gets with one seed."""
    measured: dict[str, float | None] = {"loss": None, "right": None, "drop": None}
    run = None
    if seconds is not None:
        run = out / "runs" / f"{seconds:.0f}s-{seed}"
        pretrained(run, corpus, sizes, seed, RULES, seconds=seconds)
        words = words_of(corpus.held_out, sizes.hidden_words)
        told = said_by(run, corpus.held_out, sizes.hidden_words)
        measured = {
            "loss": float(-told[np.arange(len(words)), words].mean()),
            "right": found(told, words),
            "drop": _drop(run, bound),
        }
    if tasks:
        for name, labels in (("few", FEW), ("many", None)):
            measured[name] = max(_tuned(run, rate, labels, seed, corpus, sizes, tasks) for rate in RATES)
    return measured


def _drop(run: Path, bound: float) -> float | None:
    """The minute at which three readings of the training loss have a mean below `bound`; `None` if they never have."""
    log = read_metrics(run / METRICS_FILE)
    readings = zip(log, log[1:], log[2:], strict=False)
    return next(
        (last["seconds"] / 60 for a, b, last in readings if a["loss"] + b["loss"] + last["loss"] < 3 * bound), None
    )


def _tuned(
    run: Path | None, rate: float, labels: int | None, seed: int, corpus: Corpus, sizes: Scale, tasks: Path
) -> float:
    keras.utils.set_random_seed(seed)
    if run is None:
        rates = {"hidden_dropout": DROPOUT, "attention_dropout": DROPOUT}
        backbone = kbs.BertBackbone(config_of(sizes, corpus, initializer_range=RANDOM_RANGE, **rates))
    else:
        backbone = backbone_of(run, DROPOUT)
    sizes = dataclasses.replace(sizes, tuning_rate=rate * sizes.tuning_rate)
    score = fine_tuned(SST2, tasks, backbone, corpus.tokenizer, sizes, seed, labels)
    keras.backend.clear_session()
    return score


def _draw(runs: Mapping[str, Path], counted: Mapping[str, float], picture: Path) -> None:
    """The loss of masked words over the minutes of each budget, with what counting reaches as lines across."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes: Any = figure.subplots()
    logs = {row: read_metrics(run / METRICS_FILE) for row, run in runs.items()}
    if not all(logs.values()):  # what was measured on another machine has its curves there
        return
    for row, log in logs.items():
        axes.plot([one["seconds"] / 60 for one in log], [one["loss"] for one in log], linewidth=1, label=row)
    for name, loss in counted.items():
        axes.axhline(loss, color="grey", linestyle="--", linewidth=1)
        axes.annotate(
            f"counted: {name}", (1, loss), xycoords=("axes fraction", "data"), ha="right", va="bottom", size=8
        )
    axes.set(xlabel="minutes of pretraining", ylabel="training loss of masked words, nats")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    typer.run(ends_well(main))
