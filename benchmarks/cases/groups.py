"""The groups of cases: section 2 of the issue, what Keras users meet, then 3, what is wrong in silence."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from benchmarks.cases.case import Group, Verdict, judge
from keras_bert_scratch.commands.app import import_tensorflow_quietly

MODULES = (
    "saving",
    "fitting",
    "library",
    "backends",
    "tables",
    "labels",
    "settings",
    "vocabularies",
    "paths",
    "disks",
    "runs",
    "addresses",
)


def judged(module: str, words: Sequence[str] = ()) -> list[tuple[str, str, Verdict]]:
    """Group, name and verdict of each case of a module; with words, of those whose group or name has one of them."""
    import_tensorflow_quietly()
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    groups: tuple[Group, ...] = importlib.import_module(f"benchmarks.cases.{module}").GROUPS
    cases = [case for group in groups for case in group]
    wanted = [case for case in cases if not words or any(word in f"{case.group} {case.name}" for word in words)]
    return [(case.group, case.name, judge(case)) for case in wanted]
