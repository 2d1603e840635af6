"""Texts per second in classification: ours, transformers' pipeline, ONNX Runtime.

    python benchmarks/answering.py shared/data/glue/SST-2/train.tsv [--texts 10000] [--rounds 2]

All have the weights of all-MiniLM-L6-v2 (6 layers of 384) with a head for two classes, take strings and return labels;
they take turns in every round, and the best round counts. Ours is `FineTuned.predict`; the pipeline gets the texts
sorted by length, at several batch sizes; ONNX Runtime gets the same in batches of 32, each padded to its longest row by
transformers' tokenizer. Needs `pip install onnx onnxruntime onnxscript`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import onnxruntime
import torch
import transformers
import typer
from finetuning import MINILM, compare

import keras_bert_scratch as kbs

PIPELINE_BATCHES = (8, 32, 128)
ONNX_BATCH = 32
ONNX_INPUTS = ("input_ids", "attention_mask", "token_type_ids")

Answers = Callable[[list[str]], list[str]]


def main(
    table: Annotated[Path, typer.Argument(help="A labelled table.")],
    texts: Annotated[int, typer.Option(help="Number of texts to classify.")] = 10_000,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the best one counts.")] = 2,
) -> None:
    """Prints texts per second, and ours as a multiple of the others."""
    data = kbs.TaskData.read("classification", table, kbs.BertTokenizer.load(MINILM))
    raw = list(data.examples.raw["text"][:texts])
    with tempfile.TemporaryDirectory() as folder:
        torch_model = one_model(data, Path(folder))
        tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM)
        sides = {
            "ours, float32": _ours(Path(folder), data, "float32"),
            "ours, bfloat16": _ours(Path(folder), data, "mixed_bfloat16"),
            **{f"transformers, pipeline, {size}": _pipeline(torch_model, tokenizer, size) for size in PIPELINE_BATCHES},
            "transformers, pipeline, 32, bfloat16": _pipeline(torch_model, tokenizer, 32, autocast=True),
            f"ONNX Runtime, {ONNX_BATCH}": _onnx(torch_model, tokenizer, Path(folder) / "model.onnx"),
        }
        some = sorted(raw, key=len)[:: max(1, len(raw) // 200)]
        expected = sides["ours, float32"](some)
        for name, side in sides.items():
            same = sum(one == other for one, other in zip(side(some), expected, strict=True)) / len(some)
            print(f"{name}: {same:.1%} of {len(some)} answers equal ours in float32")
    compare("answered", sides, lambda number: raw, rounds, len(raw))


def one_model(data: kbs.TaskData, folder: Path) -> Any:
    """Makes the weights that all share, with a head from a seed: stored for ours, and returned as torch's model."""
    torch.manual_seed(1)
    model = transformers.BertForSequenceClassification.from_pretrained(MINILM, num_labels=2).eval()
    model.config.id2label = dict(enumerate(data.spec.labels))
    model.save_pretrained(folder / "model")
    data.tokenizer.save(folder / "model")
    return model


def _ours(folder: Path, data: kbs.TaskData, dtype: str) -> Answers:
    model = kbs.BertTextClassifier.from_pretrained(folder / "model", dtype=dtype)
    tuned = kbs.FineTuned(model, data.tokenizer, data.spec)
    return lambda texts: [answer["label"] for answer in tuned.predict({"text": texts})]


def _pipeline(model: Any, tokenizer: Any, size: int, autocast: bool = False) -> Answers:
    pipeline = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)

    def answers(texts: list[str]) -> list[str]:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return _sorted_by_length(texts, lambda some: [row["label"] for row in pipeline(some, batch_size=size)])

    return answers


def onnx_session(model: Any, tokenizer: Any, path: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """Exports the model to ONNX and loads it in ONNX Runtime; with 0 threads ONNX Runtime chooses their number."""
    inputs = tokenizer(["a text", "another text"], return_tensors="pt")
    axes = {name: {0: "rows", 1: "tokens"} for name in ONNX_INPUTS}
    torch.onnx.export(
        model, tuple(inputs[name] for name in ONNX_INPUTS), path, input_names=list(ONNX_INPUTS),
        output_names=["logits"], dynamic_axes={**axes, "logits": {0: "rows"}}, dynamo=False,
    )  # fmt: skip
    return onnx_file(path, threads)


def onnx_file(path: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """Loads a file in ONNX Runtime; with 0 threads ONNX Runtime chooses their number."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options)


def _onnx(model: Any, tokenizer: Any, path: Path) -> Answers:
    session = onnx_session(model, tokenizer, path)
    labels = model.config.id2label

    def answered(texts: list[str]) -> list[str]:
        found: list[str] = []
        for start in range(0, len(texts), ONNX_BATCH):
            batch = tokenizer(texts[start : start + ONNX_BATCH], padding=True, truncation=True, return_tensors="np")
            (logits,) = session.run(None, {name: batch[name] for name in ONNX_INPUTS})
            found += [labels[number] for number in logits.argmax(-1)]
        return found

    return lambda texts: _sorted_by_length(texts, answered)


def _sorted_by_length(texts: list[str], answered: Answers) -> list[str]:
    """Answers the texts in the order of their lengths; returns the answers in the order of the texts."""
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    given = answered([texts[number] for number in order])
    return [answer for _, answer in sorted(zip(order, given, strict=True))]


if __name__ == "__main__":
    typer.run(main)
