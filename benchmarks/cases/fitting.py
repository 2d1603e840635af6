"""Section 2: `fit`, `evaluate` and `compile` as Keras users call them."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np

import keras_bert_scratch as kbs
from benchmarks.cases.case import Group, logged
from benchmarks.cases.small import batch, classifier, config

executions, inputs, steps = Group("2 steps_per_execution"), Group("2 inputs of fit"), Group("2 train_step, metrics")
callbacks, compiling = Group("2 callbacks"), Group("2 freezing, compile")
GROUPS = (executions, inputs, steps, callbacks, compiling)


def compiled(rate: float = 1e-3, **options: Any) -> kbs.BertTextClassifier:
    """Returns a classifier without dropout, compiled with our optimizer."""
    model = classifier(hidden_dropout=0.0, attention_dropout=0.0)
    model.compile(kbs.BertAdamW(rate), **options)
    return model


@functools.cache
def shared(**options: Any) -> kbs.BertTextClassifier:
    """The same, shared by all cases with the same options; its learning rate is so small that no weight changes."""
    return compiled(1e-12, **options)


def measured(model: keras.Model, x: Any, y: Any, **options: Any) -> dict[str, float]:
    """Returns the results of `evaluate`."""
    return model.evaluate(x, y, verbose=0, return_dict=True, **options)


# Twelve batches of one row.
for _name, _size in (("that does not divide the batches", 5), ("larger than all batches", 50)):

    @executions.right(f"evaluate with a group {_name} counts every row", _size)
    def _(size: int) -> str:
        (x, y), model = batch(), shared(steps_per_execution=size)
        found = measured(model, x, y, batch_size=1)
        right = float(np.mean(np.argmax(np.asarray(model(x)), -1) == y))
        assert abs(found["accuracy"] - right) < 1e-6, (found, right)
        return f"accuracy {right:.4f}"

    @executions.right(f"fit with a group {_name} makes every update and reports every batch", _size)
    def _(size: int) -> str:
        (x, y), model = batch(), shared(steps_per_execution=size)
        before = int(model.optimizer.iterations) if model.optimizer.built else 0
        history = model.fit(x, y, batch_size=1, verbose=0).history
        loss = measured(model, x, y)["loss"]
        assert int(model.optimizer.iterations) - before == 12
        assert abs(history["loss"][0] - loss) < 1e-4, (history, loss)
        return "12 of 12 updates"


for _dtype in ("int64", "float32", "bool"):

    @inputs.right(f"a padding_mask of {_dtype}, ids of int64: fit and evaluate", _dtype)
    def _(dtype: str) -> None:
        x, y = batch()
        other = {name: values.astype("int64") for name, values in x.items()}
        other["padding_mask"] = x["padding_mask"].astype(dtype)
        model = shared()
        model.fit(other, y, verbose=0)
        assert np.allclose(measured(model, other, y)["loss"], measured(model, x, y)["loss"])


@inputs.right("a padding_mask of float16 in a model of mixed_bfloat16")
def _() -> None:
    x, y = batch()
    model = kbs.BertTextClassifier(kbs.BertBackbone(config(), dtype="mixed_bfloat16"), num_classes=3)
    model.compile(kbs.BertAdamW(1e-3))
    model.fit({**x, "padding_mask": x["padding_mask"].astype("float16")}, y, verbose=0)


for _method in ("train_step", "compute_loss", "test_step", "compute_metrics"):

    @steps.right(f"a subclass's {_method} is called with our optimizer, and the log says what that means", _method)
    def _(method: str) -> str:
        called = []

        def own(self: Any, *args: Any, **kwargs: Any) -> Any:
            called.append(method)
            return getattr(kbs.BertTextClassifier, method)(self, *args, **kwargs)

        model = type("Mine", (kbs.BertTextClassifier,), {method: own})(kbs.BertBackbone(config()), num_classes=3)
        with logged() as messages:
            model.compile(kbs.BertAdamW(1e-3))
        model.fit(*batch(), verbose=0)
        measured(model, *batch())
        assert called
        assert f"Mine.{method}" in messages[0]
        return messages[0]


for _name, _given in (("metrics", {"metrics": ["accuracy"]}), ("loss", {"loss": "sparse_categorical_crossentropy"})):

    @steps.right(f"{_name}=... with our optimizer is honoured, and the log says that it leaves our step", _given)
    def _(given: dict[str, Any]) -> str:
        with logged() as messages:
            model = compiled(**given)
        assert len(messages) == 1
        assert next(iter(given)) in messages[0]
        history = model.fit(*batch(), verbose=0).history
        assert np.isfinite(history["loss"]).all()
        assert "metrics" not in given or "accuracy" in history
        return messages[0]


for _monitor, _better in (("val_accuracy", keras.ops.greater), ("val_loss", keras.ops.less)):

    @callbacks.right(f"EarlyStopping on {_monitor}", _monitor, _better)
    def _(monitor: str, better: Any) -> None:
        stopping = keras.callbacks.EarlyStopping(monitor, patience=1)
        shared().fit(*batch(), validation_data=batch(), verbose=0, callbacks=[stopping])
        assert stopping.monitor_op is better

    @callbacks.right(f"ModelCheckpoint on {_monitor}, and its file", _monitor, _better)
    def _(monitor: str, better: Any) -> None:
        checkpoint = keras.callbacks.ModelCheckpoint("best.keras", monitor=monitor, save_best_only=True)
        shared().fit(*batch(), validation_data=batch(), verbose=0, callbacks=[checkpoint])
        assert checkpoint.monitor_op is better
        assert keras.models.load_model("best.keras").compiled


@compiling.right("freezing, then unfreezing, with one optimizer: every moment stays with its variable")
def _() -> str:
    model, optimizer = classifier(), kbs.BertAdamW(1e-2)
    model.backbone.trainable = False
    model.compile(optimizer)
    weights = [np.array(weight) for weight in model.backbone.weights]
    model.fit(*batch(), epochs=2, verbose=0)
    for before, after in zip(weights, model.backbone.weights, strict=True):
        np.testing.assert_array_equal(before, np.asarray(after))
    moments = {variable.path: np.array(variable) for variable in optimizer.variables}
    model.backbone.trainable = True
    model.compile(optimizer)
    model.make_train_function()
    after = {variable.path: np.array(variable) for variable in optimizer.variables}
    for path, moment in moments.items():
        np.testing.assert_array_equal(after[path], moment)
    model.fit(*batch(), verbose=0)
    assert any((b != np.asarray(a)).any() for b, a in zip(weights, model.backbone.weights, strict=True))
    return f"{len(moments)} variables, then {len(after)}"


@compiling.right("unfreezing, then freezing, with one optimizer: fit goes on")
def _() -> None:
    model, optimizer = classifier(), kbs.BertAdamW(1e-2)
    model.compile(optimizer)
    model.fit(*batch(), verbose=0)
    model.backbone.trainable = False
    model.compile(optimizer)
    weights = [np.array(weight) for weight in model.backbone.weights]
    model.fit(*batch(), verbose=0)
    for before, after in zip(weights, model.backbone.weights, strict=True):
        np.testing.assert_array_equal(before, np.asarray(after))


@compiling.clear("fit of a model with trainable = False", "nothing to train", "trainable")
def _() -> None:
    model = compiled()
    model.trainable = False
    model.compile(kbs.BertAdamW())
    model.fit(*batch(), verbose=0)


for _parts in (0, -1, 1.5):

    @compiling.clear(f"accumulate={_parts}", "`accumulate`", "at least 1", str(_parts))
    def _(parts: float = _parts) -> None:
        compiled(accumulate=parts)


for _dtype in ("bfloat16", "float16"):

    @compiling.clear(f"fit of a model whose weights are {_dtype}", "`dtype`", _dtype, f"mixed_{_dtype}")
    def _(dtype: str = _dtype) -> None:
        model = kbs.BertTextClassifier(kbs.BertBackbone(config(), dtype=dtype), num_classes=3)
        model.compile(kbs.BertAdamW())
        model.fit(*batch(), verbose=0)
