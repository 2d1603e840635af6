"""Batches as a function of records, seed and step; what the rows hold; what becomes of bad records."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from animal_documents import write_corpus
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_bert_scratch as kbs
from keras_bert_scratch.data.pretraining import reader, row_stream
from keras_bert_scratch.data.pretraining.masking import MaskingRule
from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.data.pretraining.sentence_pairs import IN_ORDER

PACKED = ExampleRules(packing=True)
RULES = {
    "BERT's": ExampleRules(),
    "packed": PACKED,
    "order": ExampleRules("order", masking=MaskingRule(unit="words")),
    "none": ExampleRules("none", packing=True, masking=MaskingRule(0.3, "ngrams")),
    "static": ExampleRules(static_masks=True),
    "left to right": ExampleRules("none", objective="left-to-right", packing=True),
}


def some(dataset: tf.data.Dataset, number: int) -> list:
    return list(dataset.take(number).as_numpy_iterator())


def assert_same(before, after) -> None:
    tf.nest.map_structure(np.testing.assert_array_equal, before, after)


@pytest.mark.parametrize("rules", [ExampleRules(), PACKED], ids=["one example a row", "packed"])
def test_a_batch_is_what_the_model_takes(records, vocabulary, rules):
    inputs, labels, counts = some(kbs.PretrainingRecords(records).batches(4, 32, rules=rules), 1)[0]
    row, pairs = (4, 32), (4, 2) if rules.packing else (4,)
    shapes = {"token_ids": row, "segment_ids": row, "padding_mask": row, "mask_positions": (4, 5)}
    shapes |= {"example_ids": row, "example_starts": (4, 2)} if rules.packing else {}
    assert {name: value.shape for name, value in inputs.items()} == shapes
    assert all(value.dtype == np.int32 for value in inputs.values())
    assert labels["masked_lm"].shape == counts["masked_lm"].shape == (4, 5)
    assert labels["next_sentence"].shape == counts["next_sentence"].shape == pairs
    assert (inputs["token_ids"][:, 0] == vocabulary.cls_id).all()
    seps = ((inputs["token_ids"] == vocabulary.sep_id) & (inputs["padding_mask"] == 1)).sum(1)
    assert (seps >= 2).all()  # a random replacement may be one more


def test_without_pairs_there_is_one_label(records):
    inputs, labels, counts = some(kbs.PretrainingRecords(records).batches(4, 32, rules=RULES["none"]), 1)[0]
    assert labels.shape == counts.shape == inputs["mask_positions"].shape == (4, 10)
    assert not inputs["segment_ids"].any()


def test_left_to_right_every_token_is_followed_by_its_label(records):
    inputs, labels, counts = some(kbs.PretrainingRecords(records).batches(4, 32, rules=RULES["left to right"]), 1)[0]
    assert "mask_positions" not in inputs
    there = counts[:, :-1] == 1
    np.testing.assert_array_equal(labels[:, :-1][there], inputs["token_ids"][:, 1:][there])
    np.testing.assert_array_equal(there, inputs["example_ids"][:, :-1] * (np.diff(inputs["example_ids"]) == 0) > 0)


def unmasked(batch, row: int) -> np.ndarray:
    inputs, labels, counts = batch
    ids = inputs["token_ids"][row].copy()
    there = counts["masked_lm"][row] == 1
    ids[inputs["mask_positions"][row][there]] = labels["masked_lm"][row][there]
    return ids


@pytest.mark.parametrize("rules", [ExampleRules(), PACKED], ids=["one example a row", "packed"])
def test_masked_words_fit_their_sentences(records, documents, tokenizer, rules):
    """With the masked words put back, segments are stretches of the documents, B the next one if it says so."""
    lengths = [len(document) for document in documents]
    sentences = tokenizer.detokenize(tokenizer.tokenize(list(itertools.chain(*documents)))).numpy()
    text = [b" ".join(document).decode() for document in np.split(sentences, np.cumsum(lengths)[:-1])]
    pieces, follows = [], []
    # Rows that hold any document whole: nothing is trimmed between A and B.
    for batch in some(kbs.PretrainingRecords(records).batches(8, 192, rules=rules), 12):
        inputs, labels, _ = batch
        examples = inputs.get("example_ids", inputs["padding_mask"])
        is_next = labels["next_sentence"].reshape(8, -1)
        for row in range(8):
            ids = unmasked(batch, row)
            for number in range(1, examples[row].max() + 1):
                mine = np.flatnonzero(examples[row] == number)
                size, size_b = len(mine), inputs["segment_ids"][row][mine].sum()
                pieces += [ids[mine][1 : size - size_b - 1].tolist(), ids[mine][size - size_b : size - 1].tolist()]
                follows.append(is_next[row, number - 1] == IN_ORDER)
    stretches = [stretch.decode().lstrip("#") for stretch in tokenizer.detokenize(pieces).numpy()]
    for a, b, b_follows in zip(stretches[::2], stretches[1::2], follows, strict=True):
        assert any(a in document for document in text)
        assert any(b in document for document in text)
        if b_follows:
            assert any(f"{a} {b}" in document for document in text)
    assert len(follows) >= 96


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_batches_are_a_function_of_records_seed_and_step(records, rules):
    data = kbs.PretrainingRecords(records)
    straight = some(data.batches(4, 32, seed=3, rules=rules), 40)  # several epochs
    for first_step in (1, 7, 30):
        resumed = some(data.batches(4, 32, seed=3, first_step=first_step, rules=rules), 40 - first_step)
        assert_same(straight[first_step:], resumed)
    other = some(data.batches(4, 32, seed=4, rules=rules), 1)[0]
    assert not np.array_equal(other[0]["token_ids"], straight[0][0]["token_ids"])


@given(
    batch=st.integers(1, 5),
    num_workers=st.integers(1, 4),
    first_step=st.integers(0, 40),
    seed=st.integers(0, 3),
    packing=st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_workers_share_the_batches_of_one(records, batch, num_workers, first_step, seed, packing):
    """From any step on, the workers' rows put together are the rows that one worker alone has."""
    data = kbs.PretrainingRecords(records)
    size = batch * num_workers
    rules = ExampleRules(packing=packing)
    alone = some(data.batches(size, 24, seed, rules=rules).skip(first_step), 3)
    parts_of_workers = [
        some(data.batches(size, 24, seed, first_step, rules, worker, num_workers), 3) for worker in range(num_workers)
    ]
    for whole, *parts in zip(alone, *parts_of_workers, strict=True):
        assert_same(whole, tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts))


def rows_of_epochs(data, epochs: int, rules: ExampleRules) -> list[list[bytes]]:
    """The rows, with their words put back, of each of the first epochs."""
    rows = data.batches(1, 32, rules=rules).as_numpy_iterator()
    sizes = [num_rows(data, 32, rules, epoch % reader.PLANS) for epoch in range(epochs)]
    return [[unmasked(next(rows), 0).tobytes() for _ in range(size)] for size in sizes]


def num_rows(data, max_length: int, rules: ExampleRules, plan: int = 0) -> int:
    return sum(data._plan(shard, max_length, 0, plan, rules).num_rows for shard in range(len(data.manifest.shards)))


@pytest.mark.parametrize("rules", [ExampleRules(), PACKED], ids=["one example a row", "packed"])
def test_an_epoch_has_every_example_once(records, rules, monkeypatch):
    monkeypatch.setattr(reader, "PLANS", 2)
    data = kbs.PretrainingRecords(records)
    first, second, again = rows_of_epochs(data, 3, rules)
    assert sorted(first) == sorted(again)  # the same plan: the same rows, none lost, none doubled
    assert first != again  # in another order
    assert sorted(first) != sorted(second)  # another plan


def test_far_steps_cost_no_more_than_near_ones(records, monkeypatch):
    """However far, each shard is planned once per plan to be counted, and once more where the stream begins."""
    plans = []
    make = reader.ShardPlan.make
    monkeypatch.setattr(row_stream, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(reader.ShardPlan, "make", lambda *args: plans.append(args) or make(*args))
    for first_step in (10**3, 10**6, 10**9):
        plans.clear()
        data = kbs.PretrainingRecords(records)
        some(data.batches(4, 32, first_step=first_step), 1)
        assert len(plans) <= 3 * reader.PLANS + 3


@pytest.mark.parametrize("static", [False, True])
def test_masks_are_new_in_every_epoch_unless_static(records, monkeypatch, static):
    monkeypatch.setattr(reader, "PLANS", 1)
    data = kbs.PretrainingRecords(records)
    rules = ExampleRules(static_masks=static)
    size = num_rows(data, 32, rules)
    rows = [inputs["token_ids"].tobytes() for inputs, _, _ in some(data.batches(1, 32, rules=rules), 2 * size)]
    first, second = rows[:size], rows[size:]
    if static:
        assert sorted(first) == sorted(second)
    else:
        assert len(set(first) & set(second)) < size / 20


@pytest.mark.parametrize("pairs", ["next", "order", "none"])
def test_packed_rows_have_little_padding(corpus, tokenizer, pairs):
    kbs.build_records([corpus], tokenizer, "records", num_shards=1)
    data = kbs.PretrainingRecords("records")
    rules = ExampleRules(pairs, packing=True)
    assert data.non_padding_fraction(64, rules=rules) > max(
        data.non_padding_fraction(64, rules=ExampleRules(pairs)), 0.85
    )
    rows = some(data.batches(1, 64, rules=rules), num_rows(data, 64, rules))
    assert np.mean([inputs["padding_mask"] for inputs, *_ in rows]) == pytest.approx(
        data.non_padding_fraction(64, rules=rules)
    )


# --- bad input


@pytest.fixture
def some_records(corpus, tokenizer) -> Path:
    kbs.build_records([corpus], tokenizer, "records", num_shards=2)
    return Path("records")


def flip_a_bit(shard: Path, at: float = 0.5) -> None:
    content = bytearray(shard.read_bytes())
    content[int(len(content) * at)] ^= 1
    shard.write_bytes(content)


def test_another_vocabulary_is_refused(records):
    other = kbs.BertTokenizer(kbs.Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "zebra")))
    with pytest.raises(kbs.UserError, match=r"another vocabulary .*sha256"):
        kbs.PretrainingRecords(records, other)


def test_an_exchanged_vocabulary_is_refused(some_records):
    lines = Path("records/vocab.txt").read_text().splitlines()
    Path("records/vocab.txt").write_text("\n".join([*lines[:-2], lines[-1], lines[-2]]) + "\n")
    with pytest.raises(kbs.UserError, match="another vocabulary"):
        kbs.PretrainingRecords("records")


def test_documents_of_one_sentence_have_no_next_one(tokenizer):
    """Else all labels would be "is random", without a word (google-research/bert#125)."""
    Path("text.txt").write_text("The heron leaves.\n\nThe otter stays.\n\nThe heron returns.")
    kbs.build_records(["text.txt"], tokenizer, "records")
    with pytest.raises(kbs.UserError, match=r"each document is a single sentence.*blank lines.*`pairs='none'`"):
        kbs.PretrainingRecords("records").batches(2, 16)
    next(iter(kbs.PretrainingRecords("records").batches(2, 16, rules=ExampleRules("none"))))


def test_a_single_document_has_no_pairs(documents, tokenizer):
    kbs.build_records([write_corpus(documents[:1], Path("one.txt"))], tokenizer, "records")
    data = kbs.PretrainingRecords("records")
    with pytest.raises(kbs.UserError, match=r"single document.*`documents='files'`.*`pairs='none'`"):
        data.batches(2, 16)
    assert some(data.batches(2, 16, rules=ExampleRules("none")), 2)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"max_length": 7}, "`max_length`: must be at least 8"),
        ({"batch_size": 0}, "`batch_size`: must be"),
        ({"batch_size": 9, "num_workers": 2}, "`batch_size`: must be a multiple of 2, the number of workers, not 9"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(records, arguments, named):
    with pytest.raises(kbs.UserError, match=named):
        kbs.PretrainingRecords(records).batches(**arguments)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), r"contains no manifest\.json"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is not a valid manifest"),
        (lambda folder: (folder / "manifest.json").write_text('{"a": 1}'), "is not a valid manifest"),
        (lambda folder: next(folder.glob("*.tfrecord")).unlink(), "is missing"),
        (lambda folder: next(folder.glob("*.tfrecord")).write_bytes(b"short"), "not .* bytes long"),
    ],
    ids=["no manifest", "no json", "other json", "no shard", "short shard"],
)
def test_damaged_folders_are_named(some_records, damage, named):
    damage(some_records)
    with pytest.raises(kbs.UserError, match=named):
        kbs.PretrainingRecords("records")


def test_a_flipped_bit_is_named(some_records):
    for shard in some_records.glob("*.tfrecord"):
        flip_a_bit(shard)
    batches = kbs.PretrainingRecords("records").batches(2, 32)
    with pytest.raises(Exception, match=r"records-0000\d-of-00002\.tfrecord: record 0 is damaged \(its checksum"):
        some(batches, 1)


def test_counts_other_than_the_manifest_s_are_named(some_records):
    """A shard of the right length whose records are whole, but which is another's."""
    manifest = Path("records/manifest.json")
    text = manifest.read_text()
    documents = kbs.PretrainingRecords("records").manifest.shards[0]["documents"]
    manifest.write_text(text.replace(f'"documents": {documents},', f'"documents": {documents + 1},'))
    with pytest.raises(kbs.UserError, match=rf"contains .*'documents': {documents}.* but the manifest says"):
        kbs.PretrainingRecords("records").non_padding_fraction(32)


@pytest.mark.parametrize("damage", [flip_a_bit, Path.unlink, lambda shard: shard.write_bytes(b"")])
def test_what_is_damaged_can_be_left_out(some_records, damage, caplog):
    shards = sorted(some_records.glob("*.tfrecord"))
    manifest = kbs.PretrainingRecords("records").manifest
    damage(shards[0])
    data = kbs.PretrainingRecords("records", on_corrupt="skip")
    assert len(some(data.batches(4, 32), 100)) == 100  # several epochs
    (message,) = caplog.messages
    lost = manifest.shards[0]
    assert "records-00000-of-00002.tfrecord: left out " in message
    assert message.endswith(
        f": {lost['documents']:,} documents, {lost['sentences']:,} sentences, {lost['tokens']:,} tokens"
    )
    left = [len(data._plan(shard, 32, 0, 0, ExampleRules("none")).token_ids) for shard in range(2)]
    assert left == [0, manifest.shards[1]["tokens"]]


def test_nothing_left_is_an_error_not_a_wait(some_records):
    for shard in some_records.glob("*.tfrecord"):
        shard.unlink()
    for first_step in (0, 5):
        batches = kbs.PretrainingRecords("records", on_corrupt="skip").batches(2, 32, first_step=first_step)
        with pytest.raises(Exception, match="records: yields no examples"):
            some(batches, 1)
