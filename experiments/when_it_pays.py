"""When does pretraining start to pay? Masked tokens against counted baselines, and SST-2, by minutes of pretraining.

    python experiments/when_it_pays.py OUT [--tasks FOLDER] [--minutes 10,30,60,120] [--seeds 3] [--scale laptop]
        [--text FOLDER]

Claim: a network first learns how frequent tokens are, and its loss stays near the unigram model's for a while (the
plateau); then it learns that neighbours matter, and within a few hundred steps the loss drops below the bigram model's
(the drop). A task gains from pretraining only after that. Devlin et al. 2019, appendix C.1, study the same question at
0.2 to 1 million steps.

Rows: counted baselines (`counted_bounds.py`) on the same masked tokens; random weights; networks of 4 layers of 256
that are pretrained on masked tokens only, each for a number of minutes that holds the complete learning-rate schedule.
Columns: loss and accuracy on held-out tokens, with `[MASK]` in the place of one in each row; the minute of the drop,
when three readings of the training loss have a mean below the bigram model's; SST-2 after fine-tuning on 1,000 labels,
and on as many as fit in the scale's steps. Each start has the better of two learning rates on the dev set; random
weights have a standard deviation of 0.02, which is better for SST-2 than that of pretraining. `curves.png` in OUT shows
the training loss of the first seed over time; it is only roughly comparable with the counted lines, because a tenth of
the tokens that it covers are not masked.

Cost: the minutes, for each seed, and about 3 for fine-tuning each row. The budget is wall-clock time: run nothing else
on its core. `--scale paper --minutes 10000` has the paper's size, with its text.
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
from downstream import BATCH, DROPOUT, RANDOM_RANGE, SST2, available_tasks, fine_tuned, settings_of, texts_of_dev
from encoders import backbone_of, config_of, pretrained
from hidden_words import accuracy, masked_examples, masked_log_probs, rows_of, words_of
from scales import Scale, scale_of
from study import Claim, Column, Study

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import handle_errors
from keras_bert_scratch.training.callbacks import METRICS_FILE, read_metrics

RULES = kbs.ExampleRules("none", packing=True)
RANDOM = "random weights"
COUNTED = ("unigram", "bigram", "both neighbours")
DROP = "bigram"  # the drop is where the loss falls below that of this count
COUNTED_ROWS = 150_000  # of 64 tokens
FEW = 1000
RATES = (0.3, 1.0)  # times the scale's learning rate of fine-tuning


def main(
    out: Annotated[Path, typer.Argument(help="Folder of the study; the same command resumes it.")],
    tasks: Annotated[Path | None, typer.Option(help="Folder with SST-2/.")] = None,
    minutes: Annotated[str, typer.Option(help="Minutes of pretraining, one row for each.")] = "10,30,60,120",
    seeds: Annotated[int, typer.Option(help="Number of seeds for each row.")] = 3,
    scale: Annotated[str, typer.Option(help="laptop, paper, or smoke (only checks that it runs).")] = "laptop",
    text: Annotated[
        Path | None, typer.Option(help="Folder with train/ and held_out/; default: packages' text.")
    ] = None,
) -> None:
    """Measures every row with every seed, prints the table and draws the curves."""
    sizes, available = scale_of(scale), available_tasks((SST2,), tasks)
    if scale == "laptop":
        sizes = dataclasses.replace(sizes, preset="bert-mini", learning_rate=1e-3, initializer_range=0.05)
    columns = {
        "loss": Column("masked-token loss", ".2f", "low"),
        "right": Column("masked-token accuracy"),
        "drop": Column("drop, minute", ".1f", "low"),
    }
    labels = {"few": f"{FEW:,} labels", "many": f"{sizes.tuning_steps * BATCH:,} labels"}
    if available:
        columns |= {metric: Column(f"SST-2, {name}") for metric, name in labels.items()}
    budgets = {f"{number} minutes": 60 * float(number) for number in minutes.split(",")}
    claims = [
        Claim(row, RANDOM, metric, f"SST-2, {name}: {row} of pretraining are worth more than none")
        for row in budgets
        for metric, name in labels.items()
        if available
    ]
    corpus = prepare(out, sizes, text, texts_of_dev(available, tasks))
    settings = settings_of(scale, sizes, corpus, available, tasks) | {"minutes": list(budgets)}
    study = Study(out, "When does pretraining start to pay?", settings, columns, claims)
    with study.shared_work():
        counted = functools.cache(functools.partial(_counted, corpus, sizes.hidden_words))
        for name in COUNTED:
            row = functools.partial(lambda name: dict(zip(("loss", "right"), counted()[name], strict=True)), name)
            study.measure(f"counted: {name}", 0, row)
    for seed in study.seeds(seeds):
        for name, seconds in {RANDOM: None, **budgets}.items():
            bound = study.content["rows"][f"counted: {DROP}"]["0"]["loss"]
            run = functools.partial(_row, seconds, seed, out, corpus, sizes, tasks if available else None, bound)
            study.measure(name, seed, run)
    print(f"\n{study.report()}")
    runs = {name: out / "runs" / f"{seconds:.0f}s-0" for name, seconds in budgets.items()}
    lines = {name: study.content["rows"][f"counted: {name}"]["0"]["loss"] for name in COUNTED}
    _draw(runs, lines, out / "curves.png")


def _counted(corpus: Corpus, number: int) -> dict[str, tuple[float, float]]:
    """Returns the counted baselines for the words that the networks predict, counted in the rows that these read."""
    rows = list(rows_of(corpus.records, COUNTED_ROWS))
    examples = list(masked_examples(corpus.held_out, number))
    left, hidden, right = (
        np.concatenate([one.inputs["token_ids"][np.arange(len(one.words)), one.positions + step] for one in examples])
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
    """Measures one row with one seed."""
    measured: dict[str, float | None] = {"loss": None, "right": None, "drop": None}
    run = None
    if seconds is not None:
        run = out / "runs" / f"{seconds:.0f}s-{seed}"
        pretrained(run, corpus, sizes, seed, RULES, seconds=seconds)
        words = words_of(corpus.held_out, sizes.hidden_words)
        predictions = masked_log_probs(run, corpus.held_out, sizes.hidden_words)
        measured = {
            "loss": float(-predictions[np.arange(len(words)), words].mean()),
            "right": accuracy(predictions, words),
            "drop": _drop(run, bound),
        }
    if tasks:
        for name, labels in (("few", FEW), ("many", None)):
            measured[name] = max(_tuned(run, rate, labels, seed, corpus, sizes, tasks) for rate in RATES)
    return measured


def _drop(run: Path, bound: float) -> float | None:
    """Returns the minute when three readings of the training loss have a mean below `bound`; `None` if none have."""
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
    """Draws the loss of masked tokens over the minutes of each budget, and the counted baselines as lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes: Any = figure.subplots()
    logs = {row: read_metrics(run / METRICS_FILE) for row, run in runs.items()}
    if not all(logs.values()):  # runs that were measured on another machine have their curves there
        return
    for row, log in logs.items():
        axes.plot([one["seconds"] / 60 for one in log], [one["loss"] for one in log], linewidth=1, label=row)
    for name, loss in counted.items():
        axes.axhline(loss, color="grey", linestyle="--", linewidth=1)
        axes.annotate(
            f"counted: {name}", (1, loss), xycoords=("axes fraction", "data"), ha="right", va="bottom", size=8
        )
    axes.set(xlabel="minutes of pretraining", ylabel="training loss of masked tokens, nats")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    typer.run(handle_errors(main))
