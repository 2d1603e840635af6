"""Speed of pretraining, in real tokens per second: ours, KerasHub's and Hugging Face's, all of the same size.

    pip install 'keras_bert_scratch[parity,test]'
    python benchmarks/pretraining.py TEXT --vocab vocab.txt --hidden 256 --curves curves.png

TEXT is a folder of text files, each a document with one paragraph per line. All train four layers in float32 with
dropout 0.1, on batches of 32 rows of 128 tokens with at most 20 predictions per row, with AdamW at a constant learning
rate of 1e-4, weight decay 0.01 and a global norm of 1. Each contender is a separate process; they take turns, and the
others wait. The best round's mean time per step counts, including reading the data; padding does not count as tokens.

KerasHub's natural way is its own preprocessor on the paragraphs, one per row, with its `fit` unchanged. "Our rows" are
our packed batches; KerasHub and Hugging Face have no attention mask that separates the examples of a row, and get a
padding mask instead. Hugging Face gets the batches from memory, as tensors. "Tuned" is without XLA and with oneDNN,
which TensorFlow leaves off on some processors and `keras-bert` turns on. The losses are those of the masked words.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import typer
from rich.console import Console
from rich.table import Table

import keras_bert_scratch as kbs
from keras_bert_scratch.training.flops import step_flops
from keras_bert_scratch.training.matrix_peak import matrix_peak

BATCH, LENGTH, PREDICTIONS, LAYERS = 32, 128, 20, 4
RATE, DECAY, EPSILON = 1e-4, 0.01, 1e-6
# Keras adds epsilon before it corrects the bias of the second moment: over the first 60 steps, 1e-6 in Keras acts like
# 4e-6 to 3e-5 here, and the loss falls more slowly.
EPSILON_OF_KERAS = 1e-7
PACKED = kbs.ExampleRules(packing=True)
KEPT, SMOOTH = 128, 8
OURS = "keras_bert_scratch"
ONEDNN = {"TF_ENABLE_ONEDNN_OPTS": "1"}


class Corpus(NamedTuple):
    """The data that all contenders train on."""

    text: Path
    vocab: Path
    lowercase: bool
    records: Path

    @property
    def tokenizer(self) -> kbs.BertTokenizer:
        """Our tokenizer, with which the records were made."""
        return kbs.BertTokenizer(self.vocab, self.lowercase)

    def packed(self) -> tf.data.Dataset:
        """Returns our batches, without end."""
        return kbs.PretrainingRecords(self.records, self.tokenizer).batches(BATCH, LENGTH, rules=PACKED)

    def natural(self) -> tf.data.Dataset:
        """Returns batches of KerasHub's own preprocessor, one paragraph per row, without end."""
        import keras_hub

        preprocessor = keras_hub.models.BertMaskedLMPreprocessor(
            keras_hub.models.BertTokenizer(vocabulary=str(self.vocab), lowercase=self.lowercase),
            sequence_length=LENGTH,
            mask_selection_length=PREDICTIONS,
        )
        lines = tf.data.TextLineDataset([str(path) for path in sorted(self.text.rglob("*.txt"))])
        lines = lines.filter(lambda line: tf.strings.length(tf.strings.strip(line)) > 0)
        batches = lines.shuffle(20_000, seed=0).repeat().batch(BATCH, drop_remainder=True)
        return batches.map(preprocessor, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


# Trains without end: yields the masked words' loss of every step, and waits until the next one is requested.
Steps = Iterator[float]


class Contender(NamedTuple):
    """An implementation, and how it is run.

    Args:
        steps: starts the training.
        batches: makes the batches to train on; their tokens are counted.
        environment: further environment variables of its process.
    """

    steps: Callable[[kbs.BertConfig, tf.data.Dataset], Steps]
    batches: Callable[[Corpus], tf.data.Dataset]
    environment: dict[str, str]


def by_fit(model: keras.Model, batches: tf.data.Dataset, loss: str) -> Steps:
    """Trains with one `model.fit`, in a thread that waits after each step."""
    done: queue.Queue[float] = queue.Queue()
    more = threading.Semaphore(0)

    class Turns(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            more.acquire()
            self.model.reset_metrics()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            done.put(float(logs[loss]))

    def fit() -> None:
        try:
            model.fit(batches, steps_per_epoch=1 << 40, verbose=0, callbacks=[Turns()], shuffle=False)
        finally:
            os._exit(1)  # it ends only by an error

    threading.Thread(target=fit, daemon=True).start()
    while True:
        more.release()
        yield done.get()


def ours(config: kbs.BertConfig, batches: tf.data.Dataset) -> Steps:
    """Our pretrainer with both losses, unchanged."""
    model = kbs.BertPretrainer(kbs.BertBackbone(config, packed=True))
    model.compile(kbs.BertAdamW(RATE, weight_decay=DECAY, epsilon=EPSILON, bias_correction=True))
    return by_fit(model, batches, "masked_lm_loss")


def keras_hub_fit(config: kbs.BertConfig, batches: tf.data.Dataset, jit_compile: Any = "auto") -> Steps:
    """KerasHub's masked-word model."""
    import keras_hub

    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=config.vocab_size,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        hidden_dim=config.hidden_size,
        intermediate_dim=config.intermediate_size,
    )
    model = keras_hub.models.BertMaskedLM(backbone, preprocessor=None)
    optimizer = keras.optimizers.AdamW(RATE, weight_decay=DECAY, epsilon=EPSILON_OF_KERAS, global_clipnorm=1.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    accuracy = keras.metrics.SparseCategoricalAccuracy()
    model.compile(optimizer, loss, weighted_metrics=[accuracy], jit_compile=jit_compile)
    return by_fit(model, batches, "loss")


def hugging_face(config: kbs.BertConfig, batches: tf.data.Dataset, compiled: bool) -> Steps:
    """Transformers' model with both losses and torch's AdamW; its head scores every position, as its own class does."""
    import torch
    import transformers

    sizes = transformers.BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        intermediate_size=config.intermediate_size,
    )
    model = transformers.BertForPreTraining(sizes).train()
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY, eps=EPSILON)
    forward = torch.compile(model) if compiled else model
    fed = []
    for inputs, labels, weights in batches.take(KEPT).as_numpy_iterator():
        words = np.full(inputs["token_ids"].shape, -100, "int64")
        row, column = np.nonzero(weights["masked_lm"])
        words[row, inputs["mask_positions"][row, column]] = labels["masked_lm"][row, column]
        named = {"input_ids": inputs["token_ids"], "token_type_ids": inputs["segment_ids"], "labels": words}
        named |= {"attention_mask": inputs["padding_mask"], "next_sentence_label": labels["next_sentence"][:, 0]}
        fed.append({name: torch.tensor(np.asarray(value, "int64")) for name, value in named.items()})
    for batch in itertools.cycle(fed):
        output = forward(**batch)
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        right = torch.log_softmax(output.seq_relationship_logits.detach(), -1)
        pairs = -right[torch.arange(BATCH), batch["next_sentence_label"]].mean()
        yield float(output.loss.detach() - pairs)


def without_packing(inputs: Any, labels: Any, weights: Any) -> Any:
    """Converts our rows to the inputs of KerasHub's model."""
    names = ("token_ids", "segment_ids", "padding_mask", "mask_positions")
    return {name: inputs[name] for name in names}, labels["masked_lm"], weights["masked_lm"]


def same_rows(corpus: Corpus) -> tf.data.Dataset:
    """Returns our batches for KerasHub."""
    return corpus.packed().map(without_packing)


CONTENDERS = {
    OURS: Contender(ours, Corpus.packed, ONEDNN),
    "KerasHub, its preprocessor": Contender(keras_hub_fit, Corpus.natural, {}),
    "KerasHub, our rows": Contender(keras_hub_fit, same_rows, {}),
    "KerasHub, our rows, tuned": Contender(functools.partial(keras_hub_fit, jit_compile=False), same_rows, ONEDNN),
    "Hugging Face, torch.compile": Contender(functools.partial(hugging_face, compiled=True), Corpus.packed, {}),
    "Hugging Face, eager": Contender(functools.partial(hugging_face, compiled=False), Corpus.packed, {}),
}


def work(name: str, hidden: int, corpus: Corpus) -> None:
    """Runs in a contender's process: reads numbers of steps, trains for each, and prints a line with the results."""
    keras.utils.set_random_seed(0)
    contender = CONTENDERS[name]
    config = kbs.BertConfig(vocab_size=len(corpus.tokenizer.vocabulary), num_layers=LAYERS, hidden_size=hidden)
    batches = contender.batches(corpus)
    masks = [tf.cast(batch[0]["padding_mask"], tf.float32) for batch in batches.take(KEPT)]
    tokens = float(tf.reduce_mean([tf.reduce_sum(mask) for mask in masks]))
    examples = batches.element_spec[0]["example_starts"].shape[1] if name == OURS else 1
    results = {
        "tokens": tokens,
        "flops": step_flops(config, BATCH, LENGTH, PREDICTIONS, examples) if name == OURS else 0.0,
        "peak": 0.0,
    }
    steps = contender.steps(config, batches)
    for line in sys.stdin:
        if name == OURS:
            results["peak"] = max(results["peak"], matrix_peak())
        start = time.perf_counter()
        losses = list(itertools.islice(steps, int(line)))
        print(
            json.dumps({**results, "losses": losses, "seconds": (time.perf_counter() - start) / int(line)}), flush=True
        )
    os._exit(0)  # the training thread waits for ever


class Process:
    """A handle of a contender's process."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        environment = {**os.environ, **CONTENDERS[name].environment}
        command = [sys.executable, __file__, *arguments, "--only", name]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self.results: dict[str, Any] = {}

    def train(self, steps: int) -> None:
        """Has the process train for `steps` more steps."""
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                self.results = json.loads(line)
                self.losses += self.results["losses"]
                self.seconds.append(self.results["seconds"])
                return
        raise RuntimeError(f"ended with {self._process.wait()}")

    def end(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def plot(curves: dict[str, tuple[float, list[float]]], file: Path) -> None:
    """Draws losses over tokens read, each the mean of eight steps."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name, (tokens, losses) in curves.items():
        smooth = np.convolve(losses, np.ones(SMOOTH) / SMOOTH, "valid")
        axes.plot((np.arange(len(smooth)) + SMOOTH) * tokens / 1e3, smooth, label=name)
    axes.set(xlabel="thousand tokens read", ylabel="loss of the masked words")
    axes.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main(
    text: Annotated[Path, typer.Argument(help="Folder of text files, each a document.")],
    vocab: Annotated[Path, typer.Option(help="The vocab.txt that all contenders use.")],
    hidden: Annotated[int, typer.Option(help="The hidden size; each head has 64.")] = 256,
    cased: Annotated[bool, typer.Option("--cased")] = False,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the best one counts.")] = 5,
    steps: Annotated[int, typer.Option(help="Training steps of each contender in a round.")] = 12,
    curves: Annotated[Path | None, typer.Option(help="File for a plot of the losses.")] = None,
    records: Annotated[Path | None, typer.Option(hidden=True)] = None,
    only: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Measure and print the table."""
    if only:
        work(only, hidden, Corpus(text, vocab, not cased, records))
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus(text, vocab, not cased, Path(folder, "records"))
        kbs.build_records([text], corpus.tokenizer, corpus.records, form=kbs.CorpusForm(documents="files"))
        shared = [str(text), "--vocab", str(vocab), "--hidden", str(hidden), "--records", str(corpus.records)]
        processes = {name: Process(name, [*shared, *(["--cased"] if cased else [])]) for name in CONTENDERS}
        for process in processes.values():
            process.train(1)
            process.seconds.clear()  # the first step includes compilation
        for _ in range(rounds):
            for process in processes.values():
                process.train(steps)
        for process in processes.values():
            process.end()
    rates = {name: process.results["tokens"] / min(process.seconds) for name, process in processes.items()}
    table = Table("trained by", title=f"{LAYERS} layers, hidden size {hidden}")
    for column in (
        "ms per step",
        "non-padding",
        "real tokens/s",
        "ours is times",
        f"loss after {rounds * steps + 1} steps",
    ):
        table.add_column(column, justify="right")
    for name, process in processes.items():
        non_padding, loss = process.results["tokens"] / (BATCH * LENGTH), np.mean(process.losses[-SMOOTH:])
        cells = [f"{min(process.seconds) * 1e3:,.0f}", f"{non_padding:.1%}", f"{rates[name]:,.0f}"]
        table.add_row(name, *cells, f"{rates[OURS] / rates[name]:.2f}", f"{loss:.3f}")
    console = Console(width=110)
    console.print(table)
    flops, peak = (processes[OURS].results[what] for what in ("flops", "peak"))
    share = flops / min(processes[OURS].seconds) / peak
    console.print(f"our step: {flops / 1e9:.1f} GFLOP of products; peak {peak / 1e9:.0f} GFLOP/s; reached {share:.0%}")
    if curves:
        plot({name: (process.results["tokens"], process.losses) for name, process in processes.items()}, curves)


if __name__ == "__main__":
    typer.run(main)
