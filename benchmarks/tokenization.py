"""Speed of tokenizers, ours and others, and the number of lines on which each differs from Google's tokenizer.

    pip install 'keras_bert_scratch[parity,test]'
    python benchmarks/tokenization.py TEXT... --vocab vocab.txt

TEXT are text files or folders of them. All contenders take turns on the same lines, for several rounds in one process;
the best round of each counts (Google's `FullTokenizer`, from the package bert-tensorflow, runs once: it is slow).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import keras_nlp
import tensorflow as tf
import tensorflow_text
import tokenizers
import typer
from absl import flags
from bert import tokenization as google
from rich.console import Console
from rich.table import Table

import keras_bert_scratch as kbs

flags.FLAGS.mark_as_parsed()  # Google's module reads a flag
OURS, RUST, GOOGLE = "keras_bert_scratch", "Hugging Face tokenizers", "Google FullTokenizer"
IN_PYTHON = (RUST, GOOGLE)
PASSES = 8  # of a dataset over the lines per round: creating its iterator takes a tenth of a second, for any length
Lines = list[str]
# A function that does the timed work of a round, and one that returns the ids of all lines.
Contender = tuple[Callable[[], None], Callable[[], list[list[int]]]]


def in_dataset(tokenize: Callable[[tf.Tensor], tf.RaggedTensor], batches: tf.data.Dataset) -> Contender:
    """A TensorFlow tokenizer, used as in a training pipeline."""
    ids = batches.map(
        lambda texts: tokenize(texts).with_row_splits_dtype(tf.int64), num_parallel_calls=tf.data.AUTOTUNE
    )

    def run() -> None:
        for _ in ids.repeat(PASSES):
            pass

    return run, lambda: [row for batch in ids for row in batch.to_list()]


def in_python(tokenize: Callable[[], list[list[int]]]) -> Contender:
    """A tokenizer that is called with all lines at once."""
    return lambda: tokenize() and None, tokenize


def contenders(lines: Lines, vocab: Path, lowercase: bool, batch: int) -> dict[str, Contender]:
    """Returns all contenders by name, Google's last."""
    batches = tf.data.Dataset.from_tensor_slices(lines).batch(batch).cache()
    ours = kbs.BertTokenizer(vocab, lowercase)
    tokens = list(ours.vocabulary.tokens)
    fast = tensorflow_text.FastBertTokenizer(tokens, token_out_type=tf.int32, lower_case_nfd_strip_accents=lowercase)
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.KeyValueTensorInitializer(tokens, tf.range(len(tokens), dtype=tf.int64)), num_oov_buckets=1
    )
    plain = tensorflow_text.BertTokenizer(table, token_out_type=tf.int64, lower_case=lowercase)
    hub = keras_nlp.tokenizers.BertTokenizer(vocabulary=tokens, lowercase=lowercase)
    rust = tokenizers.BertWordPieceTokenizer(str(vocab), lowercase=lowercase)
    full = google.FullTokenizer(str(vocab), do_lower_case=lowercase)
    return {
        OURS: in_dataset(ours.tokenize, batches),
        "tf-text FastBertTokenizer": in_dataset(fast.tokenize, batches),
        "tf-text BertTokenizer": in_dataset(lambda texts: plain.tokenize(texts).merge_dims(1, 2), batches),
        "KerasHub BertTokenizer": in_dataset(hub, batches),
        RUST: in_python(lambda: [e.ids for e in rust.encode_batch(lines, add_special_tokens=False)]),
        GOOGLE: in_python(lambda: [full.convert_tokens_to_ids(full.tokenize(line)) for line in lines]),
    }


def main(
    text: Annotated[list[Path], typer.Argument(help="Text files, or folders of text files.")],
    vocab: Annotated[Path, typer.Option(help="The vocab.txt that all contenders use.")],
    cased: Annotated[bool, typer.Option("--cased")] = False,
    megabytes: Annotated[float, typer.Option(help="Megabytes of text to read.")] = 12.0,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the best one counts.")] = 5,
    batch: Annotated[int, typer.Option(help="Lines per tf.data batch.")] = 1024,
) -> None:
    """Measure and print the table."""
    files = [file for path in text for file in (sorted(path.rglob("*.*")) if path.is_dir() else [path])]
    lines: list[str] = []
    size = 0
    for file in files:
        for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
            if line.strip() and size < megabytes * 1e6:
                lines.append(line)
                size += len(line.encode())
    entrants = contenders(lines, vocab, not cased, batch)
    found = {name: ids() for name, (_, ids) in entrants.items()}  # warms up, too
    best = dict.fromkeys(entrants, float("inf"))
    for turn in range(rounds):
        for name, (run, _) in entrants.items():
            if turn and name == GOOGLE:
                continue
            start = time.perf_counter()
            run()
            passes = 1 if name in IN_PYTHON else PASSES
            best[name] = min(best[name], (time.perf_counter() - start) / passes)
    table = Table(
        "tokenizer",
        "MB/s",
        "times ours",
        "lines that differ from Google's",
        title=f"{size / 1e6:.1f} MB, {len(lines):,} lines",
    )
    for name, seconds in best.items():
        differing = sum(a != b for a, b in zip(found[name], found[GOOGLE], strict=True))
        table.add_row(name, f"{size / 1e6 / seconds:.2f}", f"{best[OURS] / seconds:.2f}", f"{differing:,}")
    Console(width=110).print(table)


if __name__ == "__main__":
    typer.run(main)
