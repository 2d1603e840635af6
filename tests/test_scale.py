"""docs/scale.md: its tables are computed, its formulas are right, and simulated runs lose or repeat no example."""

import importlib
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from fast_and_slow import slow_but
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_bert_scratch as kbs

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
BASE = kbs.BertConfig.preset("bert-base")


@pytest.fixture(autouse=True, scope="module")
def recipes_folder():
    """As when Python runs a script: its folder is on the import path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "recipes")
        yield


@pytest.fixture(scope="module")
def formulas(recipes_folder):
    return importlib.import_module("scale_formulas")


@pytest.fixture(scope="module")
def clock(recipes_folder):
    return importlib.import_module("scale_clock")


@pytest.fixture(scope="module")
def simulation(recipes_folder):
    return importlib.import_module("scale_simulation")


def test_the_page_has_the_tables_that_are_computed(recipes_folder, capsys):
    scale = importlib.import_module("scale")
    tables = scale.tables().values()
    scale.main()
    printed = capsys.readouterr().out
    for table in tables:
        assert table in PAGE
        assert table in printed
    assert len(re.findall(r"^\| ?---", PAGE, re.MULTILINE)) == len(tables)


def numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\.?\d*", text)]


def test_what_is_said_to_be_measured_stands_in_the_results(recipes_folder):
    """The quoted words of RESULTS.md contain the stated number, and the formulas use that number."""
    scale_facts = importlib.import_module("scale_facts")
    facts = scale_facts.FACTS
    results = " ".join((ROOT / "benchmarks/RESULTS.md").read_text(encoding="utf-8").split())
    measured = [fact for fact in facts if fact.kind == "measured"]
    assert len(measured) > 8
    derived = {
        scale_facts.TEXT_BYTES: 22 * 45.0e6 / numbers(scale_facts.TEXT_BYTES.quoted)[1],
        scale_facts.ROW_TOKENS: numbers(scale_facts.ROW_TOKENS.quoted)[0] / 100 * 128 - 3,
        scale_facts.PLAN: (numbers(scale_facts.PLAN.quoted)[1] - numbers(scale_facts.PLAN.quoted)[0]) / (16 * 10),
    }
    for fact in measured:
        assert fact.quoted in results
        if fact in derived:
            assert fact.value == pytest.approx(derived[fact])
        else:
            assert numbers(fact.text)[0] in numbers(fact.quoted), fact
            assert fact.value in [pytest.approx(numbers(fact.text)[0] * unit) for unit in (1e-3, 1, 1e6)], fact
    losses, gpus, _, days, hours = numbers(scale_facts.INTERRUPTED.text)
    assert round(scale_facts.INTERRUPTED.value) == hours == round(gpus * days * 24 / losses)
    assert {fact.kind for fact in facts} == {"measured", "published", "assumed"}
    assert all(fact.where for fact in facts if fact.kind != "assumed")


def test_more_readers_do_not_help_where_planning_is_the_bottleneck(recipes_folder, formulas):
    scale = importlib.import_module("scale")
    planned = formulas.planned_rows()
    assert scale.readers(planned, planned / 3.5) == "4"
    assert scale.readers(planned + 1, planned) == "not reachable"
    for row in scale.reading().splitlines()[2:]:
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        assert [cell == "not reachable" for cell in cells[4:6]] == 2 * [int(cells[8]) <= scale.GPUS], row


def test_weights_and_states(formulas):
    assert formulas.num_weights(BASE) == 110_106_428
    tiny = kbs.BertConfig.preset("bert-tiny", vocab_size=100)
    assert formulas.num_weights(tiny) == kbs.BertPretrainer(kbs.BertBackbone(tiny)).count_params()
    assert formulas.state_bytes(BASE) == pytest.approx(1322e6, rel=1e-3)  # measured
    assert formulas.state_bytes(kbs.BertConfig.preset("bert-small")) == pytest.approx(349e6, rel=2e-3)  # measured


def test_bytes_and_hours(formulas):
    assert formulas.record_bytes(990e6) == pytest.approx(2.07 * 234_263_392)
    assert formulas.build_hours(97.2e9, 1) == pytest.approx(1 + 5.3 / 3600)
    assert formulas.build_hours(97.2e9, 100) == pytest.approx(0.01 + 5.3 / 3600)
    assert formulas.shards_of(640e9) == 10_000


def test_a_step_of_the_measured_size_takes_the_measured_time(formulas):
    assert formulas.step_seconds(BASE) == pytest.approx(33.1e-3)
    assert formulas.rows_per_second(BASE) == pytest.approx(128 / 33.1e-3)
    assert formulas.sustained() == pytest.approx(255e12, rel=0.01)


@pytest.mark.parametrize(
    ("workers", "latency", "seconds"),
    [(1, 1.0, 0.0), (2, 0.0, 1.0), (2, 0.25, 1.5), (5, 0.0, 1.6), (5, 0.25, 3.6), (1000, 0.0, 1.998)],
)
def test_a_ring_sends_all_but_one_part_twice(formulas, workers, latency, seconds):
    assert formulas.all_reduce_seconds(1e9, workers, 1e9, latency) == pytest.approx(seconds)


def test_the_best_interval(formulas):
    assert formulas.young(2.0, 100.0) == 20.0
    assert formulas.daly(2.0, 100.0) == pytest.approx(20 * (1 + 0.1 / 3 + 0.01 / 9) - 2)
    assert formulas.daly(300.0, 100.0) == 100.0
    lost = [formulas.lost_fraction(interval, 2.0, 5.0, 100.0) for interval in np.linspace(1, 60, 591)]
    assert np.linspace(1, 60, 591)[np.argmin(lost)] == pytest.approx(formulas.daly(2.0, 100.0), abs=0.2)


def test_rare_losses_cost_half_an_interval_each(formulas):
    lost = formulas.lost_fraction(3600.0, 0.0, 100.0, 1e8)
    assert lost == pytest.approx((1800 + 100) / 1e8, rel=1e-3)
    assert formulas.lost_fraction(60.0, 6.0, 0.0, 1e12) == pytest.approx(6 / 66)
    # 100 / 50 x exp(10 / 100) x (exp(60 / 100) - 1) = 2 x 1.10517 x 0.82212 = 1.81716 times the work
    assert formulas.lost_fraction(50.0, 10.0, 10.0, 100.0) == pytest.approx(1 - 1 / 1.81716, rel=1e-4)


def test_time_lost_in_fake_time_is_that_of_the_formula(formulas, clock):
    times = clock.Times(step=10.0, interval=100.0, saving=10.0, restart=20.0, between=3000.0)
    events = list(clock.events(0, 100_000, [10], times, seed=3))
    assert [event.kind for event in events].count(clock.LOST) > 3000
    expected = formulas.lost_fraction(100.0, 10.0, 20.0, 300.0)
    assert 1 - 100_000 * 10.0 / events[-1].clock == pytest.approx(expected, rel=0.05)


def outcome_of(simulation, clock, workers, num_shards, batch, epochs, first_epoch, losses, seed, packing=False):
    """A simulated run; `losses` is the mean number of steps until the first group of workers loses one."""
    times = clock.Times(step=1.0, interval=5.0, saving=0.5, restart=1.0, between=workers[0] * losses)
    rules = kbs.ExampleRules(packing=packing)
    return simulation.simulate(workers, num_shards, batch, epochs, first_epoch, times, seed, rules)


def assert_each_once(outcome, batch):
    """No row is seen twice, all steps together see their number of rows, and epochs not at either end are complete."""
    assert sum(found.sum() for found in outcome.times_seen.values()) == outcome.steps * batch
    for number, (epoch, found) in enumerate(outcome.times_seen.items()):
        assert found.max() == 1
        if (number or not outcome.first_step) and number < len(outcome.times_seen) - 1:
            assert found.sum() == len(found) == outcome.sizes[epoch]


@settings(max_examples=12, deadline=None)
@given(
    workers=st.lists(st.sampled_from([1, 2, 3, 4, 6, 12]), min_size=1, max_size=4),
    num_shards=st.integers(1, 12),
    first_epoch=st.sampled_from([0, 1, 13]),
    losses=st.sampled_from([6.0, 20.0, 1e9]),
    seed=st.integers(0, 99),
    packing=st.booleans(),
)
def test_each_example_is_seen_once(simulation, clock, workers, num_shards, first_epoch, losses, seed, packing):
    arguments = (workers, num_shards, 12, 2.2, first_epoch, losses, seed, packing)
    assert_each_once(outcome_of(simulation, clock, *arguments), 12)


def test_a_resumed_process_plans_the_shard_of_its_step_alone(simulation, clock):
    outcome = outcome_of(simulation, clock, [4, 2], 40, 12, 1.5, 0, 10.0, 0)
    assert outcome.starts > 5
    assert outcome.rows_again > 0
    assert max(outcome.plans) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda batch, step, worker, of: step * batch,  # all workers take the same rows
        lambda batch, step, worker, of: (step + (step > 0)) * batch + worker * batch // of,  # a step is left out
    ],
)
def test_a_wrong_order_would_be_found(simulation, clock, monkeypatch, wrong):
    monkeypatch.setattr(simulation, "first_row_of", wrong)
    with pytest.raises(AssertionError):
        assert_each_once(outcome_of(simulation, clock, [4, 2], 12, 12, 2.2, 0, 10.0, 0), 12)


OUTPUTS = dict(re.findall(r"^    \$ python recipes/scale_simulation.py ?(.*)\n((?:    .+\n)+)", PAGE, re.MULTILINE))


@pytest.mark.parametrize("arguments", slow_but([""], OUTPUTS))
def test_the_page_has_what_the_simulation_prints(recipes_folder, arguments, monkeypatch, capsys):
    """Outputs for thousands of workers take minutes, so only the default one is a fast test."""
    monkeypatch.setattr(sys, "argv", ["scale_simulation.py", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "recipes/scale_simulation.py"), run_name="__main__")
    assert not ended.value.code
    assert capsys.readouterr().out.split() == OUTPUTS[arguments].split()
