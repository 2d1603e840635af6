"""Section 3, labels: which ones count, their names and order, their types; and values that are not texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_bert_scratch as kbs
from benchmarks.cases.case import Group, logged
from benchmarks.cases.small import HOW, ROWS, batch, classifier, config, huggingface, tokenizer, tuned

counting, names, kinds = Group("3 labels that count"), Group("3 names of labels"), Group("3 kinds of labels")
GROUPS = (counting, names, kinds)

OPTIMIZERS = {"our optimizer": lambda: kbs.BertAdamW(1e-3), "Keras's optimizer": lambda: keras.optimizers.SGD(0.1)}


def measured(model: keras.Model, x: Any, y: Any, **options: Any) -> dict[str, float]:
    """Returns the results of `evaluate`."""
    return model.evaluate(x, y, verbose=0, return_dict=True, **options)


for _name, _optimizer in OPTIMIZERS.items():

    @counting.right(f"a label -1 does not count in evaluate, with {_name}", _optimizer)
    def _(optimizer: Any) -> str:
        (x, y), model = batch(), classifier()
        model.compile(optimizer())
        rest = measured(model, {name: values[4:] for name, values in x.items()}, y[4:])
        found = measured(model, x, np.concatenate([np.full(4, -1), y[4:]]))
        assert np.allclose([found[name] for name in rest], list(rest.values()), rtol=1e-5), (found, rest)
        return f"accuracy {found['accuracy']:.4f}"

    @counting.right(f"a token classifier without weights does not count padding, with {_name}", _optimizer)
    def _(optimizer: Any) -> None:
        (x, _), tags = batch(), np.tile(np.arange(8) % 3, (12, 1))
        model = kbs.BertTokenClassifier(kbs.BertBackbone(config(), pooler=False), num_classes=3)
        model.compile(optimizer())
        found, weighted = measured(model, x, tags), measured(model, x, tags, sample_weight=x["padding_mask"])
        assert np.allclose([found[name] for name in weighted], list(weighted.values()), rtol=1e-5), (found, weighted)
        others = np.where(x["padding_mask"], tags, 2 - tags)
        assert np.allclose(measured(model, x, others)["loss"], found["loss"], rtol=1e-5)


@counting.clear("a label beyond the classes in evaluate", "label 3 is too high", "0 to 2")
def _() -> None:
    x, y = batch()
    model = classifier()
    model.compile(kbs.BertAdamW())
    measured(model, x, np.concatenate([[3], y[1:]]))


for _class in ("BertTextClassifier", "BertTokenClassifier"):

    @names.right(f"names and order of labels are kept by from_pretrained, then save_pretrained: {_class}", _class)
    def _(name: str) -> None:
        model_class, labels = getattr(kbs, name), ("no", "maybe", "yes")
        model_class(kbs.BertBackbone(config()), 3, label_names=labels).save_pretrained("model")
        model_class.from_pretrained("model").save_pretrained("again")
        assert tuple(model_class.from_pretrained("again").label_names) == labels


@names.right("names of labels from Hugging Face's id2label, and back again")
def _() -> str:
    model = kbs.BertTextClassifier.from_pretrained(huggingface())
    assert tuple(model.label_names) == ("no", "maybe", "yes")
    model.save_pretrained("ours")
    assert tuple(kbs.BertTextClassifier.from_pretrained("ours").label_names) == ("no", "maybe", "yes")
    return ", ".join(model.label_names)


@names.right("label_names in another order reorder the head, and the log says so")
def _() -> str:
    before = classifier()
    before.save_pretrained("model")
    with logged() as messages:
        after = kbs.BertTextClassifier.from_pretrained("model", label_names=("yes", "no", "maybe"))
    x, _ = batch()
    np.testing.assert_allclose(np.asarray(after(x)), np.asarray(before(x))[:, [2, 0, 1]], atol=1e-6)
    return messages[0]


@names.right("fine-tuning goes on from a model whose labels stand in another order: each keeps its column")
def _() -> None:
    before = classifier(("yes", "no"))
    before.save_pretrained("model", tokenizer())
    how = kbs.FineTuning(**{**vars(HOW), "learning_rate": 1e-12, "epochs": 0.5})  # no weight changes
    rows = {"text": ROWS["text"], "label": ["yes"] * 8 + ["no"] * 8}
    run = kbs.finetune("classification", "model", rows, "run", how=how)
    tuned_model = kbs.FineTuned.load(run.path)
    assert tuned_model.spec.labels == ("no", "yes")
    x, _ = batch()
    np.testing.assert_allclose(np.asarray(tuned_model.model(x)), np.asarray(before(x))[:, [1, 0]], atol=1e-5)


@names.clear("a table with a label that the model does not know", "t.csv: line 2", "'fish'", "'beast', 'bird'")
def _() -> None:
    Path("t.csv").write_text("text,label\na,fish\n")
    kbs.evaluate(tuned(), "t.csv")


@kinds.right("numpy's arrays of texts and integer labels are run")
def _() -> str:
    rows = {"text": np.array(ROWS["text"]), "label": np.array([10] * 8 + [2] * 8)}
    kbs.finetune("classification", config(), rows, "run", dev=rows, how=HOW, tokenizer=tokenizer())
    found = json.loads(Path("run/task.json").read_text())["labels"]
    assert found == ["2", "10"]
    return str(found)


@kinds.right("a list of numpy's numbers as labels is read, and written as JSON")
def _() -> None:
    rows = {"text": ["a", "b"], "label": [np.int64(1), np.int32(0)]}
    data = kbs.TaskData.read("classification", rows, tokenizer())
    assert json.loads(json.dumps(data.spec.to_dict()))["labels"] == ["0", "1"]


@kinds.right("labels 0.0 and 1.0 in columns in memory are 0 and 1")
def _() -> None:
    data = kbs.TaskData.read("classification", {"text": ["a", "b"], "label": [1.0, 0.0]}, tokenizer())
    assert data.spec.labels == ("0", "1")


@kinds.right("labels of float32 in fit and evaluate are those of int")
def _() -> None:
    (x, y), model = batch(), classifier()
    model.compile(kbs.BertAdamW(1e-3))
    model.fit(x, y.astype("float32"), verbose=0)
    assert np.allclose(measured(model, x, y.astype("float32"))["loss"], measured(model, x, y)["loss"])


@kinds.clear("a label 0.5 in fit", "whole numbers")
def _() -> None:
    (x, y), model = batch(), classifier()
    model.compile(kbs.BertAdamW(1e-3))
    model.fit(x, y + 0.5, verbose=0)


for _name, _rows, _says in (
    ("a text None", {"text": ["a", None], "label": ["x", "y"]}, ("row 2", "no value", "'text'")),
    ("a text 5", {"text": ["a", 5], "label": ["x", "y"]}, ("row 2", "not a string", "'text'")),
    ("a label None", {"text": ["a", "b"], "label": ["x", None]}, ("row 2", "no value", "'label'")),
    ("a label nan", {"text": ["a", "b"], "label": [1.0, float("nan")]}, ("row 2", "not a label", "'label'")),
    ("columns of unequal length", {"text": ["a", "b"], "label": ["x"]}, ("equal lengths", "text 2, label 1")),
    ("a single text for a column", {"text": "ab", "label": ["x", "y"]}, ("'text'", "list")),
):

    @kinds.clear(f"{_name} in columns in memory", *_says)
    def _(rows: dict[str, Any] = _rows) -> Any:
        return len(kbs.TaskData.read("classification", rows, tokenizer()))


for _name, _values, _says in (
    ("a text None", ["a", None], ("'text'", "row 2", "None")),
    ("a text 5", ["a", 5], ("'text'", "row 2", "5")),
    ("a single text, which is no list", "ab", ("'text'", "list")),
):

    @kinds.clear(f"predict with {_name}", *_says)
    def _(values: Any = _values) -> Any:
        return kbs.predict(tuned(), {"text": values})
