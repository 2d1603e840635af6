"""Evaluation: answers compared with gold, as metrics, lines and errors; it has no task-specific code."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_bert_scratch.tasks.error_analysis import Breakdown, WrongAnswer
from keras_bert_scratch.tasks.examples import Examples
from keras_bert_scratch.tasks.registry import get_task
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task

DIGITS = 4  # decimals of results
GOLD = "gold"


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """A model's answers for labelled rows.

    Args:
        spec: Spec. Of the model.
        examples: Examples. The rows and their gold answers.
        decoded: mapping. What the task's `decode` returned for them; the first axis is the rows.
        loss: float or None. The mean loss, if it could be computed.
    """

    spec: Spec
    examples: Examples
    decoded: Mapping[str, np.ndarray]
    loss: float | None

    @property
    def task(self) -> Task:
        """The task that the spec names."""
        return get_task(self.spec.task)

    @functools.cached_property
    def results(self) -> dict[str, Any]:
        """The task's metrics, `loss` if it could be computed, and the number of `examples`."""
        results = self.task.score(self.spec, self.decoded, self.examples.gold)
        loss = {} if self.loss is None else {"loss": self.loss}
        return {**rounded({**results, **loss}), "examples": len(self.examples)}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the rows, without those that only hold context."""
        around = self.task.optional_columns(self.spec)
        return tuple(name for name in self.examples.raw if name not in around)

    @functools.cached_property
    def lines(self) -> list[dict[str, Any]]:
        """For each row its columns and its answer, as `predict` returns it, and the right answer as `gold`."""
        gold = {name: plain(values) for name, values in self.examples.gold.items()}
        raw = {name: self.examples.raw[name] for name in self.columns}
        lines = []
        for row, answer in enumerate(answers_of(self.task, self.spec, self.decoded)):
            carried = {name: value for name, value in _row(self.examples.carried, row).items() if value}
            right = self.task.gold_of(self.spec, _row(gold, row))
            lines.append({**carried, **_row(raw, row), **answer, GOLD: right})
        return lines

    def errors(self) -> list[tuple[int, WrongAnswer]]:
        """The wrong answers with the indices of their lines, from 0; the worst first."""
        found = ((number, self.task.wrong_answer(self.spec, line)) for number, line in enumerate(self.lines))
        wrong = [(number, error) for number, error in found if error is not None]
        return sorted(wrong, key=lambda error: error[1].severity, reverse=True)

    @functools.cached_property
    def breakdown(self) -> Breakdown | None:
        """The task's breakdown of errors, such as a confusion matrix; `None` if it has none."""
        return self.task.breakdown(self.spec, self.lines)


def answers_of(task: Task, spec: Spec, decoded: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """The task's answer for each row of decoded outputs, JSON-serializable."""
    rows = zip(*map(plain, decoded.values()), strict=True)
    return [task.answer(spec, dict(zip(decoded, row, strict=True))) for row in rows]


def plain(values: Any) -> list[Any]:
    """One entry per row, with Python's built-in numbers and strings.

    Example:
        >>> plain(np.array([[b"a", "\u00e9".encode()]], object)), plain(np.array([1, 2]))
        ([['a', 'é']], [1, 2])
    """

    def decoded(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return [decoded(item) for item in value] if isinstance(value, list) else value

    return [decoded(value) for value in (values.tolist() if hasattr(values, "tolist") else values)]


def _row(columns: Mapping[str, Sequence[Any]], row: int) -> dict[str, Any]:
    return {name: values[row] for name, values in columns.items()}


def rounded(results: Mapping[str, Any]) -> dict[str, Any]:
    """The results, rounded to as many decimals as are stored."""

    def short(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: short(inner) for name, inner in value.items()}
        return round(value, DIGITS) if isinstance(value, float) else value

    return {name: short(value) for name, value in results.items()}
