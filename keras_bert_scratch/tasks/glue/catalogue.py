"""GLUE's tasks as data: what their files are called and hold, what is measured, what the server wants to read."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from keras_bert_scratch.errors import UserError


@dataclasses.dataclass(frozen=True)
class GlueSet:
    """What is scored apart from everything else: most tasks have one such set, MNLI two.

    Args:
        name: str. As published tables have it, and the file for the server.
        dev: str, default "dev". The name of its labelled file, without the ending.
        test: tuple of str, default `("test",)`. Names of the file that the server has the labels of; the first one that
            is there counts.
    """

    name: str
    dev: str = "dev"
    test: tuple[str, ...] = ("test",)


@dataclasses.dataclass(frozen=True)
class GlueTask:
    """One task of GLUE (Wang et al. 2019, arXiv:1804.07461, table 1).

    Args:
        name: str. As GLUE spells it.
        columns: mapping. By role (`"text"`, `"text_pair"`, `"label"`) the column in the files: first in GLUE's, then in
            the copies of Hugging Face and TensorFlow Datasets.
        labels: mapping. By what files have for a label, what the server calls it; the model learns these names. Empty
            for scores.
        metrics: tuple of str, default `("accuracy",)`. The official ones, as our tasks call them.
        task: str, default "pair-classification". Which of our tasks it is.
        sets: tuple of GlueSet. What is measured; by the first set the best epoch is picked.
        tfds: str. The configuration of TensorFlow Datasets' `glue`.
        train: tuple of str, default `("train",)`. Names of the training file, without the ending.
        held_out_ids: str, default `""`. The file that lists which pairs of the training file are the dev set, for a
            folder that has no dev file.
        folders: tuple of str, default `()`. What else its folder may be called.
        unnamed: tuple of str, default `()`. The columns of those files that have no header.
        answered_by: str, default `""`. The task whose model answers, where it has no training data.
        is_nli: bool, default `False`. Whether a model of three classes, entailment, neutral and contradiction, answers
            it, the last two being one.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, str]
    metrics: tuple[str, ...] = ("accuracy",)
    task: str = "pair-classification"
    sets: tuple[GlueSet, ...] = ()
    tfds: str = ""
    train: tuple[str, ...] = ("train",)
    held_out_ids: str = ""
    folders: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    answered_by: str = ""
    is_nli: bool = False


def _labels(names: Sequence[str], *alike: Sequence[str]) -> dict[str, str]:
    """By number, by name, and by other people's names in the same order, the server's name."""
    numbers = [str(number) for number in range(len(names))]
    return {own: name for known in (numbers, names, *alike) for own, name in zip(known, names, strict=True)}


_SENTENCE = {"text": ("sentence",), "label": ("label",)}
_SENTENCES = {"text": ("sentence1",), "text_pair": ("sentence2",), "label": ("label",)}
_PREMISE = {
    "text": ("sentence1", "premise"),
    "text_pair": ("sentence2", "hypothesis"),
    "label": ("gold_label", "label"),
}
_TWO = _labels(("entailment", "not_entailment"))
_THREE = _labels(("entailment", "neutral", "contradiction"))

_TASKS = (
    GlueTask(
        "CoLA",
        {**_SENTENCE, "label": ("label", "is_acceptable")},
        _labels(("0", "1"), ("unacceptable", "acceptable")),
        ("matthews",),
        "classification",
        (GlueSet("CoLA"),),
        "cola",
        unnamed=("source", "label", "mark", "sentence"),
    ),
    GlueTask(
        "SST-2",
        _SENTENCE,
        _labels(("0", "1"), ("negative", "positive")),
        task="classification",
        sets=(GlueSet("SST-2"),),
        tfds="sst2",
    ),
    GlueTask(
        "MRPC",
        {"text": ("#1 String", "sentence1"), "text_pair": ("#2 String", "sentence2"), "label": ("Quality", "label")},
        _labels(("0", "1"), ("not_equivalent", "equivalent")),
        ("f1", "accuracy"),
        sets=(GlueSet("MRPC", test=("test", "msr_paraphrase_test")),),
        tfds="mrpc",
        train=("train", "msr_paraphrase_train"),
        held_out_ids="dev_ids",
    ),
    GlueTask(
        "QQP",
        {"text": ("question1",), "text_pair": ("question2",), "label": ("is_duplicate", "label")},
        _labels(("0", "1"), ("not_duplicate", "duplicate")),
        ("f1", "accuracy"),
        sets=(GlueSet("QQP"),),
        tfds="qqp",
    ),
    GlueTask(
        "STS-B",
        {**_SENTENCES, "label": ("score", "label")},
        {},
        ("pearson", "spearman"),
        "regression",
        (GlueSet("STS-B"),),
        "stsb",
    ),
    GlueTask(
        "MNLI",
        _PREMISE,
        _THREE,
        sets=(
            GlueSet("MNLI-m", "dev_matched", ("test_matched",)),
            GlueSet("MNLI-mm", "dev_mismatched", ("test_mismatched",)),
        ),
        tfds="mnli",
    ),
    GlueTask(
        "QNLI",
        {"text": ("question",), "text_pair": ("sentence",), "label": ("label",)},
        _TWO,
        sets=(GlueSet("QNLI"),),
        tfds="qnli",
    ),
    GlueTask("RTE", _SENTENCES, _TWO, sets=(GlueSet("RTE"),), tfds="rte", is_nli=True),
    GlueTask(
        "WNLI",
        _SENTENCES,
        _labels(("0", "1"), ("not_entailment", "entailment")),
        sets=(GlueSet("WNLI"),),
        tfds="wnli",
    ),
    GlueTask(
        "AX",
        _PREMISE,
        _THREE,
        (),
        sets=(GlueSet("AX", "", ("AX", "diagnostic", "test")),),
        tfds="ax",
        folders=("diagnostic",),
        answered_by="MNLI",
    ),
)

GLUE = {task.name: task for task in _TASKS}


def glue_task(name: str) -> GlueTask:
    """The task called `name`; case, `-` and `_` do not matter.

    Raises:
        UserError: there is none; lists those that there are.

    Example:
        >>> glue_task("sst2").name, glue_task("STS-B").metrics
        ('SST-2', ('pearson', 'spearman'))
    """
    for task in GLUE.values():
        if bare(name) == bare(task.name):
            return task
    raise UserError(f"`tasks`: {name!r} is no task of GLUE; they are {', '.join(GLUE)}")


def bare(name: str) -> str:
    """A name without what differs by accident."""
    return re.sub(r"[\s_-]+", "", name).casefold()
