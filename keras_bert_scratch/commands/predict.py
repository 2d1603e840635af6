"""`keras-bert predict`: ask a model about texts, or about a file of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_bert_scratch import atomic
from keras_bert_scratch.commands.arguments import OnBadRow, PairColumn, TextColumn, UsedFor, header_names
from keras_bert_scratch.commands.task_options import AskingCommand, given_options
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of

if TYPE_CHECKING:
    from keras_bert_scratch.serving.saved_model import SavedModel
    from keras_bert_scratch.tasks.fine_tuned import FineTuned

EXAMPLE = 'keras-bert predict demo/saved_model "A joy from start to end."'
COMMAND = AskingCommand

ROWS_AT_ONCE = 64  # in one call of a SavedModel

Answered = tuple[Mapping[str, str], dict[str, Any]]


def predict(
    ctx: typer.Context,
    model: Annotated[
        Path, typer.Argument(help="A fine-tuned run, a model, or a SavedModel made by 'keras-bert export'.")
    ],
    text: Annotated[list[str] | None, typer.Argument(help="The texts.")] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(help="The second text of each, where the model reads two: of a question, the passage."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Instead of texts: a table with the columns that the model was trained on.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="With --data: the .jsonl to write, a line for each row; else to the screen.")
    ] = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    on_bad_row: OnBadRow = "fail",
    task: UsedFor = None,
) -> None:
    """Print the answer about each text, or write them for a file."""
    if bool(text) == (data is not None):
        raise UserError("`text`, `data`: give texts or a table")
    if out is not None and data is None:
        raise UserError("`out`: is for `data`; texts are answered on the screen")
    asked = _loaded(model, task, given_options(ctx))
    if data is not None:
        answers = _of_table(asked, data, header_names(text_column, pair_column), on_bad_row)
        first = list(itertools.islice(answers, 1))  # an error of the model comes before the file is made
        # JSON has its own way of writing what the screen's encoding lacks.
        ascii_only = out is None and not str(sys.stdout.encoding).lower().startswith("utf")
        with _written(out) as write:
            for row, answer in itertools.chain(first, answers):
                write(json.dumps({**row, **answer}, ensure_ascii=ascii_only) + "\n")
        return
    if pair and len(pair) != len(text):
        raise UserError(f"`pair`: {len(pair)} second texts for {len(text)} texts; give one for each")
    columns = asked.columns if len(asked.columns) > 1 else (*asked.columns, "text_pair")
    raw = dict(zip(columns, (text, pair) if pair else (text,), strict=False))
    for *row, answer in zip(*raw.values(), asked.predict(raw), strict=True):
        print(f"{_line(answer)}\t" + "\t".join(row))


def _loaded(model: Path, task: str | None, asking: Mapping[str, Any]) -> FineTuned | SavedModel:
    if (path_of(model) / "saved_model.pb").exists():
        from keras_bert_scratch.serving.saved_model import SavedModel

        if task is not None:
            raise UserError("`task`: a SavedModel answers for what it was exported for; leave it out")
        if asking:
            raise UserError(f"`{next(iter(asking))}`: a SavedModel answers as it was exported; give it to 'export'")
        return SavedModel(path_of(model))
    from keras_bert_scratch.tasks.fine_tuned import FineTuned

    return FineTuned.load(model, task=task).asking(**asking)


def _of_table(
    asked: FineTuned | SavedModel, data: Path, names: Mapping[str, str], on_bad_row: str
) -> Iterator[Answered]:
    """The table's rows with their answers, in flat memory."""
    from keras_bert_scratch.tasks.data.bad_rows import rows_without_fault
    from keras_bert_scratch.tasks.data.tables import Column, TableReader, names_in_file
    from keras_bert_scratch.tasks.fine_tuned import FineTuned

    if isinstance(asked, FineTuned):
        return asked.predict_file(data, names, on_bad_row)
    columns = [
        Column(name, kind="texts" if name in asked.list_columns else "text", flag=flag)
        for name, flag in zip(asked.columns, ("text", "pair"), strict=False)
    ]
    own = names_in_file(columns, names, data)
    reader = TableReader(data, columns, header_names=own, on_bad_row=on_bad_row)
    return _in_batches(asked, (row.values for row in rows_without_fault(reader, asked.fault, on_bad_row)))


def _in_batches(model: Any, rows: Iterable[Mapping[str, str]]) -> Iterator[Answered]:
    rows = iter(rows)
    while some := list(itertools.islice(rows, ROWS_AT_ONCE)):
        raw = {name: [row[name] for row in some] for name in model.columns}
        yield from zip(some, model.predict(raw), strict=True)


@contextlib.contextmanager
def _written(out: Path | None) -> Iterator[Any]:
    if out is None:
        yield sys.stdout.write
        return
    atomic.check_is_free(out)
    with atomic.write(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file.write
    print(f"{path_of(out)}: written")


def _line(answer: Mapping[str, Any]) -> str:
    """The answer before its text: label and score parted by a tab, a score, or what else there is as JSON."""
    if isinstance(answer.get("label"), str) and "score" in answer:
        return f"{answer['label']}\t{answer['score']:.3f}"
    if "answer" in answer:
        return f"{answer['answer']}\t{answer['score']:.3f}"
    if set(answer) == {"score"}:
        return f"{answer['score']:.3f}"
    if "entities" in answer:
        found = (f"{entity['text']} ({entity['type']} {entity['score']:.2f})" for entity in answer["entities"])
        return ", ".join(found) or "no entities"
    if "targets" in answer:
        gaps = (", ".join(f"{word} ({score:.3g})" for word, score in gap.items()) for gap in answer["targets"])
        return " | ".join(gaps)
    if "fillings" in answer:
        return ", ".join(f"{' '.join(found['tokens'])} ({found['score']:.3g})" for found in answer["fillings"])
    return json.dumps(answer, ensure_ascii=False)
