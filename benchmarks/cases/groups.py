"""The groups of cases: section 2, what Keras users encounter, then section 3, silent errors."""

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
    """Returns group, name and verdict of a module's cases; with words, of those whose group or name contains one."""
    import_tensorflow_quietly()
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    groups: tuple[Group, ...] = importlib.import_module(f"benchmarks.cases.{module}").GROUPS
    cases = [case for group in groups for case in group]
    wanted = [case for case in cases if not words or any(word in f"{case.group} {case.name}" for word in words)]
    return [(case.group, case.name, judge(case)) for case in wanted]
