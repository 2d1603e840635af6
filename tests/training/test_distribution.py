"""Several replicas train like one device: the cases of `benchmarks/distribution.py`, with bounds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "distribution.py"
BOUNDS = {"bfloat16": 1e-2, "float16": 1e-3, "dropout": 0.3}  # of weights and losses; 1e-5 for other cases


def found_by(script: Path, *options: str) -> dict:
    """The results that the script prints."""
    run = subprocess.run([sys.executable, str(script), *options], capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def check(found: dict[str, dict[str, float]]) -> None:
    for name, result in found.items():
        assert "error" not in result, (name, result)
        bound = next((bound for part, bound in BOUNDS.items() if part in name), 1e-5)
        assert result["weight"] < bound, (name, result)
        assert result["loss"] < bound, (name, result)
        # With overflow, the first replica's gradient is 0 for three steps, and the second one's is not finite.
        assert result["skipped"] == (3 if "overflow" in name else 0), (name, result)


@pytest.fixture(scope="module")
def fitted() -> dict:
    """The results of `mirrored_fit.py`."""
    return found_by(Path(__file__).with_name("mirrored_fit.py"))


def test_two_devices_train_as_one(fitted):
    """With clipping and several steps per execution, fewer in the last one; also in float16."""
    several, one, difference = fitted["remainder"]
    assert several["updates"] == 6
    assert several == pytest.approx(one, rel=1e-5)
    assert difference < 1e-5
    assert len(fitted["cases"]) == 1
    check(fitted["cases"])


@pytest.mark.parametrize("name", ["tuned", "translated", "distilled", "one-way"])
def test_two_devices_run_as_one(fitted, name):
    several, one, difference = fitted[name]
    assert several == one
    assert difference < 1e-5


def test_two_devices_and_two_workers_train_as_one_in_every_case():
    found = found_by(SCRIPT, "--json", "--engines", "ours", "--kinds", "mirrored,two workers")
    assert len(found) == 26
    check(found)


def test_an_optimizer_of_keras_takes_uneven_batches_and_ours_its_strategy(fitted):
    several, one = fitted["uneven"]
    assert several["updates"] == one["updates"] == 2
    for name in ("accuracy", "val_accuracy"):  # Keras's losses of uneven replicas are means of means
        assert several[name] == one[name]
    assert fitted["outside"].startswith("`optimizer`: was created outside the scope of the model's strategy")
