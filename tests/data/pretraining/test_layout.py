import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.data.pretraining.layout import lay_out_rows
from keras_bert_scratch.data.pretraining.sentence_pairs import IN_ORDER, NOT_IN_ORDER
from keras_bert_scratch.text.packing import pack_segments
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS

PER_ROW = [np.array([1, 1, 1]), np.array([2, 0, 1]), np.array([3])]


def row(examples, ids, vocabulary) -> tuple[list[int], list[int], list[int], list[int]]:
    """The same, token by token."""
    tokens, segments, numbers, starts = [], [], [], []
    for number, (start_a, end_a, start_b, end_b, _) in enumerate(examples, 1):
        starts.append(len(tokens))
        a = [vocabulary.cls_id, *ids[start_a:end_a], vocabulary.sep_id]
        b = [*ids[start_b:end_b], vocabulary.sep_id] if end_b else []
        tokens += [*a, *b]
        segments += [0] * len(a) + [1] * len(b)
        numbers += [number] * (len(a) + len(b))
    return tokens, segments, numbers, starts


@pytest.mark.parametrize("sizes", PER_ROW, ids=str)
@pytest.mark.parametrize("with_b", [True, False])
def test_rows_are_laid_out_example_by_example(vocabulary, sizes, with_b):
    ids = np.random.default_rng(0).integers(5, len(vocabulary), 100).astype("<u2")
    examples = np.array([[0, 4, 10, 13, 1], [20, 21, 30, 37, 0], [50, 58, 99, 100, 1]])
    if not with_b:
        examples[:, 2:] = 0
    splits = np.concatenate([[0], np.cumsum(sizes)])
    rows = lay_out_rows(ids, examples, splits, 48, 4, vocabulary)
    for number, size in enumerate(sizes):
        mine = examples[splits[number] : splits[number + 1]]
        tokens, segments, numbers, starts = row(mine, ids, vocabulary)
        padding = [0] * (48 - len(tokens))
        assert rows["token_ids"][number].tolist() == tokens + [vocabulary.pad_id] * len(padding)
        assert rows["segment_ids"][number].tolist() == segments + padding
        assert rows["example_ids"][number].tolist() == numbers + padding
        assert rows["padding_mask"][number].tolist() == [1] * len(tokens) + padding
        assert rows["example_starts"][number].tolist() == starts + [0] * (4 - size)
        assert rows["labels"][number].tolist() == mine[:, 4].tolist() + [0] * (4 - size)
        assert rows["label_weights"][number].tolist() == [1.0] * size + [0.0] * (4 - size)
    assert {array.dtype.name for array in rows.values()} == {"int32", "float32"}


@pytest.mark.parametrize(
    ("a", "b", "label"),
    [
        ("the man went to [MASK] store", "he bought a gallon [MASK] milk", IN_ORDER),
        ("the man [MASK] to the store", "penguin [MASK] are flight ##less birds", NOT_IN_ORDER),
    ],
)
def test_the_papers_pairs(a, b, label):
    """The two inputs of Devlin et al. 2019, appendix A.1."""
    a, b = a.split(), b.split()
    vocabulary = kbs.Vocabulary((*SPECIAL_TOKENS, *sorted({*a, *b} - {"[MASK]"})))
    ids = np.array([vocabulary.id(token) for token in a + b])
    rows = lay_out_rows(ids, np.array([[0, 6, 6, 12, label]]), np.array([0, 1]), 15, 1, vocabulary)
    tokens = [vocabulary.tokens[number] for number in rows["token_ids"][0]]
    assert tokens == ["[CLS]", *a, "[SEP]", *b, "[SEP]"]
    assert rows["segment_ids"][0].tolist() == [0] * 8 + [1] * 7
    assert rows["labels"].tolist() == [[label]]


def test_one_example_a_row_is_what_fine_tuning_sees(vocabulary):
    """The same rows as `pack_segments` makes of the segments' ids."""
    ids = np.random.default_rng(0).integers(5, len(vocabulary), 100).astype("<u2")
    examples = np.array([[0, 4, 10, 13, 1], [20, 21, 30, 37, 0]])
    rows = lay_out_rows(ids, examples, np.arange(3), 16, 1, vocabulary)
    a, b = (
        tf.ragged.constant([ids[start:end].tolist() for start, end in examples[:, columns]])
        for columns in (slice(0, 2), slice(2, 4))
    )
    for name, expected in pack_segments(a, b, 16, vocabulary).items():
        np.testing.assert_array_equal(rows[name], expected.numpy())
