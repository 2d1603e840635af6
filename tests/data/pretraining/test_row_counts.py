"""Counts of rows are remembered between processes, so that a stream that begins late plans no shard but its own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.data.pretraining import reader, row_counts, row_stream
from keras_bert_scratch.data.pretraining.row_counts import RowCounts

LATE = 10**9
PACKED = kbs.ExampleRules(packing=True)


@pytest.fixture
def copied(records) -> Path:
    return Path(shutil.copytree(records, "copied"))


@pytest.fixture
def plans(monkeypatch) -> list:
    """Grows with every plan that is made; every count is worth saving."""
    made = []
    make = reader.ShardPlan.make
    monkeypatch.setattr(reader.ShardPlan, "make", lambda *args: made.append(args) or make(*args))
    monkeypatch.setattr(row_stream, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(row_counts, "WORTH_SAVING_SECONDS", 0.0)
    return made


def first_batch(data, step: int, **options):
    return next(data.batches(4, 32, first_step=step, **options).as_numpy_iterator())


@pytest.mark.parametrize("rules", [kbs.ExampleRules(), PACKED], ids=["one example a row", "packed"])
def test_once_counted_a_late_step_plans_as_few_shards_as_the_first(copied, plans, rules):
    expected = first_batch(kbs.PretrainingRecords(copied), LATE, rules=rules)
    assert len(plans) >= 3 * reader.PLANS
    plans.clear()
    found = first_batch(kbs.PretrainingRecords(copied), LATE, rules=rules)
    assert len(plans) < reader.PLANS  # the shard of the step, and some that are made ahead
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)


def test_what_a_run_has_read_it_need_not_count_when_it_is_resumed(copied, plans):
    data = kbs.PretrainingRecords(copied)
    rows = sum(data._plan(shard, 32, 0, plan, kbs.ExampleRules()).num_rows for plan in (0, 1) for shard in range(3))
    steps = rows // 4  # to the end of the second epoch
    run = data.batches(4, 32).as_numpy_iterator()
    expected = [next(run) for _ in range(steps)][-1]
    plans.clear()
    found = first_batch(kbs.PretrainingRecords(copied), steps - 1)
    assert len(plans) < reader.PLANS  # the shard of the step, and some that are made ahead
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"rules": PACKED}, {"rules": kbs.ExampleRules(short_seq_prob=0.5)}], ids=str
)
def test_counts_are_of_one_seed_and_rule(copied, plans, change):
    first_batch(kbs.PretrainingRecords(copied), LATE)
    plans.clear()
    first_batch(kbs.PretrainingRecords(copied), LATE, **change)
    assert len(plans) >= 3 * reader.PLANS


def test_masks_do_not_change_the_counts(copied, plans):
    first_batch(kbs.PretrainingRecords(copied), LATE)
    plans.clear()
    rules = kbs.ExampleRules(masking=kbs.MaskingRule(0.3, "words"), static_masks=True)
    first_batch(kbs.PretrainingRecords(copied), LATE, rules=rules)
    assert len(plans) < reader.PLANS  # the shard of the step, and some that are made ahead


def test_where_the_records_may_not_be_written_the_users_cache_is(copied, plans):
    (copied / ".row_counts").write_text("in the way, as a read-only disk is")
    first_batch(kbs.PretrainingRecords(copied), LATE)
    plans.clear()
    first_batch(kbs.PretrainingRecords(copied), LATE)
    assert len(plans) < reader.PLANS  # the shard of the step, and some that are made ahead
    assert len(list(Path("cache/row_counts").iterdir())) == 1


def test_where_nothing_may_be_written_counts_are_in_memory(copied, plans):
    for path in (copied / ".row_counts", Path("cache")):
        path.write_text("in the way, as a read-only disk is")
    data = kbs.PretrainingRecords(copied)
    expected = first_batch(data, LATE)
    plans.clear()
    tf.nest.map_structure(np.testing.assert_array_equal, first_batch(data, LATE), expected)
    assert len(plans) < reader.PLANS  # the shard of the step, and some that are made ahead


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"counts": 3}', b'{"counts": {"a": null}}'])
def test_a_damaged_file_is_counted_again(copied, plans, content):
    expected = first_batch(kbs.PretrainingRecords(copied), LATE)
    [file] = (copied / ".row_counts").iterdir()
    file.write_bytes(content)
    tf.nest.map_structure(np.testing.assert_array_equal, first_batch(kbs.PretrainingRecords(copied), LATE), expected)
    assert len(json.loads(file.read_bytes())["counts"]) == 3 * reader.PLANS


def test_counts_of_damaged_records_are_not_kept(copied, plans):
    first_batch(kbs.PretrainingRecords(copied, on_corrupt="skip"), LATE)
    assert not (copied / ".row_counts").exists()


def test_little_work_leaves_no_file(monkeypatch):
    monkeypatch.setattr(row_counts, "WORTH_SAVING_SECONDS", 0.1)
    counts = RowCounts(Path("records"), {"seed": 0})
    counts.add("a", 1, seconds=0.06)
    assert not Path("records").exists()
    counts.add("b", 2, seconds=0.06)
    assert len(list(Path("records/.row_counts").iterdir())) == 1


def test_many_counts_are_written_seldom(monkeypatch):
    monkeypatch.setattr(row_counts, "WORTH_SAVING_SECONDS", 0.1)
    writes = []
    monkeypatch.setattr(row_counts, "_write", lambda file, content: writes.append(len(content["counts"])))
    counts = RowCounts(Path("records"), {"seed": 0})
    for number in range(20_000):
        counts.add(str(number), 1, seconds=0.1)
    assert sum(writes) < row_counts.COUNTS_AT_ONCE * 20_000  # in proportion to the counts, not to their square
    assert writes[-1] > 0.99 * 20_000


def test_two_processes_add_to_the_same_file(monkeypatch):
    monkeypatch.setattr(row_counts, "WORTH_SAVING_SECONDS", 0.1)
    first, second = (RowCounts(Path("records"), {"seed": 0}) for _ in range(2))
    first.add("a", 1, seconds=1.0)
    second.add("b", 2, seconds=1.0)
    third = RowCounts(Path("records"), {"seed": 0})
    assert [third.get(name) for name in "abc"] == [1, 2, None]
