import logging
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but
from googles_records import (
    LENGTH,
    NAMES,
    PREDICTIONS,
    as_multiset,
    flip_bit,
    make_windows_small,
    num_records,
    rows_of,
    write_googles,
)

import keras_bert_scratch as kbs
from keras_bert_scratch.data.google.reader import GoogleRecords
from keras_bert_scratch.data.google.schema import encode_examples
from keras_bert_scratch.data.records.tfrecord import framed


@pytest.fixture
def folder(tmp_path, corpus, vocabulary) -> Path:
    """Three files of Google's script, read in small windows; the second will be damaged."""
    write_googles(corpus, vocabulary, [tmp_path / name for name in NAMES], dupe_factor=1)
    return tmp_path


def example(max_length=LENGTH, **changed) -> bytes:
    ids = np.full((1, max_length), 7)
    ids[:, 0] = 2
    nothing = np.zeros((1, PREDICTIONS), int)
    features = {
        "input_ids": ids,
        "input_mask": np.ones_like(ids),
        "segment_ids": np.zeros_like(ids),
        "masked_lm_positions": nothing,
        "masked_lm_ids": nothing,
        "masked_lm_weights": nothing,
        "next_sentence_labels": np.zeros((1, 1), int),
    }
    return framed(next(encode_examples(features | {name: np.array([values]) for name, values in changed.items()})))


def append(record: bytes):
    return lambda file: file.write_bytes(file.read_bytes() + record)


DAMAGE = {
    "truncated": (lambda file: file.write_bytes(file.read_bytes()[:-9]), r"record \d+ is damaged \(the file ends"),
    "bit flip": (flip_bit, r"record \d+ is damaged"),
    "text": (lambda file: file.write_text("Call me Ishmael. Some years ago"), "record 0 is damaged"),
    "length": (append(example(max_length=64)), r"record \d+ has 64 tokens and 8 predictions, but the others have 48"),
    "no example": (append(framed(b"\x07\x01\x02")), r"record \d+ is not a tf\.train\.Example"),
    "other schema": (append(framed(tf.train.Example().SerializeToString())), "lacks input_ids, input_mask"),
    "ragged": (append(example(masked_lm_ids=[1, 2])), "does not match the google schema: a feature"),
    "position": (append(example(masked_lm_positions=[LENGTH] * PREDICTIONS)), "position outside"),
    "label": (append(example(next_sentence_labels=[2])), "label other than 0 and 1"),
}


@pytest.fixture
def whole(folder) -> int:
    """How many examples the undamaged files have."""
    return num_records(folder / NAMES[0], folder / NAMES[2])


@pytest.mark.parametrize(("damage", "named"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named(folder, whole, tokenizer, damage, named):
    damage(folder / NAMES[1])
    with pytest.raises((kbs.UserError, tf.errors.OpError), match=f"{NAMES[1]}: .*{named}"):
        rows_of(GoogleRecords("tf_examples*", tokenizer), 1, batch_size=whole + 1)


@pytest.mark.parametrize("name", slow_but(["truncated", "bit flip", "other schema"], DAMAGE))
def test_skipping_leaves_out_the_damage_alone_and_logs_it(folder, whole, tokenizer, monkeypatch, caplog, name):
    damage = DAMAGE[name][0]
    make_windows_small(monkeypatch)
    before = num_records(folder / NAMES[1])
    undamaged = rows_of(GoogleRecords("tf_examples*", tokenizer), 1, batch_size=whole + before)
    damage(folder / NAMES[1])
    # What is appended is left out; of what is destroyed one record goes, or a file that holds none.
    left = {"truncated": before - 1, "bit flip": before - 1, "text": 0}
    count = whole + left.get(name, before)

    data = GoogleRecords("tf_examples*", tokenizer, on_corrupt="skip")
    with caplog.at_level(logging.WARNING):
        rows = rows_of(data, 2, batch_size=count)
    (message,) = caplog.messages
    assert f"{NAMES[1]}: left out 1 records: record" in message
    assert as_multiset(rows[:count]) == as_multiset(rows[count:])
    assert len(set(as_multiset(rows))) == count
    assert set(as_multiset(rows)) <= set(as_multiset(undamaged))
    later = rows_of(GoogleRecords("tf_examples*", tokenizer, "skip"), 1, batch_size=count // 3, first_step=4)
    np.testing.assert_array_equal(later, rows[count // 3 * 4 :][: count // 3])


@pytest.mark.parametrize(
    "changed",
    [{"input_ids": [2] + [150] * (LENGTH - 1)}, {"masked_lm_ids": [150] * PREDICTIONS}, {"input_ids": [101] * LENGTH}],
    ids=["unknown token", "unknown answer", "other [CLS]"],
)
@pytest.mark.parametrize("on_corrupt", ["fail", "skip"])
def test_another_vocabulary_is_an_error(tokenizer, changed, on_corrupt):
    assert len(tokenizer.vocabulary) == 150
    Path("part-0").write_bytes(3 * example() + example(**changed))
    with pytest.raises((kbs.UserError, tf.errors.OpError), match="part-0: record 3 was made with another vocab"):
        rows_of(GoogleRecords("part-0", tokenizer, on_corrupt), 1)
