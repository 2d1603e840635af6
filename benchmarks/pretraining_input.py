"""Speed of making masked batches of 32 rows of 128 tokens from text, ours, KerasHub's and the Model Garden's.

    pip install 'keras_bert_scratch[parity,test]'
    python benchmarks/pretraining_input.py TEXT --vocab vocab.txt
    python benchmarks/pretraining_input.py TEXT --vocab vocab.txt --profile 200

TEXT is a folder of text files, each a document with one paragraph per line. All contenders take turns in one process,
some seconds each after one second of warm-up; the best of several rounds counts. Ours reads records from disk, draws
pairs and shuffles whole shards. The others hold the text, or its ids, in memory and draw random paragraphs: KerasHub's
one per row; the Model Garden's one with its successor, with the operations of its `pretrain_text_dataloader.py`, on
whole batches and without its next-sentence labels. Rows differ in how full they are: compare the tokens.

With `--profile N` a bert-mini is trained for N steps on our batches and on one batch repeated from memory.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_hub
import tensorflow as tf
import tensorflow_text
import typer
from rich.console import Console
from rich.table import Table

import keras_bert_scratch as kbs

BATCH, LENGTH, PREDICTIONS = 32, 128, 20
MASKED_FRACTION = 0.15
WARM_UP = 1.0  # seconds, in which tf.data also tunes its number of threads
OURS = "keras_bert_scratch, pairs"
RULES = {
    OURS: kbs.ExampleRules(),
    "keras_bert_scratch, pairs, packing": kbs.ExampleRules(packing=True),
    "keras_bert_scratch, pairs, whole words": kbs.ExampleRules(masking=kbs.MaskingRule(unit="words")),
    "keras_bert_scratch, no pairs, packing": kbs.ExampleRules(pairs="none", packing=True),
}
# The first element of a batch is its inputs, a dict that contains a padding mask.
Batch = tuple[Any, ...]


def chosen(num_items: int, make: Callable[[tf.Tensor], Batch]) -> tf.data.Dataset:
    """Returns batches that `make` builds, on all cores, from randomly drawn numbers of items."""
    numbers = tf.data.Dataset.range(num_items).shuffle(num_items).repeat().batch(BATCH, drop_remainder=True)
    return numbers.map(make, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def keras_hub_from_text(paragraphs: tf.Tensor, vocab: Path, lowercase: bool) -> tf.data.Dataset:
    """KerasHub's preprocessor for masked words."""
    tokenizer = keras_hub.models.BertTokenizer(vocabulary=str(vocab), lowercase=lowercase)
    preprocessor = keras_hub.models.BertMaskedLMPreprocessor(
        tokenizer, sequence_length=LENGTH, mask_selection_rate=MASKED_FRACTION, mask_selection_length=PREDICTIONS
    )
    return chosen(len(paragraphs), lambda numbers: preprocessor(tf.gather(paragraphs, numbers)))


def keras_hub_from_ids(paragraphs: tf.RaggedTensor, vocabulary: kbs.Vocabulary) -> tf.data.Dataset:
    """The parts of KerasHub's preprocessor that follow the tokenizer."""
    packer = keras_hub.layers.StartEndPacker(
        LENGTH, start_value=vocabulary.cls_id, end_value=vocabulary.sep_id, pad_value=vocabulary.pad_id
    )
    masker = keras_hub.layers.MaskedLMMaskGenerator(
        len(vocabulary),
        mask_selection_rate=MASKED_FRACTION,
        mask_token_id=vocabulary.mask_id,
        mask_selection_length=PREDICTIONS,
        unselectable_token_ids=[vocabulary.cls_id, vocabulary.sep_id, vocabulary.pad_id],
    )

    def make(numbers: tf.Tensor) -> Batch:
        token_ids = packer(tf.gather(paragraphs, numbers))
        masked = masker(token_ids)
        inputs = {
            "token_ids": masked["token_ids"],
            "segment_ids": tf.zeros_like(token_ids),
            "padding_mask": token_ids != vocabulary.pad_id,
            "mask_positions": masked["mask_positions"],
        }
        return inputs, masked["mask_ids"], masked["mask_weights"]

    return chosen(paragraphs.nrows(), make)


def model_garden(paragraphs: tf.RaggedTensor, vocabulary: kbs.Vocabulary) -> tf.data.Dataset:
    """The operations that the Model Garden's loader runs after the tokenizer."""
    trimmer = tensorflow_text.WaterfallTrimmer(LENGTH - 3)
    selector = tensorflow_text.RandomItemSelector(
        PREDICTIONS, selection_rate=MASKED_FRACTION, unselectable_ids=[vocabulary.cls_id, vocabulary.sep_id]
    )
    chooser = tensorflow_text.MaskValuesChooser(len(vocabulary), vocabulary.mask_id)

    def make(numbers: tf.Tensor) -> Batch:
        segments = trimmer.trim([tf.gather(paragraphs, numbers), tf.gather(paragraphs, numbers + 1)])
        rows, segment_ids = tensorflow_text.combine_segments(segments, vocabulary.cls_id, vocabulary.sep_id)
        token_ids, positions, ids = tensorflow_text.mask_language_model(rows, selector, chooser)
        token_ids, padding_mask = tensorflow_text.pad_model_inputs(token_ids, LENGTH)
        mask_ids, mask_weights = tensorflow_text.pad_model_inputs(ids, PREDICTIONS)
        inputs = {
            "token_ids": token_ids,
            "segment_ids": tensorflow_text.pad_model_inputs(segment_ids, LENGTH)[0],
            "padding_mask": padding_mask,
            "mask_positions": tensorflow_text.pad_model_inputs(positions, PREDICTIONS)[0],
        }
        return inputs, mask_ids, tf.cast(mask_weights, tf.float32)

    return chosen(paragraphs.nrows() - 1, make)


class Speed(NamedTuple):
    """Rows and tokens read per second."""

    rows: float
    tokens: float


def read(batches: tf.data.Dataset, seconds: float) -> Speed:
    """Reads batches for `seconds`, after the warm-up."""
    iterator = iter(batches)
    for _ in _until(WARM_UP):
        next(iterator)
    rows = tokens = 0
    start = time.perf_counter()
    for _ in _until(seconds):
        padding_mask = next(iterator)[0]["padding_mask"].numpy()
        rows += len(padding_mask)
        tokens += int(padding_mask.sum())
    elapsed = time.perf_counter() - start
    return Speed(rows / elapsed, tokens / elapsed)


def _until(seconds: float) -> Iterator[None]:
    """Yields until the time is over."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield


def compare(contenders: dict[str, tf.data.Dataset], rounds: int, seconds: float) -> Table:
    """Returns the table of speeds."""
    best = dict.fromkeys(contenders, Speed(0.0, 0.0))
    for _ in range(rounds):
        for name, batches in contenders.items():
            best[name] = max(best[name], read(batches, seconds))
    table = Table("batches by")
    for column in ("rows/s", "times ours", "non-padding", "tokens/s", "times ours"):
        table.add_column(column, justify="right")
    ours = best[OURS]
    for name, speed in best.items():
        rows = (f"{speed.rows:,.0f}", f"{speed.rows / ours.rows:.2f}")
        non_padding = f"{speed.tokens / speed.rows / LENGTH:.1%}"
        table.add_row(name, *rows, non_padding, f"{speed.tokens:,.0f}", f"{speed.tokens / ours.tokens:.2f}")
    return table


class StepTimes(keras.callbacks.Callback):
    """Records when each step ended."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.ends.append(time.perf_counter())


def profile(batches: tf.data.Dataset, vocab_size: int, steps: int, rounds: int) -> Table:
    """Returns the table of times per step of a bert-mini: on our batches, and on one batch in memory."""
    model = kbs.BertPretrainer(kbs.BertBackbone(kbs.BertConfig.preset("bert-mini", vocab_size=vocab_size)))
    model.compile(kbs.BertAdamW(1e-4))
    sources = {"our batches": batches, "one batch, repeated from memory": batches.take(1).cache().repeat()}
    fit = dict.fromkeys(sources, float("inf"))
    waited = dict.fromkeys(sources, float("inf"))
    times = StepTimes()
    for turn in range(rounds + 1):  # the first builds the graph
        for name, source in sources.items():
            model.fit(source, steps_per_epoch=steps, verbose=0, callbacks=[times], shuffle=False)
            in_loop = wait(model, source, steps)
            if turn:
                # The first step waits for the first shard, once in a run.
                fit[name] = min(fit[name], (times.ends[-1] - times.ends[0]) / (len(times.ends) - 1))
                waited[name] = min(waited[name], in_loop)
    table = Table("trained on", title=f"bert-mini, {BATCH} rows of {LENGTH} tokens, {steps} steps")
    for column in ("ms per step in fit", "ratio", "ms of waiting for a batch, in a loop"):
        table.add_column(column, justify="right")
    unit = list(fit.values())[-1]
    for name, seconds in fit.items():
        table.add_row(name, f"{seconds * 1e3:.1f}", f"{seconds / unit:.3f}", f"{waited[name] * 1e3:.2f}")
    return table


def wait(model: keras.Model, batches: tf.data.Dataset, steps: int) -> float:
    """Returns the seconds per step, after the first, that a training loop waits for its batch."""
    iterator = iter(batches)
    model.train_on_batch(*next(iterator))
    waited = 0.0
    for _ in range(steps - 1):
        start = time.perf_counter()
        batch = next(iterator)
        waited += time.perf_counter() - start
        model.train_on_batch(*batch)
    return waited / (steps - 1)


def main(
    text: Annotated[Path, typer.Argument(help="Folder of text files, each a document.")],
    vocab: Annotated[Path, typer.Option(help="The vocab.txt that all contenders use.")],
    cased: Annotated[bool, typer.Option("--cased")] = False,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the best one counts.")] = 5,
    seconds: Annotated[float, typer.Option(help="Seconds for which each contender is read in a round.")] = 4.0,
    profile_steps: Annotated[
        int | None, typer.Option("--profile", min=2, help="Measure this number of training steps instead.")
    ] = None,
) -> None:
    """Measure and print the table."""
    tokenizer = kbs.BertTokenizer(vocab, not cased)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, "records")
        kbs.build_records([text], tokenizer, directory, form=kbs.CorpusForm(documents="files"))
        records = kbs.PretrainingRecords(directory)
        if profile_steps:
            batches = records.batches(BATCH, LENGTH)
            table = profile(batches, records.vocab_size, profile_steps, rounds)
        else:
            lines = (line for file in sorted(text.rglob("*.txt")) for line in file.read_text("utf-8").split("\n"))
            paragraphs = tf.constant([line for line in lines if line.strip()])
            token_ids = tokenizer.tokenize(paragraphs)
            contenders = {name: records.batches(BATCH, LENGTH, rules=rules) for name, rules in RULES.items()} | {
                "KerasHub, from text": keras_hub_from_text(paragraphs, vocab, not cased),
                "KerasHub, from ids": keras_hub_from_ids(token_ids, tokenizer.vocabulary),
                "Model Garden's operations, from ids": model_garden(token_ids, tokenizer.vocabulary),
            }
            table = compare(contenders, rounds, seconds)
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
