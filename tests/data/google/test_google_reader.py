import gzip
import itertools
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but
from googles_records import (
    LENGTH,
    NAMES,
    as_multiset,
    flip_bit,
    make_windows_small,
    num_records,
    read_as_google,
    rows_of,
    write_googles,
)

import keras_bert_scratch as kbs
from keras_bert_scratch.data.google.reader import GoogleRecords, open_records
from keras_bert_scratch.data.google.writer import write_google_examples
from keras_bert_scratch.data.pretraining.rules import ExampleRules


@pytest.fixture(scope="module")
def googles(tmp_path_factory, corpus, vocabulary) -> Path:
    """A folder that Google's script filled."""
    folder = tmp_path_factory.mktemp("googles")
    write_googles(corpus, vocabulary, [folder / name for name in NAMES])
    return folder


@pytest.fixture
def copied(googles) -> Path:
    return Path(shutil.copytree(googles, "copied"))


@pytest.fixture
def small_windows(monkeypatch):
    make_windows_small(monkeypatch)


@pytest.fixture(scope="module")
def count(googles) -> int:
    return num_records(*(googles / name for name in NAMES))


# --- what is read


def test_an_epoch_is_what_googles_script_wrote(googles, tokenizer):
    expected = read_as_google([googles / name for name in NAMES])
    batches = GoogleRecords(googles, tokenizer).batches(1).take(len(expected["input_ids"])).as_numpy_iterator()
    inputs, labels, weights = tf.nest.map_structure(lambda *rows: np.concatenate(rows), *batches)
    found = {
        "input_ids": inputs["token_ids"],
        "input_mask": inputs["padding_mask"],
        "segment_ids": inputs["segment_ids"],
        "masked_lm_positions": inputs["mask_positions"],
        "masked_lm_ids": labels["masked_lm"],
        "masked_lm_weights": weights["masked_lm"],
        "next_sentence_labels": labels["next_sentence"][:, None],
    }
    assert as_multiset(np.hstack([found[name] for name in found])) == as_multiset(
        np.hstack([expected[name] for name in found])
    )
    assert set(weights["next_sentence"]) == {1}


def test_batches_are_of_the_same_form_as_from_documents(googles, records, tokenizer):
    ours = kbs.PretrainingRecords(records).batches(6, LENGTH)
    assert GoogleRecords(googles, tokenizer).batches(6, LENGTH).element_spec == ours.element_spec


@pytest.mark.parametrize(
    "named",
    [
        lambda folder: str(folder),
        lambda folder: str(folder / "tf_examples*"),
        lambda folder: [folder / name for name in NAMES],
        lambda folder: [folder / NAMES[0], folder / "*-[012]"],
    ],
    ids=["folder", "pattern", "files", "mixed"],
)
def test_ways_to_name_the_files(googles, tokenizer, named):
    data = GoogleRecords(named(googles), tokenizer)
    np.testing.assert_array_equal(rows_of(data, 9), rows_of(GoogleRecords(googles, tokenizer), 9))
    assert data.fingerprint == GoogleRecords(googles, tokenizer).fingerprint


@pytest.mark.parametrize("first_step", [0, 17])
def test_gzip_files_give_the_same(copied, googles, tokenizer, first_step, small_windows):
    for name in NAMES:
        (copied / f"{name}.gz").write_bytes(gzip.compress((copied / name).read_bytes()))
        (copied / name).unlink()
    np.testing.assert_array_equal(
        rows_of(GoogleRecords(copied, tokenizer), 9, first_step=first_step),
        rows_of(GoogleRecords(googles, tokenizer), 9, first_step=first_step),
    )


def test_records_of_ours_bring_their_vocabulary(records, tokenizer):
    manifest = write_google_examples(records, "examples", LENGTH, dupe_factor=2)
    data = GoogleRecords("examples")
    assert data.vocab_size == len(tokenizer.vocabulary)
    assert data.fingerprint == [shard["sha256"] for shard in manifest.shards]
    written = read_as_google(sorted(Path("examples").glob("*.tfrecord")))
    assert data.non_padding_fraction(LENGTH) == pytest.approx(
        written["input_mask"][: manifest.shards[0]["records"]].mean(), abs=0.1
    )
    (row,) = rows_of(data, 1, batch_size=1, first_step=manifest.total("examples") - 1)
    assert row.tobytes() in as_multiset(rows_of(data, 1, batch_size=len(written["input_ids"])))


# --- a pure function of files, seed and step


@pytest.mark.parametrize("on_corrupt", slow_but(["skip"], ["fail", "skip"]))
def test_the_stream_from_a_step_on_is_the_rest_of_the_whole_stream(
    googles, count, tokenizer, small_windows, on_corrupt
):
    num_steps = 3 * count // 4  # three epochs
    whole = rows_of(GoogleRecords(googles, tokenizer), num_steps, seed=3)
    for step in (1, 4, 5, num_steps // 3, num_steps // 3 + 1, num_steps - 2):
        later = rows_of(GoogleRecords(googles, tokenizer, on_corrupt), 2, seed=3, first_step=step)
        np.testing.assert_array_equal(later, whole[4 * step : 4 * step + 8])


def test_every_epoch_has_every_example_once_in_an_order_of_its_own(googles, count, tokenizer, small_windows):
    epochs = rows_of(GoogleRecords(googles, tokenizer), 3, batch_size=count).reshape(3, count, -1)
    other_seed = rows_of(GoogleRecords(googles, tokenizer), 1, batch_size=count, seed=1)
    for one, other in itertools.combinations([*epochs, other_seed], 2):
        assert as_multiset(one) == as_multiset(other)
        assert (one == other).all(axis=1).mean() < 0.2


def test_a_window_is_shuffled_whole_and_nothing_leaves_it(googles, tokenizer, small_windows):
    file = googles / NAMES[0]
    in_file = read_as_google([file])["input_ids"]
    number_of = {ids.tobytes(): number for number, ids in enumerate(in_file)}
    batches = GoogleRecords(file, tokenizer).batches(1).take(len(in_file)).as_numpy_iterator()
    order = np.array([number_of[inputs["token_ids"][0].astype(np.int64).tobytes()] for inputs, _, _ in batches])
    assert len(order) == len(number_of) > 32
    np.testing.assert_array_equal(order // 16, np.arange(len(order)) // 16)
    assert (order == np.arange(len(order))).mean() < 0.3


@pytest.mark.parametrize("num_workers", [2, 4])
def test_workers_share_the_batches_of_one(googles, tokenizer, num_workers, small_windows):
    data = GoogleRecords(googles, tokenizer)
    alone = rows_of(data, 20, batch_size=8, first_step=5).reshape(20, num_workers, 8 // num_workers, -1)
    for worker in range(num_workers):
        part = rows_of(data, 20, batch_size=8, first_step=5, worker=worker, num_workers=num_workers)
        np.testing.assert_array_equal(part, alone[:, worker].reshape(part.shape))


# --- what cannot be given


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"max_length": 64}, "`max_length`: .* contains examples of 48 tokens, not 64; give `max_length=48`"),
        ({"rules": ExampleRules("none")}, "`pairs`"),
        ({"rules": ExampleRules(packing=True)}, "`packing=False`"),
        ({"rules": ExampleRules(objective="left-to-right")}, "`objective='masked'`"),
        ({"batch_size": 3, "num_workers": 2}, "`batch_size`"),
    ],
    ids=["length", "no pairs", "packing", "objective", "workers"],
)
def test_what_the_records_cannot_give_is_refused(googles, tokenizer, arguments, named):
    with pytest.raises(kbs.UserError, match=named):
        GoogleRecords(googles, tokenizer).batches(**arguments)


def test_pairs_of_another_kind_are_refused(records):
    write_google_examples(records, "examples", LENGTH, ExampleRules("order"), dupe_factor=1)
    assert GoogleRecords("examples").batches(rules=ExampleRules("order"))
    with pytest.raises(kbs.UserError, match="contains pairs of the kind order, not next"):
        GoogleRecords("examples").batches()


def test_a_missing_shard_is_an_error_or_left_out(records, caplog):
    manifest = write_google_examples(records, "examples", LENGTH, dupe_factor=1)
    lost = Path("examples") / manifest.shards[1]["file"]
    lost.unlink()
    with pytest.raises(kbs.UserError, match=f"{lost}: is missing"):
        GoogleRecords("examples")
    with caplog.at_level(logging.WARNING):
        data = GoogleRecords("examples", on_corrupt="skip")
    assert f"{lost}: left out" in caplog.text
    left = manifest.total("examples") - manifest.shards[1]["examples"]
    rows = rows_of(data, 2, batch_size=left)
    assert as_multiset(rows[:left]) == as_multiset(rows[left:])


# --- which records are these?


def test_opened_records_are_of_the_format_that_the_folder_has(records, googles, tokenizer, vocabulary):
    write_google_examples(records, "examples", LENGTH, dupe_factor=1)
    vocabulary.save("vocab.txt")
    assert isinstance(open_records(records), kbs.PretrainingRecords)
    assert isinstance(open_records("examples"), GoogleRecords)
    for data in (
        open_records(googles, tokenizer),
        open_records(googles, vocab="vocab.txt"),
        open_records(str(googles / "*-0"), vocab="."),
    ):
        assert isinstance(data, GoogleRecords)
        assert data.vocab_size == len(vocabulary)


def test_a_vocabulary_beside_foreign_records_is_taken(copied, tokenizer):
    tokenizer.save(copied)
    np.testing.assert_array_equal(rows_of(open_records(copied), 3), rows_of(GoogleRecords(copied, tokenizer), 3))


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("copied", "copied: has no vocabulary; .*`vocab`"),
        ("empty", "empty: contains no records"),
        (["copied", "typo"], "typo: contains no records"),
        ("nowhere-*", r"nowhere-\*: contains no records"),
    ],
)
def test_what_cannot_be_opened_is_refused(copied, path, named):
    Path("empty").mkdir()
    Path("empty/README").write_text("No records are here, only this text.")
    with pytest.raises(kbs.UserError, match=named):
        GoogleRecords(path)


def test_documents_are_not_read_as_examples(records):
    with pytest.raises(kbs.UserError, match="read it as PretrainingRecords"):
        GoogleRecords(records)


def test_the_fingerprint_tells_other_content(copied, tokenizer):
    before = GoogleRecords(copied, tokenizer).fingerprint
    flip_bit(copied / NAMES[2])
    after = GoogleRecords(copied, tokenizer).fingerprint
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False]


def test_a_manifest_that_says_another_number_is_an_error(records):
    write_google_examples(records, "examples", LENGTH, dupe_factor=1)
    manifest = json.loads(Path("examples/manifest.json").read_text())
    manifest["shards"][0]["examples"] += 1
    Path("examples/manifest.json").write_text(json.dumps(manifest))
    with pytest.raises((kbs.UserError, tf.errors.OpError), match=r"-00000-of-00003.tfrecord: contains \d+ examples"):
        rows_of(GoogleRecords("examples"), 2, batch_size=sum(shard["examples"] for shard in manifest["shards"]))
