from pathlib import Path

import numpy as np
import pytest

import keras_bert_scratch as kbs

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
def numbered(documents, vocabulary):
    """Texts that can be told apart by their ids."""
    texts = [documents[number][0] for number in range(10)]
    return kbs.LabelledText(texts, [number % 2 for number in range(10)], ["even", "odd"])


def test_an_epoch_shows_every_text_once(numbered, tokenizer):
    rows = []
    for inputs, labels in numbered.training_batches(tokenizer, 4, 32).take(5).as_numpy_iterator():
        rows += [(ids.tobytes(), label) for ids, label in zip(inputs["token_ids"], labels, strict=True)]
    assert len(set(rows[:10])) == len(set(rows[10:])) == 10
    assert rows[:10] != rows[10:]  # in another order
    straight = [
        (ids.tobytes(), label)
        for inputs, labels in numbered.evaluation_batches(tokenizer, 4, 32).as_numpy_iterator()
        for ids, label in zip(inputs["token_ids"], labels, strict=True)
    ]
    assert sorted(straight) == sorted(rows[:10])
    assert [label for _, label in straight] == list(numbered.labels)


def test_training_batches_can_start_anywhere(numbered, tokenizer):
    straight = list(numbered.training_batches(tokenizer, 4, 32).take(6).as_numpy_iterator())
    resumed = list(numbered.training_batches(tokenizer, 4, 32, first_step=3).take(3).as_numpy_iterator())
    for (before, labels_before), (after, labels_after) in zip(straight[3:], resumed, strict=True):
        np.testing.assert_array_equal(before["token_ids"], after["token_ids"])
        np.testing.assert_array_equal(labels_before, labels_after)


def test_pairs_are_packed_as_two_segments(tokenizer, vocabulary):
    data = kbs.LabelledText(["the heron"], [0], ["no", "yes"], ["the otter"])
    inputs, _ = next(data.evaluation_batches(tokenizer, 1, 16).as_numpy_iterator())
    assert (inputs["token_ids"] == vocabulary.sep_id).sum() == 2
    assert inputs["segment_ids"].sum() > 1
