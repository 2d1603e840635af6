"""Batches for fine-tuning: every example once per epoch, little padding, and a start at any step."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.data import token_counter
from keras_bert_scratch.text.packing import pack_segments


@pytest.fixture(scope="module")
def words(documents) -> list[str]:
    return " ".join(documents[0] + documents[9]).split()


def data_of(table, tokenizer, max_length) -> kbs.TaskData:
    return kbs.TaskData.read("classification", table, tokenizer, max_length)


@pytest.fixture(scope="module")
def untrimmed(uneven, tokenizer) -> kbs.TaskData:
    return data_of(uneven, tokenizer, 64)


@pytest.fixture(scope="module", params=["texts", "pairs"])
def uneven(request, words):
    """Texts of one to thirty words that can be told apart by their ids."""
    texts = [" ".join(words[:count]) for count in range(1, 31)]
    table = {"text": texts, "label": ["even", "odd"] * 15}
    return (
        {**table, "text_pair": [text[: 3 + 2 * number] for number, text in enumerate(texts)]}
        if request.param == "pairs"
        else table
    )


def rows_of(batches):
    """Each row without its padding, as `(token_ids, segment_ids, label)`."""
    rows = []
    for inputs, labels in batches:
        for ids, segments, mask, label in zip(*inputs.values(), labels, strict=True):
            rows.append((ids[mask == 1].tolist(), segments[mask == 1].tolist(), int(label)))
    return rows


def packed_at_full_length(table, tokenizer, max_length):
    second = tokenizer.tokenize(table["text_pair"]) if "text_pair" in table else None
    inputs = pack_segments(tokenizer.tokenize(table["text"]), second, max_length, tokenizer.vocabulary)
    labels = tf.constant([("even", "odd").index(label) for label in table["label"]])
    return rows_of(tf.data.Dataset.from_tensors((inputs, labels)).as_numpy_iterator())


@pytest.fixture(scope="module", params=slow_but([20], [12, 20, 64]))
def max_length(request) -> int:
    return request.param


@pytest.fixture(scope="module")
def epoch(uneven, max_length, tokenizer) -> tuple[list, list]:
    """The batches of an epoch of training, and of evaluation."""
    data = data_of(uneven, tokenizer, max_length)
    return [
        list(batches.as_numpy_iterator()) for batches in (data.training_batches(4).take(8), data.evaluation_batches(4))
    ]


def test_short_batches_hold_what_full_rows_would(epoch, uneven, max_length, tokenizer):
    expected = packed_at_full_length(uneven, tokenizer, max_length)
    training, evaluation = epoch
    assert sorted(rows_of(evaluation)) == sorted(expected)
    first_epoch = rows_of(training)[:30]
    assert first_epoch != expected
    assert sorted(first_epoch) == sorted(expected)


def test_a_batch_is_as_long_as_its_longest_text_needs(epoch, max_length):
    seen = set()
    for inputs, _ in itertools.chain.from_iterable(epoch):
        length = inputs["token_ids"].shape[1]
        longest = inputs["padding_mask"].sum(axis=1).max()
        assert longest <= length < longest + 2
        assert length % 2 == 0 or length == max_length
        seen.add(length)
    assert len(seen) > 1 or max_length == 12


def test_evaluation_takes_every_example_once_the_shortest_first(untrimmed):
    batches = list(untrimmed.evaluation_batches(4).as_numpy_iterator())
    assert len(batches) == untrimmed.evaluation_batches(4).cardinality() == 8
    lengths = [inputs["padding_mask"].sum(axis=1) for inputs, _ in batches]
    assert np.concatenate(lengths).tolist() == sorted(untrimmed.num_tokens)


def test_the_shape_is_known_but_for_the_length(untrimmed):
    inputs, labels = untrimmed.training_batches(4).element_spec
    assert {name: (tuple(spec.shape), spec.dtype) for name, spec in inputs.items()} == dict.fromkeys(
        ("token_ids", "segment_ids", "padding_mask"), ((4, None), tf.int32)
    )
    assert tuple(labels.shape) == (4,)


def test_training_batches_can_start_anywhere(untrimmed):
    straight = list(untrimmed.training_batches(4).take(60).as_numpy_iterator())
    resumed = list(untrimmed.training_batches(4, first_step=45).take(15).as_numpy_iterator())
    for (before, labels_before), (after, labels_after) in zip(straight[45:], resumed, strict=True):
        np.testing.assert_array_equal(before["token_ids"], after["token_ids"])
        np.testing.assert_array_equal(labels_before, labels_after)


def test_workers_share_each_batch(untrimmed):
    whole, *parts = (
        rows_of(untrimmed.training_batches(4, worker=worker, num_workers=workers).take(8).as_numpy_iterator())
        for worker, workers in ((0, 1), (0, 2), (1, 2))
    )
    together = [row for step in range(8) for part in parts for row in part[2 * step : 2 * step + 2]]
    assert together == whole


def test_workers_share_batches_of_a_token_budget(untrimmed):
    steps = untrimmed.num_batches(2, 120)
    whole, *parts = (
        [
            [row.tolist() for row in inputs["token_ids"]]
            for inputs, _ in untrimmed.training_batches(2, 0, 0, worker, workers, 120).take(steps).as_numpy_iterator()
        ]
        for worker, workers in ((0, 1), (0, 2), (1, 2))
    )
    without_padding = [
        [[[token for token in row if token] for row in batch] for batch in part] for part in (whole, *parts)
    ]
    together = [left + right for left, right in zip(*without_padding[1:], strict=True)]
    assert together == without_padding[0]
    assert len({len(batch) for batch in whole}) > 1


def test_fill_is_that_of_the_first_epochs_batches(uneven, tokenizer):
    data = data_of(uneven, tokenizer, 32)
    batches = data.training_batches(4, seed=3).take(data.steps_per_epoch(4))
    masks = [inputs["padding_mask"].ravel() for inputs, _ in batches.as_numpy_iterator()]
    assert data.non_padding_fraction(4, seed=3) == pytest.approx(np.concatenate(masks).mean())


def test_bucketing_fills_more(untrimmed):
    assert untrimmed.non_padding_fraction(4) > 0.8 > 0.6 > untrimmed.num_tokens.mean() / 64


def test_lengths_are_learned_in_parts(uneven, tokenizer, monkeypatch):
    expected = data_of(uneven, tokenizer, 32).num_tokens.tolist()
    monkeypatch.setattr(token_counter, "ROWS_AT_ONCE", 7)
    assert data_of(uneven, tokenizer, 32).num_tokens.tolist() == expected


def test_held_out_data_have_columns_and_labels_of_the_training_data(uneven, tokenizer):
    data = data_of(uneven, tokenizer, 32)
    odd = {name: list(values[1::2]) for name, values in uneven.items()}  # all of one label
    held_out = kbs.TaskData.read("classification", odd, tokenizer, like=data)
    assert held_out.spec == data.spec
    assert set(held_out.examples.gold["label"].tolist()) == {1}
    with pytest.raises(kbs.UserError, match="text"):
        kbs.TaskData.read("classification", {"label": ["odd"]}, tokenizer, like=data)


def test_pairs_are_packed_as_two_segments(tokenizer, vocabulary):
    table = {"text": ["the heron"] * 2, "text_pair": ["the otter"] * 2, "label": ["no", "yes"]}
    inputs, _ = next(data_of(table, tokenizer, 16).evaluation_batches(1).as_numpy_iterator())
    assert (inputs["token_ids"] == vocabulary.sep_id).sum() == 2
    assert inputs["segment_ids"].sum() > 1


@pytest.mark.parametrize(("batch_size", "num_workers"), [(0, 1), (3, 2)])
def test_a_batch_that_cannot_be_shared_is_refused(uneven, tokenizer, batch_size, num_workers):
    with pytest.raises(kbs.UserError, match="`batch_size`"):
        data_of(uneven, tokenizer, 16).training_batches(batch_size, num_workers=num_workers)
