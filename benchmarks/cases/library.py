"""Section 2: what the library leaves unchanged, its error messages, what is public, what can be overridden."""

from __future__ import annotations

import ast
import contextlib
import random
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_bert_scratch as kbs
from benchmarks.cases.case import Group, keras_bert
from benchmarks.cases.small import HOW, ROWS, classifier, config, records, tokenizer, tuned

PACKAGE = Path(kbs.__file__).parent

seeds, errors, public = Group("2 global generators"), Group("2 library errors"), Group("2 public names")
overriding, private = Group("2 from_pretrained"), Group("2 private Keras names")
GROUPS = (seeds, errors, public, overriding, private)


def drawn() -> list[float]:
    """Draws a number from every global generator."""
    numbers = [random.random(), float(np.random.rand()), float(tf.random.uniform([]))]
    return [*numbers, float(keras.random.uniform([]))]


RUNS: dict[str, Callable[[], Any]] = {
    "pretrain": lambda: kbs.pretrain(
        kbs.PretrainingRecords(records()), config(), "run", kbs.TrainingOptions(steps=1), batch_size=4, max_length=16
    ),
    "finetune": lambda: kbs.finetune("classification", config(), ROWS, "run", how=HOW, tokenizer=tokenizer()),
}
for _name, _run in RUNS.items():

    @seeds.right(f"{_name} leaves the generators of Python, numpy, TensorFlow and Keras as they were", _run)
    def _(run: Callable[[], Any]) -> None:
        records(), tokenizer()  # made before the numbers are drawn
        keras.utils.set_random_seed(9)
        expected = [drawn(), drawn()]
        keras.utils.set_random_seed(9)
        first = drawn()
        run()
        assert [first, drawn()] == expected


@errors.right("no message of the library speaks of command-line flags")
def _() -> str:
    found, texts = [], 0
    for file in PACKAGE.rglob("*.py"):
        if "commands" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and node.exc is not None:
                for part in ast.walk(node.exc):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        texts += 1
                        found += re.findall(r"(?<![\w-])--[a-z][\w-]*", part.value)
    assert texts > 200
    assert not found, found
    return f"{texts} parts of messages"


@errors.clear("finetune(batch_size=0) names the argument", "`batch_size`")
def _() -> None:
    how = kbs.FineTuning(batch_size=0)
    kbs.finetune("classification", config(), ROWS, "run", how=how, tokenizer=tokenizer())


@errors.clear("keras-bert finetune --batch 0 names the flag", "--batch")
def _() -> None:
    Path("t.csv").write_text("text,label\na,yes\nb,no\n")
    keras_bert("finetune", "--init", tuned(), "--train", "t.csv", "--out", "run", "--batch", "0")


@errors.right("UserError is a ValueError, and is caught as one")
def _() -> str:
    with contextlib.suppress(ValueError):
        kbs.FineTuning(epochs=-1)
        raise AssertionError("no error")
    return str(kbs.UserError.__mro__[1].__name__)


for _name in (
    "pretrain",
    "finetune",
    "evaluate",
    "predict",
    "FineTuning",
    "TrainingOptions",
    "RunOptions",
    "FineTuned",
):

    @public.right(f"kbs.{_name} is public and documented", _name)
    def _(name: str) -> str:
        assert name in kbs.__all__
        assert name in dir(kbs)
        documented = getattr(kbs, name).__doc__
        assert "Args:" in documented
        return documented.splitlines()[0]


def saved() -> None:
    """Saves a classifier in the folder `model`."""
    classifier().save_pretrained("model", tokenizer())


@overriding.right("from_pretrained(hidden_dropout=..., attention_dropout=...) overrides dropout")
def _() -> None:
    saved()
    model = kbs.BertTextClassifier.from_pretrained("model", hidden_dropout=0.5, attention_dropout=0.25)
    assert model.dropout.rate == 0.5
    assert (model.backbone.config.hidden_dropout, model.backbone.config.attention_dropout) == (0.5, 0.25)


@overriding.right("from_pretrained(remat=True) recomputes")
def _() -> None:
    saved()
    assert kbs.BertTextClassifier.from_pretrained("model", remat=True).backbone.encoder_blocks[0].remat is True


@overriding.right("from_pretrained(config=...) takes another config of the same sizes")
def _() -> None:
    saved()
    other = config(hidden_dropout=0.0, activation="relu")
    assert kbs.BertTextClassifier.from_pretrained("model", config=other).backbone.config == other


@overriding.right("from_pretrained(dtype='mixed_bfloat16')")
def _() -> None:
    saved()
    model = kbs.BertTextClassifier.from_pretrained("model", dtype="mixed_bfloat16")
    assert model.backbone.encoder_blocks[0].compute_dtype == "bfloat16"


@overriding.clear("from_pretrained(hidden_size=32) of weights of width 16", "`hidden_size`", "16", "32")
def _() -> None:
    saved()
    kbs.BertTextClassifier.from_pretrained("model", hidden_size=32)


@overriding.right("a fine-tuned model is loaded and measured without an optimizer")
def _() -> None:
    model = kbs.FineTuned.load(tuned())
    _, examples = model.task.read(ROWS, model.spec)
    model.evaluate(examples)
    assert not getattr(model.model, "compiled", False)
    assert getattr(model.model, "optimizer", None) is None


@private.right("pyproject bounds Keras from above")
def _() -> str:
    text = (PACKAGE.parent / "pyproject.toml").read_text()
    [keras_line] = [line for line in tomllib.loads(text)["project"]["dependencies"] if line.startswith("keras>")]
    assert re.search(r"<\d", keras_line)
    return keras_line


@private.clear("a Keras whose trainer lacks what we override", f"keras {keras.__version__}", "constraints.txt")
def _() -> None:
    trainer = next(cls for cls in keras.Model.__mro__ if "_maybe_symbolic_build" in vars(cls))
    kept = trainer._maybe_symbolic_build
    del trainer._maybe_symbolic_build
    try:
        classifier().compile(kbs.BertAdamW())
    finally:
        trainer._maybe_symbolic_build = kept
