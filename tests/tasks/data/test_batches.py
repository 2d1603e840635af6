import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.data import labelled_text
from keras_bert_scratch.text.packing import pack_segments

CSV = 'text,label\n"Good, and how",pos\nBad,neg\n"Two\nlines",pos\n'
TSV = 'sentence1\tsentence2\tlabel\nA "quote\tB\t1\nC\tD\t0\n'


def test_tables_are_read():
    Path("t.csv").write_text(CSV)
    data = kbs.LabelledText.read("t.csv")
    assert list(data.texts) == ["Good, and how", "Bad", "Two\nlines"]
    assert (list(data.labels), list(data.label_names), data.pairs) == ([1, 0, 1], ["neg", "pos"], None)
    assert data.majority_share == pytest.approx(2 / 3)
    Path("t.tsv").write_text(TSV)
    pairs = kbs.LabelledText.read("t.tsv")
    assert (list(pairs.texts), list(pairs.pairs), list(pairs.labels)) == (['A "quote', "C"], ["B", "D"], [1, 0])


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, r"t\.csv: no such file"),
        ("", "must name the columns"),
        ("sentiment,review\n1,2\n", "it names sentiment, review"),
        ("text,label\n", "holds no rows"),
        ("text,label\na,1\nb,1\n", "all labels are '1'"),
        ("text,label\na,1\nb\n", "line 3 has fewer columns"),
        ("text,label\na,1\nb,maybe\n", "line 3 has the label 'maybe', which is none of 0, 1"),
        (b"text,label\ncaf\xe9,1\n", "is not UTF-8"),
    ],
    ids=["missing", "empty", "columns", "no rows", "one label", "short row", "unknown label", "not utf-8"],
)
def test_a_wrong_table_is_named(content, named):
    if content is not None:
        Path("t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    label_names = (
        ["0", "1"] if content and b"maybe" in (content if isinstance(content, bytes) else content.encode()) else None
    )
    with pytest.raises(kbs.UserError, match=named):
        kbs.LabelledText.read("t.csv", label_names)


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_outside_the_range_are_named(label):
    with pytest.raises(kbs.UserError, match=rf"row 1 has {label}, but 2 labels are numbered 0 to 1"):
        kbs.LabelledText(["a", "b"], [0, label], ["no", "yes"])


def test_unequal_lengths_are_refused():
    with pytest.raises(kbs.UserError, match="equally many"):
        kbs.LabelledText(["a", "b"], [0], ["no", "yes"])


@pytest.fixture(scope="module")
def uneven(documents):
    """Texts of one to thirty words that can be told apart by their ids."""
    words = " ".join(documents[0] + documents[9]).split()
    texts = [" ".join(words[:count]) for count in range(1, 31)]
    return kbs.LabelledText(texts, [number % 2 for number in range(30)], ["even", "odd"])


@pytest.fixture(scope="module")
def uneven_pairs(uneven):
    return kbs.LabelledText(uneven.texts, uneven.labels, uneven.label_names, uneven.texts[::-1])


def rows_of(batches):
    """Each row without its padding, as `(token_ids, segment_ids, label)`."""
    rows = []
    for inputs, labels in batches.as_numpy_iterator():
        for ids, segments, mask, label in zip(*inputs.values(), labels, strict=True):
            rows.append((ids[mask == 1].tolist(), segments[mask == 1].tolist(), int(label)))
    return rows


def packed_at_full_length(data, tokenizer, max_length):
    second = None if data.pairs is None else tokenizer.tokenize(data.pairs)
    inputs = pack_segments(tokenizer.tokenize(data.texts), second, max_length, tokenizer.vocabulary)
    return rows_of(tf.data.Dataset.from_tensors((inputs, tf.constant(data.labels))))


@pytest.mark.parametrize("max_length", [12, 20, 64], ids=["most trimmed", "no multiple of 8", "none trimmed"])
@pytest.mark.parametrize("which", ["uneven", "uneven_pairs"])
def test_short_batches_hold_what_full_rows_would(which, max_length, tokenizer, request):
    data = request.getfixturevalue(which)
    expected = packed_at_full_length(data, tokenizer, max_length)
    assert rows_of(data.evaluation_batches(tokenizer, 4, max_length)) == expected
    first_epoch = rows_of(data.training_batches(tokenizer, 4, max_length).take(8))[:30]
    assert first_epoch != expected
    assert sorted(first_epoch) == sorted(expected)


@pytest.mark.parametrize("max_length", [12, 20, 64])
def test_a_batch_is_as_long_as_its_longest_text_needs(uneven, tokenizer, max_length):
    seen = set()
    for batches in (uneven.training_batches(tokenizer, 4, max_length), uneven.evaluation_batches(tokenizer, 4, 64)):
        limit = max_length if batches.cardinality() < 0 else 64
        for inputs, _ in batches.take(8).as_numpy_iterator():
            length = inputs["token_ids"].shape[1]
            longest = inputs["padding_mask"].sum(axis=1).max()
            assert longest <= length < longest + 8
            assert length % 8 == 0 or length == limit
            seen.add(length)
    assert len(seen) > 1


def test_the_shape_is_known_but_for_the_length(uneven_pairs, tokenizer):
    inputs, labels = uneven_pairs.training_batches(tokenizer, 4, 64).element_spec
    assert {name: (tuple(spec.shape), spec.dtype) for name, spec in inputs.items()} == dict.fromkeys(
        ("token_ids", "segment_ids", "padding_mask"), ((4, None), tf.int32)
    )
    assert tuple(labels.shape) == (4,)


def test_training_batches_can_start_anywhere(uneven, tokenizer):
    straight = list(uneven.training_batches(tokenizer, 4, 32).take(60).as_numpy_iterator())
    resumed = list(uneven.training_batches(tokenizer, 4, 32, first_step=45).take(15).as_numpy_iterator())
    for (before, labels_before), (after, labels_after) in zip(straight[45:], resumed, strict=True):
        np.testing.assert_array_equal(before["token_ids"], after["token_ids"])
        np.testing.assert_array_equal(labels_before, labels_after)


@pytest.mark.parametrize("which", ["uneven", "uneven_pairs"])
def test_fill_is_that_of_the_first_epochs_batches(which, tokenizer, request):
    data = request.getfixturevalue(which)
    batches = data.training_batches(tokenizer, 4, 32, seed=3).take(data.steps_per_epoch(4))
    masks = [inputs["padding_mask"].ravel() for inputs, _ in batches.as_numpy_iterator()]
    assert data.fill(tokenizer, 4, 32, seed=3) == pytest.approx(np.concatenate(masks).mean())


def test_bucketing_fills_more(uneven, tokenizer):
    mean_tokens = np.mean([len(ids) for ids, _, _ in packed_at_full_length(uneven, tokenizer, 64)])
    assert uneven.fill(tokenizer, 4, 64) > 0.8 > 0.6 > mean_tokens / 64


def test_texts_are_tokenized_once_and_in_parts(uneven_pairs, tokenizer, monkeypatch):
    expected = rows_of(uneven_pairs.evaluation_batches(tokenizer, 4, 32))
    monkeypatch.setattr(labelled_text, "TEXTS_AT_ONCE", 7)
    sizes = []
    tokenize = kbs.BertTokenizer.tokenize

    def counted(self, texts):
        sizes.append(len(texts))
        return tokenize(self, texts)

    monkeypatch.setattr(kbs.BertTokenizer, "tokenize", counted)
    data = dataclasses.replace(uneven_pairs)
    for _ in range(2):
        assert rows_of(data.evaluation_batches(tokenizer, 4, 32)) == expected
        data.fill(tokenizer, 4, 32)
    assert sizes == [7, 7, 7, 7, 2] * 2
    # Another tokenizer makes other ids.
    other = kbs.BertTokenizer(kbs.Vocabulary(tokenizer.vocabulary.tokens[:40]))
    assert rows_of(data.evaluation_batches(other, 4, 32)) != expected


def test_pairs_are_packed_as_two_segments(tokenizer, vocabulary):
    data = kbs.LabelledText(["the heron"], [0], ["no", "yes"], ["the otter"])
    inputs, _ = next(data.evaluation_batches(tokenizer, 1, 16).as_numpy_iterator())
    assert (inputs["token_ids"] == vocabulary.sep_id).sum() == 2
    assert inputs["segment_ids"].sum() > 1
