"""When does pretraining start to pay? Masked tokens against counted baselines, and SST-2, by steps of pretraining.

    python experiments/when_it_pays.py OUT [--tasks FOLDER] [--steps 900,2700,5400,10800] [--seeds 3] [--scale laptop]
        [--text FOLDER]

Claim: a network first learns how frequent tokens are, and its loss stays near the unigram model's for a while (the
plateau); then it learns that neighbours matter, and within a few hundred steps the loss drops below the bigram model's
(the drop). A task gains from pretraining only after that. Devlin et al. 2019, appendix C.1, fine-tunes checkpoints of
one training, after 0.2 to 1 million steps; here each row is a training of its own with a complete learning-rate
schedule. That a task gains only after the drop is not tested as a claim: compare the table's first row with random
weights.

Rows: counted baselines (`counted_bounds.py`) on the same masked tokens; random weights; networks of 4 layers of 256
that are pretrained on masked tokens only, each for a number of steps, in rows of 16 tokens, and of 40 for the last
40%. Columns: minutes of pretraining by the clock (a pause of the machine counts); loss and accuracy on held-out tokens,
with `[MASK]` in the place of one in each row; the step of the drop; SST-2 after fine-tuning on 1,000 labels, and on as
many as fit in the scale's steps. All rows are fine-tuned at a learning rate of 4e-4: with 1,000 labels, 7e-4 was best
after pretraining, and 2e-4 for random weights (benchmarks/RESULTS.md). Random weights have a standard deviation of
0.02, which is better for SST-2 than that of pretraining. Texts are truncated at 40 tokens, because pretraining trains
no later position. Other `--steps` add rows; the claims are about the last list.

The drop is the step when three readings of the training loss have a mean below what the bigram model would have there.
A tenth of the chosen tokens stay unchanged, and a tenth become random ones. A network cannot tell these cases apart. If
it gives half of the probability to the token that it sees, and is otherwise as good as the bigram model, whose loss is
b, its training loss is 0.9 b + 0.2 ln 2. `curves.png` in OUT shows the training loss of the first seed, and the counted
models' losses by this formula. The curves rise where the rows become longer.

Cost at scale laptop: not measured yet. `--scale paper --steps 200000,1000000` has the paper's size, with its text.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import re
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
COUNTED_TOKENS = 10_000_000
FEW = 1000
FIRST_SEED = 5  # lower seeds chose the learning rates
LAPTOP = {
    "preset": "bert-mini",
    "second_batch": 48,
    "second_length": 40,
    "second_fraction": 0.4,
    "learning_rate": 1e-3,
    "initializer_range": 0.05,
    "tuning_rate": 4e-4,
    "window": 40,
}


def main(
    out: Annotated[Path, typer.Argument(help="Folder of the study; the same command resumes it.")],
    tasks: Annotated[Path | None, typer.Option(help="Folder with SST-2/.")] = None,
    steps: Annotated[str, typer.Option(help="Steps of pretraining, one row for each.")] = "900,2700,5400,10800",
    seeds: Annotated[int, typer.Option(help="Number of seeds for each row.")] = 3,
    scale: Annotated[str, typer.Option(help="laptop, paper, or smoke (only checks that it runs).")] = "laptop",
    text: Annotated[
        Path | None, typer.Option(help="Folder with train/ and held_out/; default: packages' text.")
    ] = None,
) -> None:
    """Measures every row with every seed, prints the table and draws the curves."""
    sizes, available = scale_of(scale), available_tasks((SST2,), tasks)
    if scale == "laptop":
        sizes = dataclasses.replace(sizes, **LAPTOP)
    columns = {
        "minutes": Column("minutes of pretraining", ".0f", "low"),
        "loss": Column("masked-token loss", ".2f", "low"),
        "right": Column("masked-token accuracy"),
        "drop": Column("drop, step", ",.0f", "low"),
    }
    labels = {"few": f"{FEW:,} labels", "many": f"{sizes.tuning_steps * BATCH:,} labels"}
    if available:
        columns |= {metric: Column(f"SST-2, {name}") for metric, name in labels.items()}
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", steps):
        raise kbs.UserError(f"`steps`: must be numbers separated by commas, such as 900,2700, not {steps!r}")
    trainings = {f"{number:,} steps": number for number in sorted(map(int, steps.split(",")))}
    shortest, longest = (list(trainings)[end] for end in (0, -1))
    claims = [
        Claim(longest, worse, metric, f"SST-2, {name}: {longest} of pretraining are worth more than {than}")
        for metric, name in labels.items()
        for worse, than in ((RANDOM, "none"), (shortest, shortest))
        if available and worse != longest
    ]
    corpus = prepare(out, sizes, text, texts_of_dev(available, tasks))
    settings = settings_of(scale, sizes, corpus, available, tasks)
    study = Study(out, "When does pretraining start to pay?", settings, columns, claims)
    with study.shared_work():
        counted = functools.cache(functools.partial(_counted, corpus, sizes))
        for name in COUNTED:
            row = functools.partial(lambda name: dict(zip(("loss", "right"), counted()[name], strict=True)), name)
            study.measure(f"counted: {name}", 0, row)
    for seed in study.seeds(seeds, first=FIRST_SEED):
        for name, number in {RANDOM: None, **trainings}.items():
            bound = study.content["rows"][f"counted: {DROP}"]["0"]["loss"]
            run = functools.partial(_row, number, seed, out, corpus, sizes, tasks if available else None, bound)
            study.measure(name, seed, run)
    print(f"\n{study.report()}")
    runs = {name: out / "runs" / f"{number}-{FIRST_SEED}" for name, number in trainings.items()}
    lines = {name: study.content["rows"][f"counted: {name}"]["0"]["loss"] for name in COUNTED}
    _draw(runs, lines, out / "curves.png")


def _counted(corpus: Corpus, sizes: Scale) -> dict[str, tuple[float, float]]:
    """Returns the counted baselines for the words that the networks predict, counted in the rows that these read."""
    length = _length(sizes)
    rows = list(rows_of(corpus.records, COUNTED_TOKENS // length, length))
    examples = list(masked_examples(corpus.held_out, sizes.hidden_words, length=length))
    left, hidden, right = (
        np.concatenate([one.inputs["token_ids"][np.arange(len(one.words)), one.positions + step] for one in examples])
        for step in (-1, 0, 1)
    )
    before, after = (np.concatenate([row[part] for row in rows]) for part in (slice(None, -1), slice(1, None)))
    return bounds(np.concatenate(rows), before, after, left, hidden, right, corpus.records.vocab_size)


def _length(sizes: Scale) -> int:
    """Returns the tokens of a row that is measured: no position in it is new to the networks."""
    return min(64, sizes.second_length)


def _row(
    steps: int | None,
    seed: int,
    out: Path,
    corpus: Corpus,
    sizes: Scale,
    tasks: Path | None,
    bound: float,
) -> dict[str, float | None]:
    """Measures one row with one seed."""
    measured: dict[str, float | None] = {"minutes": None, "loss": None, "right": None, "drop": None}
    run = None
    if steps is not None:
        run = out / "runs" / f"{steps}-{seed}"
        pretrained(run, corpus, dataclasses.replace(sizes, steps=steps), seed, RULES)
        words = words_of(corpus.held_out, sizes.hidden_words, length=_length(sizes))
        predictions = masked_log_probs(run, corpus.held_out, sizes.hidden_words, length=_length(sizes))
        measured = {
            "minutes": read_metrics(run / METRICS_FILE)[-1]["seconds"] / 60,
            "loss": float(-predictions[np.arange(len(words)), words].mean()),
            "right": accuracy(predictions, words),
            "drop": _drop(run, bound),
        }
    if tasks:
        for name, labels in (("few", FEW), ("many", None)):
            measured[name] = _tuned(run, labels, seed, corpus, sizes, tasks)
    return measured


def _in_training(loss: float) -> float:
    """Returns the training loss of a model with this loss at masked tokens, by the formula at the top of this file."""
    return 0.9 * loss + 0.2 * math.log(2)


def _drop(run: Path, bound: float) -> float | None:
    """Returns the step when three readings of the training loss have a mean below that of `bound`; `None` if none have.

    Args:
        run: Path. A pretrained model's run.
        bound: float. Loss at masked tokens.
    """
    log = read_metrics(run / METRICS_FILE)
    below = 3 * _in_training(bound)
    readings = zip(log, log[1:], log[2:], strict=False)
    return next((last["step"] for a, b, last in readings if a["loss"] + b["loss"] + last["loss"] < below), None)


def _tuned(run: Path | None, labels: int | None, seed: int, corpus: Corpus, sizes: Scale, tasks: Path) -> float:
    keras.utils.set_random_seed(seed)
    if run is None:
        rates = {"hidden_dropout": DROPOUT, "attention_dropout": DROPOUT}
        backbone = kbs.BertBackbone(config_of(sizes, corpus, initializer_range=RANDOM_RANGE, **rates))
    else:
        backbone = backbone_of(run, DROPOUT)
    score = fine_tuned(SST2, tasks, backbone, corpus.tokenizer, sizes, seed, labels)
    keras.backend.clear_session()
    return score


def _draw(runs: Mapping[str, Path], counted: Mapping[str, float], picture: Path) -> None:
    """Draws the training loss over the steps of each row, and what the counted models would have there as lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes: Any = figure.subplots()
    logs = {row: read_metrics(run / METRICS_FILE) for row, run in runs.items()}
    if not all(logs.values()):  # runs that were measured on another machine have their curves there
        return
    for row, log in logs.items():
        axes.plot([one["step"] for one in log], [one["loss"] for one in log], linewidth=1, label=row)
    for name, loss in counted.items():
        axes.axhline(_in_training(loss), color="grey", linestyle="--", linewidth=1)
        axes.annotate(
            f"counted: {name}",
            (1, _in_training(loss)),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            size=8,
        )
    axes.set(xlabel="steps of pretraining", ylabel="training loss of masked tokens, nats")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    typer.run(handle_errors(main))
