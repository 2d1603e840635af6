"""The rules of pretraining data, by count; by chance a bound is missed once in a million seeds, and seeds are fixed."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.data.masking import mask_tokens
from keras_bert_scratch.data.sentence_pairs import IS_NEXT, IS_RANDOM, SentencePairs

DEVIATIONS = 5


def near(count: int, of: int, share: float) -> bool:
    """Whether `count` of `of` throws is within five standard deviations of `share`."""
    return abs(count - of * share) < DEVIATIONS * np.sqrt(of * share * (1 - share)) + 1


# --- masking


@pytest.fixture(scope="module")
def many_rows(vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """4,000 rows of 40 with up to 38 ordinary tokens, `[CLS]` first, a `[SEP]` in the middle and one at the end."""
    chance = np.random.default_rng(0)
    ids = chance.integers(5, len(vocabulary), (4000, 40)).astype("int32")
    sizes = chance.integers(3, 41, 4000)
    ids[:, 0] = vocabulary.cls_id
    ids[np.arange(4000), sizes - 1] = vocabulary.sep_id
    ids[np.arange(4000), sizes // 2] = vocabulary.sep_id
    mask = (np.arange(40)[None] < sizes[:, None]).astype("int32")
    return np.where(mask, ids, vocabulary.pad_id), mask


def masked(rows, vocabulary, max_predictions=20, seed=(0, 0)):
    ids, mask = rows
    result = mask_tokens(tf.constant(ids), tf.constant(mask), vocabulary, max_predictions, tf.constant(seed))
    return {name: value.numpy() for name, value in result.items()}


def test_fifteen_percent_are_chosen(many_rows, vocabulary):
    ids, mask = many_rows
    result = masked(many_rows, vocabulary)
    maskable = ((ids != vocabulary.cls_id) & (ids != vocabulary.sep_id) & (mask == 1)).sum(1)
    expected = np.minimum([max(1, round(0.15 * size)) for size in mask.sum(1).tolist()], maskable)  # Google's line
    np.testing.assert_array_equal(result["mask_weights"].sum(1), expected)


def test_positions_tell_what_stood_there_and_the_rest_is_untouched(many_rows, vocabulary):
    ids, mask = many_rows
    result = masked(many_rows, vocabulary)
    counts = result["mask_weights"] == 1
    for row in range(200):
        positions = result["mask_positions"][row][counts[row]]
        assert len(set(positions)) == len(positions)
        assert list(positions) == sorted(positions)
        np.testing.assert_array_equal(result["mask_ids"][row][counts[row]], ids[row, positions])
        assert mask[row, positions].all()
        assert not np.isin(ids[row, positions], [vocabulary.cls_id, vocabulary.sep_id]).any()
        others = np.setdiff1d(np.arange(40), positions)
        np.testing.assert_array_equal(result["token_ids"][row, others], ids[row, others])


def test_eighty_ten_ten(many_rows, vocabulary):
    ids, _ = many_rows
    result = masked(many_rows, vocabulary)
    counts = result["mask_weights"] == 1
    rows = np.repeat(np.arange(len(ids)), counts.sum(1))
    positions = result["mask_positions"][counts]
    saw, stood = result["token_ids"][rows, positions], ids[rows, positions]
    chosen, words = len(stood), len(vocabulary)
    # A random token is by chance the same one, or [MASK] itself, once in `words`.
    assert near((saw == vocabulary.mask_id).sum(), chosen, 0.8 + 0.1 / words)
    assert near((saw == stood).sum(), chosen, 0.1 + 0.1 / words)
    replaced = saw[(saw != stood) & (saw != vocabulary.mask_id)]
    # Every token of the vocabulary comes up as a replacement, none far more often than its share.
    often = np.bincount(replaced, minlength=words)
    assert often.max() < len(replaced) / words + 6 * np.sqrt(len(replaced) / words) + 2


def test_every_place_is_equally_likely(vocabulary):
    ids = np.full((20000, 12), 7, "int32")
    ids[:, 0], ids[:, -1] = vocabulary.cls_id, vocabulary.sep_id
    result = masked((ids, np.ones_like(ids)), vocabulary)
    often = np.bincount(result["mask_positions"][result["mask_weights"] == 1], minlength=12)
    assert often[0] == often[-1] == 0
    assert all(near(count, 20000, 2 / 10) for count in often[1:-1])


def test_no_more_predictions_than_there_is_room_for(many_rows, vocabulary):
    assert masked(many_rows, vocabulary, max_predictions=3)["mask_weights"].sum(1).max() == 3


def test_masks_depend_on_the_seed_alone(many_rows, vocabulary):
    first, again, other = (masked(many_rows, vocabulary, seed=seed) for seed in ((0, 1), (0, 1), (0, 2)))
    np.testing.assert_array_equal(first["token_ids"], again["token_ids"])
    assert not np.array_equal(first["token_ids"], other["token_ids"])


def test_masks_are_the_same_in_a_dataset(many_rows, vocabulary):
    eager = masked(many_rows, vocabulary)
    ids, mask = many_rows
    inside = (
        tf.data.Dataset.from_tensors((ids, mask))
        .map(lambda ids, mask: mask_tokens(ids, mask, vocabulary, 20, tf.constant((0, 0))))
        .get_single_element()
    )
    for name, value in inside.items():
        np.testing.assert_array_equal(value, eager[name])


# --- sentence pairs


@pytest.fixture(scope="module")
def shard() -> list[np.ndarray]:
    """300 documents of 1 to 30 sentences of 1 to 40 tokens: where the sentences end."""
    chance = np.random.default_rng(0)
    ends, start = [], 0
    for _ in range(300):
        ends.append(start + np.concatenate([[0], np.cumsum(chance.integers(1, 41, chance.integers(1, 31)))]))
        start = ends[-1][-1]
    return ends


def plan(shard, max_length=64, short_seq_prob=0.1, seeds=5):
    return np.concatenate([SentencePairs(shard, max_length, short_seq_prob, str(seed)).plan() for seed in range(seeds)])


def document_of(shard, positions):
    return np.searchsorted([ends[-1] for ends in shard], positions, side="right")


def test_a_true_next_segment_follows_and_a_random_one_is_of_another_document(shard):
    pairs = plan(shard)
    a, b = document_of(shard, pairs[:, 0]), document_of(shard, pairs[:, 2])
    is_next = pairs[:, 4] == IS_NEXT
    np.testing.assert_array_equal(a[is_next], b[is_next])
    assert (pairs[is_next, 0] < pairs[is_next, 2]).all()
    assert (a[~is_next] != b[~is_next]).all()
    np.testing.assert_array_equal(document_of(shard, pairs[:, 1] - 1), a)  # no segment crosses a document's end
    np.testing.assert_array_equal(document_of(shard, pairs[:, 3] - 1), b)


def test_both_segments_are_there_and_fit(shard):
    pairs = plan(shard)
    lengths = pairs[:, [1, 3]] - pairs[:, [0, 2]]
    assert lengths.min() >= 1
    assert lengths.sum(1).max() == 64 - 3


def test_half_of_the_pairs_are_random_where_there_is_a_choice(shard):
    # Without short targets, chunks of one sentence, which must take a random next, come only at a document's end.
    long_documents = [np.arange(0, 4001, 10) for _ in range(50)]
    long_documents = [ends + 4000 * index for index, ends in enumerate(long_documents)]
    pairs = plan(long_documents, short_seq_prob=0.0)
    forced = 5 * 50
    random = (pairs[:, 4] == IS_RANDOM).sum()
    assert abs(random - len(pairs) / 2) < DEVIATIONS * np.sqrt(len(pairs)) / 2 + forced


def test_one_in_ten_is_short(shard):
    uniform = [np.arange(0, 20001) + 20000 * index for index in range(2)]  # sentences of one token
    pairs = plan(uniform, max_length=103)
    lengths = (pairs[:, 1] - pairs[:, 0]) + (pairs[:, 3] - pairs[:, 2])
    # A short target is uniform on 2..100, so one in 99 of the short ones is as long as the rest.
    assert near((lengths < 100).sum(), len(lengths), 0.1 * 98 / 99)


def test_pairs_use_the_whole_text(shard):
    """Without trimming, every token of every document is in an A or a true B."""
    pairs = plan(shard, max_length=4000, seeds=1)
    used = np.zeros(shard[-1][-1], bool)
    for start_a, end_a, start_b, end_b, label in pairs:
        used[start_a:end_a] = True
        if label == IS_NEXT:
            used[start_b:end_b] = True
    assert used.all()


def test_the_longer_segment_is_trimmed_at_both_sides():
    shard = [np.array([0, 500]), np.array([500, 505])]
    pairs = plan(shard, max_length=64, short_seq_prob=0.0, seeds=200)
    long_a = pairs[pairs[:, 0] < 490]
    fronts = long_a[:, 0]
    assert (long_a[:, 1] - long_a[:, 0] == 61 - 5).all()
    # 444 tokens go, each from the front or the back by the throw of a coin.
    assert abs(fronts.mean() - 222) < DEVIATIONS * np.sqrt(444 / 4 / len(fronts))
    assert fronts.std() > 5


# --- batches


def some(dataset: tf.data.Dataset, number: int) -> list:
    return list(dataset.take(number).as_numpy_iterator())


def test_a_batch_is_what_the_model_takes(records, vocabulary):
    inputs, labels, counts = some(kbs.PretrainingRecords(records).batches(4, 32), 1)[0]
    assert {name: value.shape for name, value in inputs.items()} == {
        "token_ids": (4, 32),
        "segment_ids": (4, 32),
        "padding_mask": (4, 32),
        "mask_positions": (4, 5),
    }
    assert all(value.dtype == np.int32 for value in inputs.values())
    assert labels["masked_lm"].shape == counts["masked_lm"].shape == (4, 5)
    assert labels["next_sentence"].shape == counts["next_sentence"].shape == (4,)
    assert (inputs["token_ids"][:, 0] == vocabulary.cls_id).all()
    seps = ((inputs["token_ids"] == vocabulary.sep_id) & (inputs["padding_mask"] == 1)).sum(1)
    assert (seps >= 2).all()  # a random replacement may be one more


def test_masked_words_fit_their_sentences(records, documents, tokenizer):
    """With the masked words put back, a row's segments are stretches of the documents, B the next one if it says so."""
    text = [
        " ".join(tokenizer.detokenize(tokenizer.tokenize(document)).numpy()[i].decode() for i in range(len(document)))
        for document in documents
    ]
    # Rows that hold any document whole: nothing is trimmed between A and B.
    for inputs, labels, counts in some(kbs.PretrainingRecords(records).batches(8, 192), 12):
        for row in range(8):
            ids = inputs["token_ids"][row].copy()
            there = counts["masked_lm"][row] == 1
            ids[inputs["mask_positions"][row][there]] = labels["masked_lm"][row][there]
            size, size_b = inputs["padding_mask"][row].sum(), inputs["segment_ids"][row].sum()
            a, b = ids[1 : size - size_b - 1], ids[size - size_b : size - 1]
            a, b = (tokenizer.detokenize([part.tolist()]).numpy()[0].decode().lstrip("#") for part in (a, b))
            homes_a = [index for index, document in enumerate(text) if a in document]
            homes_b = [index for index, document in enumerate(text) if b in document]
            assert homes_a
            assert homes_b
            if labels["next_sentence"][row] == IS_NEXT:
                assert any(f"{a} {b}" in document for document in text)


def test_batches_are_a_function_of_records_seed_and_step(records):
    data = kbs.PretrainingRecords(records)
    straight = some(data.batches(4, 32, seed=3), 60)  # several epochs
    for first_step in (1, 7, 40):
        resumed = some(data.batches(4, 32, seed=3, first_step=first_step), 60 - first_step)
        for before, after in zip(straight[first_step:], resumed, strict=True):
            tf.nest.map_structure(np.testing.assert_array_equal, before, after)
    other = some(data.batches(4, 32, seed=4), 1)[0]
    assert not np.array_equal(other[0]["token_ids"], straight[0][0]["token_ids"])


def test_every_epoch_masks_and_pairs_anew(records):
    rows = [
        row.tobytes()
        for inputs, _, _ in some(kbs.PretrainingRecords(records).batches(8, 64), 60)
        for row in inputs["token_ids"]
    ]
    assert len(set(rows)) == len(rows)


def test_an_epoch_uses_every_document(documents, tokenizer):
    kbs.build_records(documents, tokenizer, "records", num_shards=3)
    pairs = kbs.PretrainingRecords("records")
    seen = 0
    for ids, plan in itertools.islice(pairs._shards(64, seed=0), 3):
        used = np.zeros(len(ids), bool)
        for start, end in plan[:, :2]:
            used[start:end] = True
        seen += len(ids)
        assert used.mean() > 0.4
    assert seen == pairs.manifest.total("tokens")


# --- bad input


def test_another_vocabulary_is_refused(records):
    other = kbs.BertTokenizer(kbs.Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "zebra")))
    with pytest.raises(kbs.UserError, match=r"another vocabulary .*sha256"):
        kbs.PretrainingRecords(records, other)


def test_an_exchanged_vocabulary_is_refused(documents, tokenizer):
    kbs.build_records(documents, tokenizer, "records", num_shards=2)
    lines = Path("records/vocab.txt").read_text().splitlines()
    Path("records/vocab.txt").write_text("\n".join([*lines[:-2], lines[-1], lines[-2]]) + "\n")
    with pytest.raises(kbs.UserError, match="another vocabulary"):
        kbs.PretrainingRecords("records")


def test_a_single_document_is_refused(documents, tokenizer):
    kbs.build_records(documents[:1], tokenizer, "records")
    with pytest.raises(kbs.UserError, match=r"single document.*--documents files"):
        kbs.PretrainingRecords("records")


def test_too_short_a_row_is_refused(records):
    with pytest.raises(kbs.UserError, match="max_length: must be at least 8"):
        kbs.PretrainingRecords(records).batches(2, 7)


def test_a_flipped_bit_is_named(documents, tokenizer):
    kbs.build_records(documents, tokenizer, "records", num_shards=1)
    shard = next(Path("records").glob("*.tfrecord"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    data = kbs.PretrainingRecords("records")
    with pytest.raises(kbs.UserError, match=r"tfrecord: damaged after record \d+"):
        next(data._shards(32, seed=0))
