"""Google's own script for pretraining records, from the package bert-tensorflow, as the judge of ours."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import flags
from bert import create_pretraining_data, tokenization

import keras_bert_scratch as kbs
from keras_bert_scratch.data.google import reader as google_reader
from keras_bert_scratch.data.google import windows as google_windows
from keras_bert_scratch.data.google.reader import GoogleRecords

# Its modules ask their program's command line about a detail; there is none here.
flags.FLAGS.mark_as_parsed()

LENGTH, PREDICTIONS = 48, 8
NAMES = [f"tf_examples.tf_record-{number}" for number in range(3)]


def write_googles(
    corpus: Path,
    vocabulary: kbs.Vocabulary,
    files: Sequence[Path],
    dupe_factor: int = 2,
    short_seq_prob: float = 0.1,
) -> None:
    """Examples of the corpus, assigned to the files in turn, as the script's `main` does it."""
    words = files[0].with_name("googles-vocabulary")
    vocabulary.save(words)
    tokenizer = tokenization.FullTokenizer(str(words), do_lower_case=True)
    rng = random.Random(12345)
    examples = create_pretraining_data.create_training_instances(
        [str(corpus)], tokenizer, LENGTH, dupe_factor, short_seq_prob, 0.15, PREDICTIONS, rng
    )
    create_pretraining_data.write_instance_to_example_files(
        examples, tokenizer, LENGTH, PREDICTIONS, list(map(str, files))
    )


def read_as_google(
    files: Sequence[Path], max_length: int = LENGTH, max_predictions: int = PREDICTIONS
) -> dict[str, np.ndarray]:
    """All examples, parsed by the features that `input_fn` of Google's run_pretraining.py names."""
    features = {
        "input_ids": tf.io.FixedLenFeature([max_length], tf.int64),
        "input_mask": tf.io.FixedLenFeature([max_length], tf.int64),
        "segment_ids": tf.io.FixedLenFeature([max_length], tf.int64),
        "masked_lm_positions": tf.io.FixedLenFeature([max_predictions], tf.int64),
        "masked_lm_ids": tf.io.FixedLenFeature([max_predictions], tf.int64),
        "masked_lm_weights": tf.io.FixedLenFeature([max_predictions], tf.float32),
        "next_sentence_labels": tf.io.FixedLenFeature([1], tf.int64),
    }
    records = list(tf.data.TFRecordDataset(list(map(str, files))).as_numpy_iterator())
    return {name: values.numpy() for name, values in tf.io.parse_example(records, features).items()}


def num_records(*files: Path) -> int:
    """As TensorFlow counts them."""
    return sum(1 for _ in tf.data.TFRecordDataset(list(map(str, files))))


def rows_of(data: GoogleRecords, count: int, batch_size: int = 4, **arguments) -> np.ndarray:
    """The first `count` batches as one table, with everything of an example in its row."""
    batches = data.batches(batch_size, **arguments).take(count).as_numpy_iterator()
    return np.concatenate(
        [np.concatenate([part.reshape(len(part), -1) for part in tf.nest.flatten(batch)], axis=1) for batch in batches]
    )


def as_multiset(rows: np.ndarray) -> list[bytes]:
    """The rows without their order."""
    return sorted(row.tobytes() for row in rows)


def flip_bit(file: Path) -> None:
    """In the middle of the file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def make_windows_small(monkeypatch) -> None:
    """Windows of 16 examples, so that a file has several."""
    monkeypatch.setattr(google_windows, "PARSED_AT_ONCE", 4)
    monkeypatch.setattr(google_windows, "PARTS", 4)
    monkeypatch.setattr(google_windows, "WINDOW", 16)
    monkeypatch.setattr(google_reader, "WINDOW", 16)
