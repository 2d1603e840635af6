"""`keras-bert predict`: ask a model about texts, or about a file of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_bert_scratch import atomic
from keras_bert_scratch.commands.arguments import OnBadRow, PairColumn, TextColumn, UsedFor, header_names
from keras_bert_scratch.commands.task_options import TaskCommand, task_options
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of

if TYPE_CHECKING:
    from keras_bert_scratch.serving.saved_model import SavedModel
    from keras_bert_scratch.tasks.fine_tuned import FineTuned

COMMAND = TaskCommand
EXAMPLE = 'keras-bert predict demo/saved_model "A joy from start to end."'

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
        Path | None,
        typer.Option(
            help="With --data: the .jsonl to write, a line for each row, of embeddings also .npz or .parquet; else to "
            "the screen."
        ),
    ] = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    on_bad_row: OnBadRow = "fail",
    task: UsedFor = None,
) -> None:
    """Print the answer about each text, or write them for a file."""
    from keras_bert_scratch.serving.loading import load_model

    if bool(text) == (data is not None):
        raise UserError("`text`, `data`: give texts or a table")
    if out is not None and data is None:
        raise UserError("`out`: is for `data`; texts are answered on the screen")
    asked = load_model(model, task, task_options(ctx))
    if data is not None:
        answers = _of_table(asked, data, header_names(text_column, pair_column), on_bad_row)
        first = list(itertools.islice(answers, 1))  # an error of the model comes before the file is made
        with _written(out, asked) as write:
            for row, answer in itertools.chain(first, answers):
                write(row, answer)
        return
    if pair and len(pair) != len(text):
        raise UserError(f"`pair`: {len(pair)} second texts for {len(text)} texts; give one for each")
    columns = asked.columns if len(asked.columns) > 1 else (*asked.columns, "text_pair")
    raw = dict(zip(columns, (text, pair) if pair else (text,), strict=False))
    for *row, answer in zip(*raw.values(), asked.predict(raw), strict=True):
        print(f"{_line(answer)}\t" + "\t".join(row))


def _of_table(
    asked: FineTuned | SavedModel, data: Path, names: Mapping[str, str], on_bad_row: str
) -> Iterator[Answered]:
    """The table's rows with their answers, in flat memory."""
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
    return asked.predict_stream(row.values for row in reader)


@contextlib.contextmanager
def _written(out: Path | None, asked: FineTuned | SavedModel) -> Iterator[Any]:
    """Yields a function that takes a row and its answer."""
    from keras_bert_scratch.tasks.embedding_files import ENDINGS, embeddings_file

    def lines_in(file: Any) -> Any:
        # JSON has its own way of writing what the screen's encoding lacks.
        ascii_only = file is sys.stdout and not str(file.encoding).lower().startswith("utf")
        return lambda row, answer: file.write(json.dumps({**row, **answer}, ensure_ascii=ascii_only) + "\n")

    if out is None:
        yield lines_in(sys.stdout)
        return
    if out.suffix.lower() in ENDINGS:
        with embeddings_file(out, asked.digest) as write:
            yield write
    else:
        atomic.check_is_free(out)
        with atomic.write(out) as temporary, temporary.open("w", encoding="utf-8") as file:
            yield lines_in(file)
    print(f"{path_of(out)}: written")


def _line(answer: Mapping[str, Any]) -> str:
    """The answer before its text: label and score parted by a tab, a score, or what else there is as JSON."""
    if isinstance(answer.get("label"), str) and "score" in answer:
        return f"{answer['label']}\t{answer['score']:.3f}"
    if "answer" in answer:
        return f"{answer['answer']}\t{answer['score']:.3f}"
    if len(answer) == 1 and isinstance(number := answer.get("score", answer.get("similarity")), float):
        return f"{number:.3f}"
    if {"embedding", "token_embeddings", "similarity"} & answer.keys():
        return json.dumps(_short(answer.get("embedding", answer)), ensure_ascii=False)
    if "entities" in answer:
        found = (f"{entity['text']} ({entity['type']} {entity['score']:.2f})" for entity in answer["entities"])
        return ", ".join(found) or "no entities"
    return json.dumps(answer, ensure_ascii=False)


def _short(value: Any) -> Any:
    """Numbers with four digits behind the point."""
    if isinstance(value, Mapping):
        return {name: _short(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_short(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value
