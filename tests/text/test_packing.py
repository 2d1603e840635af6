import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_bert_scratch as kbs
from keras_bert_scratch.text.packing import pack_segments, packed_lengths, trimmed_lengths
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS

VOCABULARY = kbs.Vocabulary((*SPECIAL_TOKENS, *"abcdefghijklm"))


def trimmed_one_by_one(a: int, b: int, max_tokens: int) -> tuple[int, int]:
    while a + b > max_tokens:
        a, b = (a - 1, b) if a > b else (a, b - 1)
    return a, b


@given(st.integers(0, 20), st.integers(0, 20), st.integers(2, 24))
@settings(max_examples=200, deadline=None)
def test_trimming_is_as_if_one_by_one(a, b, max_tokens):
    lengths = trimmed_lengths(tf.constant([a]), tf.constant([b]), max_tokens)
    assert tuple(int(length[0]) for length in lengths) == trimmed_one_by_one(a, b, max_tokens)


def packed_by_hand(a, b, length):
    cls, sep, pad = VOCABULARY.cls_id, VOCABULARY.sep_id, VOCABULARY.pad_id
    if b is None:
        tokens, segments = [cls, *a[: length - 2], sep], None
        segments = [0] * len(tokens)
    else:
        keep_a, keep_b = trimmed_one_by_one(len(a), len(b), length - 3)
        first, second = [cls, *a[:keep_a], sep], [*b[:keep_b], sep]
        tokens, segments = first + second, [0] * len(first) + [1] * len(second)
    rest = length - len(tokens)
    return tokens + [pad] * rest, segments + [0] * rest, [1] * len(tokens) + [0] * rest


rows = st.lists(st.lists(st.integers(5, 17), max_size=12), min_size=1, max_size=5)


@given(rows, st.booleans(), st.integers(5, 20))
@settings(max_examples=150, deadline=None)
def test_packing(a, with_b, length):
    b = [[6] * (index * 3) for index in range(len(a))] if with_b else None
    ragged = [None if rows is None else tf.ragged.constant(rows, dtype=tf.int32, ragged_rank=1) for rows in (a, b)]
    packed = pack_segments(*ragged, length, VOCABULARY)
    for row, tokens in enumerate(a):
        expected = packed_by_hand(tokens, b[row] if with_b else None, length)
        for name, values in zip(("token_ids", "segment_ids", "padding_mask"), expected, strict=True):
            assert packed[name][row].numpy().tolist() == values, name
        assert min(int(packed_lengths(*ragged)[row]), length) == sum(values)


@pytest.mark.parametrize("b", [None, [[6] * 9, [], [7]]], ids=["single", "pairs"])
def test_a_graph_may_decide_the_length_when_it_runs(b):
    segments = [None if rows is None else tf.ragged.constant(rows, tf.int32) for rows in ([[5] * 9, [6], []], b)]

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
    def packed(length):
        rows = pack_segments(*segments, length, VOCABULARY)
        assert all(values.shape.as_list() == [3, None] for values in rows.values())
        return rows

    for length in (5, 8, 24):
        for name, expected in pack_segments(*segments, length, VOCABULARY).items():
            assert packed(tf.constant(length))[name].numpy().tolist() == expected.numpy().tolist(), name
