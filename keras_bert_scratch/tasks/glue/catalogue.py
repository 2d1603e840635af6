"""Definitions of GLUE's tasks: names and contents of their files, metrics, and labels in the server's format."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from keras_bert_scratch.errors import UserError


@dataclasses.dataclass(frozen=True)
class GlueSet:
    """An evaluation set with its own score: most tasks have one, MNLI has two.

    Args:
        name: str. Its name in published tables, and of the file for the server.
        dev: str, default "dev". Name of its labelled file, without the ending.
        test: tuple of str, default `("test",)`. Possible names of its test file, whose labels only the server has; the
            first one that exists is used.
    """

    name: str
    dev: str = "dev"
    test: tuple[str, ...] = ("test",)


@dataclasses.dataclass(frozen=True)
class GlueTask:
    """One task of GLUE (Wang et al. 2019, arXiv:1804.07461, table 1).

    Args:
        name: str. As GLUE spells it.
        columns: mapping. From role (`"text"`, `"text_pair"`, `"label"`) to its possible column names: first the one in
            GLUE's files, then those in the copies of Hugging Face and TensorFlow Datasets.
        labels: mapping. From a label in the files to the server's name for it; the model learns the server's names.
            Empty for scores.
        metrics: tuple of str, default `("accuracy",)`. The official metrics, by their names in our tasks.
        task: str, default "pair-classification". The name of our task that it is an instance of.
        sets: tuple of GlueSet. The sets to evaluate; the best epoch is selected on the first one.
        tfds: str. Its configuration name in TensorFlow Datasets' `glue`.
        train: tuple of str, default `("train",)`. Possible names of the training file, without the ending.
        held_out_ids: str, default `""`. The file that lists which pairs of the training file form the dev set, used if
            the folder has no dev file.
        folders: tuple of str, default `()`. Alternative names of its folder.
        unnamed: tuple of str, default `()`. Column names for files without a header.
        answered_by: str, default `""`. For a task without training data, the task whose model answers it.
        is_nli: bool, default `False`. Whether a model with the classes entailment, neutral and contradiction can answer
            it, with the last two merged into one.
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
    """Maps class numbers, the server's names and other names (in the same order) to the server's names."""
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
    """The task called `name`; case, blanks, `-` and `_` are ignored.

    Raises:
        UserError: there is no such task; the message lists the known ones.

    Example:
        >>> glue_task("sst2").name, glue_task("STS-B").metrics
        ('SST-2', ('pearson', 'spearman'))
    """
    for task in GLUE.values():
        if bare(name) == bare(task.name):
            return task
    raise UserError(f"`tasks`: {name!r} is not a GLUE task; choose among {', '.join(GLUE)}")


def bare(name: str) -> str:
    """A name without case, blanks, `-` and `_`."""
    return re.sub(r"[\s_-]+", "", name).casefold()
