"""Predictor: prediction on raw text and evaluation, for every kind of model; it has no task-specific code."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.progress import ProgressBar
from keras_bert_scratch.tasks.data.bad_rows import check_rows
from keras_bert_scratch.tasks.data.table_formats import texts_in_memory
from keras_bert_scratch.tasks.data.texts import Source
from keras_bert_scratch.tasks.evaluation import Evaluation, answers_of
from keras_bert_scratch.tasks.examples import Examples
from keras_bert_scratch.tasks.registry import get_task
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task

BATCH_SIZE = 64  # windows in one call of the model
ROWS_AT_ONCE = 4096

Answered = tuple[Mapping[str, Any], dict[str, Any]]


def ignore(rows: int) -> None:
    """The default callback for progress: does nothing."""


class Predictor(abc.ABC):
    """A model for a task: `FineTuned`, or a `SavedModel` that was exported from one."""

    spec: Spec
    rows_at_once: int = ROWS_AT_ONCE  # rows of a stream that are sorted by length together

    @property
    @abc.abstractmethod
    def digest(self) -> str:
        """Identifies the model and everything that its answers depend on: equal digests, equal answers."""

    @abc.abstractmethod
    def decoded(
        self,
        raw: Mapping[str, Sequence[Any]],
        gold: Mapping[str, Any] | None = None,
        on_batch: Callable[[int], None] = ignore,
    ) -> tuple[dict[str, np.ndarray], float | None]:
        """What the task's `decode` returns for all rows, in order; with `gold`, the mean loss if it can be computed.

        Args:
            raw: lists of strings, or of lists of strings, by column.
            gold: the gold answers, as the task's reader returns them.
            on_batch: called after each batch with its number of rows.
        """

    @abc.abstractmethod
    def with_options(self, options: Mapping[str, Any]) -> Predictor:
        """The same model with other options of its task.

        Raises:
            UserError: the options of this model are fixed.
        """

    def with_prediction_options(self, **options: Any) -> Predictor:
        """The same model with other prediction options.

        Args:
            options: the prediction options to change, such as `top_k=3` for fill-mask; the others keep their values.

        Raises:
            UserError: the task has no such option, its value is invalid, or the model was exported with another.
        """
        return self.with_options(self.spec.with_prediction_options(options).options)

    @property
    def task(self) -> Task:
        """The task that the spec names."""
        return get_task(self.spec.task)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of strings that it reads."""
        return self.spec.columns

    def predict(
        self, raw: Mapping[str, Sequence[Any]], on_batch: Callable[[int], None] = ignore
    ) -> list[dict[str, Any]]:
        """The answers for some rows, in order, JSON-serializable.

        Args:
            raw: mapping of the columns that the model was trained on, all of the same length.
            on_batch: called after each batch with its number of rows.

        Raises:
            UserError: `raw` has other columns, or a value is not a string; the message names the row.
        """
        self.task.check_columns(self.spec, raw)
        rows = len(next(iter(raw.values())))
        left_out = [name for name in self.task.optional_columns(self.spec) if name not in raw]
        raw = {**raw, **{name: [""] * rows for name in left_out}}
        texts = texts_in_memory(raw, self.task.list_columns)
        check_rows(texts, self.task.fault)
        decoded, _ = self.decoded(texts, on_batch=on_batch)
        return answers_of(self.task, self.spec, decoded)

    def predict_stream(
        self, rows: Iterator[Mapping[str, Any]], on_batch: Callable[[int], None] = ignore
    ) -> Iterator[Answered]:
        """Yields each row with its answer, in order, in constant memory."""
        optional = self.task.optional_columns(self.spec)
        while some := list(itertools.islice(rows, self.rows_at_once)):
            raw = {name: [row[name] for row in some] for name in some[0] if name not in self.task.carried}
            own = [{name: value for name, value in row.items() if name not in optional} for row in some]
            yield from zip(own, self.predict(raw, on_batch), strict=True)

    def predict_file(
        self,
        data: AnyPath | str,
        header_names: Mapping[str, str],
        on_bad_row: str = "fail",
        show_progress: bool = False,
    ) -> Iterator[Answered]:
        """Yields each row of a file with its answer, in constant memory.

        Args:
            data: path of a table.
            header_names: the table's own names for columns; they override the training table's names.
            on_bad_row: what to do with bad rows: `"fail"`, or `"skip"` and count.
            show_progress: whether to show the progress on stderr. With `"fail"`, the file is then read to its end
                first, so that the remaining time is known and bad rows are found before hours of work.
        """

        def rows() -> Iterator[Mapping[str, Any]]:
            return self.task.unlabelled(data, self.spec.renamed(header_names), on_bad_row)

        if not show_progress:
            yield from self.predict_stream(rows())
            return
        can_be_read_twice = on_bad_row == "fail" and not Path(str(data)).is_fifo()
        total = sum(1 for _ in rows()) if can_be_read_twice else None
        with ProgressBar("answering", "rows") as bar:
            yield from self.predict_stream(rows(), bar.counter(total))

    def evaluation(self, examples: Examples, on_batch: Callable[[int], None] = ignore) -> Evaluation:
        """The answers for labelled rows, compared with gold: metrics, errors and their breakdown."""
        self.task.check_columns(self.spec, examples.raw)
        return Evaluation(self.spec, examples, *self.decoded(examples.raw, examples.gold, on_batch))

    def evaluate(self, examples: Examples) -> dict[str, Any]:
        """The task's metrics on labelled rows, the loss if it can be computed, and the number of rows."""
        return self.evaluation(examples).results

    def evaluation_of(
        self, data: Source, header_names: Mapping[str, str] | None = None, on_bad_row: str = "fail"
    ) -> Evaluation:
        """`evaluation` on a table, read into memory, with a progress bar; `header_names` override the training's."""
        spec, examples = self.task.read(data, self.spec.renamed(header_names or {}), on_bad_row)
        fitting = self if spec.options == self.spec.options else self.with_options(spec.options)
        with ProgressBar("answering", "rows") as bar:
            return fitting.evaluation(examples, bar.counter(len(examples)))
