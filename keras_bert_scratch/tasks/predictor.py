"""Predictor: what answers about raw text and is measured, wherever the model comes from; it knows no single task."""

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
    """What is called after each batch where nobody asks for the progress."""


class Predictor(abc.ABC):
    """A model that was made for a task: `FineTuned`, or a `SavedModel` that was exported from one."""

    spec: Spec
    rows_at_once: int = ROWS_AT_ONCE  # of a stream, sorted by length together

    @property
    @abc.abstractmethod
    def digest(self) -> str:
        """A name for the model and all that it answers by: two of one name give the same answers."""

    @abc.abstractmethod
    def decoded(
        self,
        raw: Mapping[str, Sequence[Any]],
        gold: Mapping[str, Any] | None = None,
        on_batch: Callable[[int], None] = ignore,
    ) -> tuple[dict[str, np.ndarray], float | None]:
        """What the task's `decode` gives for all rows in their order; with `gold`, where it can be told, the mean loss.

        Args:
            raw: lists of strings, or of lists of strings, by column.
            gold: what is right for each row, as the task's reader gives it.
            on_batch: called after each batch with how many rows it had.
        """

    @abc.abstractmethod
    def with_options(self, options: Mapping[str, Any]) -> Predictor:
        """The same model, used with other options of its task.

        Raises:
            UserError: it was made with its own for good.
        """

    def asking(self, **options: Any) -> Predictor:
        """The same model, asked otherwise.

        Args:
            options: the task's own options of asking, such as `top_k=3` of fill-mask; the others stay as they are.

        Raises:
            UserError: the task has no such option, its value cannot be, or the model was exported with another one.
        """
        return self.with_options(self.spec.asked(options).options)

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
        """The answers about some rows, in their order, as JSON can hold them.

        Args:
            raw: mapping of the columns that the model was trained on, equally long.
            on_batch: called after each batch with how many rows it had.

        Raises:
            UserError: `raw` has other columns, or a value is no string; names the row.
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
        """Yields each of the rows with its answer, in their order, in flat memory."""
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
        """Yields each row of a file with its answer, in flat memory.

        Args:
            data: path of a table.
            header_names: what the table calls a column; goes before the training table's names.
            on_bad_row: `"fail"`, or `"skip"` and count.
            show_progress: whether to show it on stderr. A file whose bad rows are errors is then first read to its end:
                the time left is known, and they are found before hours of work.
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
        """Answers about labelled rows beside what is right: metrics, errors, what is taken for what."""
        self.task.check_columns(self.spec, examples.raw)
        return Evaluation(self.spec, examples, *self.decoded(examples.raw, examples.gold, on_batch))

    def evaluate(self, examples: Examples) -> dict[str, Any]:
        """The task's metrics on labelled rows, the loss where it can be told, and how many rows there are."""
        return self.evaluation(examples).results

    def evaluation_of(
        self, data: Source, header_names: Mapping[str, str] | None = None, on_bad_row: str = "fail"
    ) -> Evaluation:
        """`evaluation` on a table, which is read whole, with its progress; `header_names` go before the training's."""
        spec, examples = self.task.read(data, self.spec.renamed(header_names or {}), on_bad_row)
        fitting = self if spec.options == self.spec.options else self.with_options(spec.options)
        with ProgressBar("answering", "rows") as bar:
            return fitting.evaluation(examples, bar.counter(len(examples)))
