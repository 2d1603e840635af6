"""Private names of Keras that we override or call; if a new Keras moves one, a test fails and says where to look."""

import inspect

import keras


def test_the_trainer_builds_by_this_name():
    trainer = keras.Model
    where = "models/trainable.py overrides it: see how Keras's TensorFlow trainer now builds a model under a strategy"
    assert hasattr(trainer, "_maybe_symbolic_build"), where
    parameters = list(inspect.signature(trainer._maybe_symbolic_build).parameters)
    assert parameters == ["self", "iterator", "data_batch"], where
    for method in ("fit", "evaluate"):
        source = inspect.getsource(inspect.unwrap(getattr(trainer, method)))
        assert "self._maybe_symbolic_build(iterator=epoch_iterator)" in source, where


def test_fit_and_evaluate_take_our_functions():
    for method, name in (("fit", "train"), ("evaluate", "test")):
        source = inspect.getsource(inspect.unwrap(getattr(keras.Model, method)))
        assert f"self.make_{name}_function()" in source
        assert f"self.{name}_function(iterator)" in source


def test_an_optimizer_knows_what_is_not_decayed_by_this_name():
    where = "MomentOptimizer.build calls it: see how Keras now keeps what exclude_from_weight_decay was told"
    assert hasattr(keras.optimizers.Optimizer, "_use_weight_decay"), where
