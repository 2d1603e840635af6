"""Milliseconds from one raw text to its answer: the model as `keras-bert serve` runs it, transformers, ONNX Runtime.

    python benchmarks/serving.py shared/data/glue/SST-2/dev.tsv [--texts 200] [--rounds 3] [--threads 1]

All have the weights of all-MiniLM-L6-v2 (6 layers of 384) with a head for two classes. Each side answers each text in
turn, one text per call. For each text the fastest round counts; the table shows the median and the 99th percentile over
the texts. Ours is `ServedModel` with each engine, as the server calls it, without HTTP; and the SavedModel in a
TensorFlow session, as TensorFlow Serving calls it. transformers is its pipeline; ONNX Runtime gets the output of
transformers' Rust tokenizer. Needs `pip install onnx onnxruntime onnxscript`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tensorflow as tf
import torch
import transformers
import typer
from answering import ONNX_INPUTS, one_model, onnx_file, onnx_session
from finetuning import MINILM
from onnxruntime.quantization import quantize_dynamic
from rich.console import Console
from rich.table import Table

import keras_bert_scratch as kbs
from keras_bert_scratch.serving.server.served_model import ENGINES, ServedModel

OURS = "ours, tensorflow"

Answer = Callable[[str], str]


def main(
    table: Annotated[Path, typer.Argument(help="A labelled table.")],
    texts: Annotated[int, typer.Option(help="Number of texts to classify.")] = 200,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the fastest one counts for each text.")] = 3,
    threads: Annotated[int, typer.Option(help="Number of threads of each contender.")] = 1,
) -> None:
    """Prints the milliseconds of each side, and their ratio to ours."""
    torch.set_num_threads(threads)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    data = kbs.TaskData.read("classification", table, kbs.BertTokenizer.load(MINILM))
    raw = list(data.examples.raw["text"][:texts])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = one_model(data, folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM)
        tuned = kbs.FineTuned(kbs.BertTextClassifier.from_pretrained(folder / "model"), data.tokenizer, data.spec)
        kbs.export_saved_model(tuned, folder / "saved", warm_up=False, variants=("litert", "litert-int8"))
        session = onnx_session(model, tokenizer, folder / "model.onnx", threads)
        quantize_dynamic(folder / "model.onnx", folder / "int8.onnx")
        sides = {
            "ours, TensorFlow's session": _session(folder / "saved", threads),
            **{f"ours, {engine}": _served(folder / "saved", engine) for engine in ENGINES},
            "transformers, pipeline": _pipeline(model, tokenizer),
            "ONNX Runtime, float32": _onnx(model, tokenizer, session),
            "ONNX Runtime, int8": _onnx(model, tokenizer, onnx_file(folder / "int8.onnx", threads)),
        }
        answers = {name: [side(text) for text in raw] for name, side in sides.items()}
        for name, given in answers.items():
            same = np.mean([one == other for one, other in zip(given, answers[OURS], strict=True)])
            print(f"{name}: {same:.1%} of {len(raw)} answers equal ours")
        times = {name: np.full(len(raw), np.inf) for name in sides}
        for _ in range(rounds):
            for number, text in enumerate(raw):
                for name, side in sides.items():
                    start = time.perf_counter()
                    side(text)
                    times[name][number] = min(times[name][number], 1e3 * (time.perf_counter() - start))
    shown = Table(
        f"{len(raw)} texts, threads: {threads}", "ms, median", "99th percentile", "to tensorflow", "to litert"
    )
    medians = {name: float(np.median(spent)) for name, spent in times.items()}
    for name, spent in times.items():
        ratios = [f"{medians[name] / medians[ours]:.2f}" for ours in (OURS, "ours, litert")]
        shown.add_row(name, f"{medians[name]:.2f}", f"{np.percentile(spent, 99):.2f}", *ratios)
    Console(width=110).print(shown)


def _session(folder: Path, threads: int) -> Answer:
    settings = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1)
    session = tf.compat.v1.Session(graph=tf.Graph(), config=settings)
    with session.graph.as_default():
        loaded = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(folder))
    signature = loaded.signature_def["serving_default"]
    ask = session.make_callable(signature.outputs["label"].name, [signature.inputs["text"].name])
    return lambda text: ask([text])[0].decode()


def _served(folder: Path, engine: str) -> Answer:
    model = ServedModel(folder, engine)
    return lambda text: model.run("serving_default", {"text": np.array([text.encode()], object)})["label"][0].decode()


def _pipeline(model: Any, tokenizer: Any) -> Answer:
    pipeline = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)
    return lambda text: pipeline(text)[0]["label"]


def _onnx(model: Any, tokenizer: Any, session: Any) -> Answer:
    labels = model.config.id2label

    def answered(text: str) -> str:
        batch = tokenizer([text], truncation=True, return_tensors="np")
        (logits,) = session.run(None, {name: batch[name] for name in ONNX_INPUTS})
        return labels[int(logits[0].argmax())]

    return answered


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    typer.run(main)
