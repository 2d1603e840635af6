"""Training states: complete, with checksums, and a fallback to the previous one if the newest is damaged."""

import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.training import training_state
from keras_bert_scratch.training.training_state import (
    list_checkpoints,
    newest_checkpoint,
    restore_checkpoint,
    save_checkpoint,
)

RUN = Path("run")


def made_model(units: int = 3, optimizer: Any = "adam") -> keras.Model:
    """A compiled model with a dropout seed and a built optimizer."""
    model = keras.Sequential([keras.layers.Input([2]), keras.layers.Dense(units), keras.layers.Dropout(0.5)])
    model.compile(optimizer, "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def at_step(model: keras.Model, step: int) -> keras.Model:
    """Sets all state variables of the model to new values, and its step to `step`."""
    for number, variable in enumerate(training_state._state_variables(model)):
        variable.assign(np.full(variable.shape, 10 * step + number))
    model.optimizer.iterations.assign(step)
    return model


@pytest.fixture
def model() -> keras.Model:
    """A model whose states were saved at the steps 1 to 3."""
    model = made_model()
    for step in (1, 2, 3):
        save_checkpoint(RUN, at_step(model, step), seconds_spent=step)
    return model


def names() -> list[str]:
    return sorted(entry.name for entry in (RUN / "training_state").iterdir())


def test_saving_holds_one_variable_at_a_time():
    model = keras.Sequential([keras.layers.Input([256]), *(keras.layers.Dense(256) for _ in range(4))])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    save_checkpoint(RUN, at_step(model, 1))  # imports and other one-time allocations
    at_step(model, 2)
    tracemalloc.start()
    try:
        save_checkpoint(RUN, model)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * 4 * 256 * 256


def test_all_comes_back_in_another_model(model):
    other = at_step(made_model(), 7)
    assert newest_checkpoint(RUN, remove_damaged=True) == 3
    assert restore_checkpoint(RUN, other, 3)["seconds_spent"] == 3
    pairs = zip(training_state._state_variables(model), training_state._state_variables(other), strict=True)
    for variable, found in pairs:
        np.testing.assert_array_equal(found.numpy(), variable.numpy(), err_msg=variable.path)


def test_the_newest_two_are_kept(model):
    assert names() == ["step-00000002", "step-00000003"]


def cut(name, size):
    def damage(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(size * len(content))])

    return damage


def flipped(folder):
    content = bytearray((folder / "variables.h5").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "variables.h5").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "how"),
    [
        (flipped, "a wrong checksum"),
        (cut("variables.h5", 0.5), "a wrong checksum"),
        (cut("variables.h5", 0), "a wrong checksum"),
        (cut("state.json", 0.5), "char"),
        (cut("state.json", 0), "Expecting value"),
        (lambda folder: (folder / "state.json").write_text("[]"), "list indices"),
        (lambda folder: (folder / "variables.h5").unlink(), "No such file"),
        (lambda folder: [file.unlink() for file in folder.iterdir()], "No such file"),
    ],
    ids=["flipped", "half", "empty", "half json", "empty json", "other json", "missing", "empty folder"],
)
def test_a_damaged_state_falls_back_to_the_one_before(model, caplog, damage, how):
    damage(RUN / "training_state/step-00000003")
    assert newest_checkpoint(RUN, remove_damaged=False) == 2
    assert names() == ["step-00000002", "step-00000003"]  # another worker must not remove it
    assert newest_checkpoint(RUN, remove_damaged=True) == 2
    assert "step-00000003: is damaged" in caplog.text
    assert how in caplog.text
    assert names() == ["step-00000002"]


def test_a_state_whose_process_was_killed_before_the_renaming_is_not_taken(model):
    whole = RUN / "training_state/step-00000003"
    shutil.copytree(whole, whole.with_name(".partial-step-00000004"))
    assert [folder.name for folder in list_checkpoints(RUN)] == ["step-00000002", "step-00000003"]
    save_checkpoint(RUN, at_step(model, 4))
    assert names() == ["step-00000003", "step-00000004"]
    assert newest_checkpoint(RUN, remove_damaged=True) == 4


def test_a_full_disk_costs_none_of_the_states_before(small_disk):
    run, large = small_disk / "run", made_model(20_000)  # 720 kB in all
    for step in (1, 2):
        save_checkpoint(run, at_step(made_model(), step))
    with pytest.raises(kbs.UserError, match=r"step-00000003/variables\.h5: the disk is full; free some space"):
        save_checkpoint(run, at_step(large, 3))
    assert sorted(entry.name for entry in (run / "training_state").iterdir()) == ["step-00000001", "step-00000002"]
    assert newest_checkpoint(run, remove_damaged=True) == 2


@pytest.mark.parametrize(
    "other", [{"units": 4}, {"optimizer": "sgd"}, {"optimizer": keras.optimizers.Adam(amsgrad=True)}]
)
def test_the_state_of_another_model_or_optimizer_is_refused(model, other):
    with pytest.raises(kbs.UserError, match="step-00000003: holds other variables than this version"):
        restore_checkpoint(RUN, made_model(**other), 3)
