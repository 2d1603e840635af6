"""`keras-bert evaluate`: measure a model on data, and show its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch import atomic, figures
from keras_bert_scratch.commands.arguments import (
    LabelColumn,
    OnBadRow,
    PairColumn,
    PredictionDtype,
    PredictionTask,
    TextColumn,
    check_not_given,
    header_names,
)
from keras_bert_scratch.commands.task_options import PredictionCommand, given_options
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import name_of, path_of

COMMAND = PredictionCommand
EXAMPLE = "keras-bert evaluate demo/sentiment --data demo/held_out.csv"


def evaluate(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, of a model, or of a SavedModel.")],
    data: Annotated[
        Path, typer.Option(help="A labelled table of the task, or a folder of records for a pretrained run.")
    ],
    length: Annotated[int | None, typer.Option(help="Tokens per row of records; by default as in training.")] = None,
    batch: Annotated[int | None, typer.Option(help="Rows per batch of records; by default as in training.")] = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    label_column: LabelColumn = None,
    on_bad_row: OnBadRow = "fail",
    task: PredictionTask = None,
    dtype: PredictionDtype = None,
    out: Annotated[
        Path | None,
        typer.Option(help="With a table: the .jsonl to write, each row with the model's answer and the right one."),
    ] = None,
    errors: Annotated[
        int | None,
        typer.Option(
            help="With a table: number of worst errors to list; then the confusion matrix or metrics by label or group."
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="With a table: the .png to draw, of the confusion matrix or of metrics by label or group."),
    ] = None,
) -> None:
    """Measure a model on a table of its task, or a pretrained run on records, in the same way as the run itself did."""
    from keras_bert_scratch.commands.tables import print_results

    title = f"{path_of(run)} on {path_of(data)}"
    if path_of(data).is_dir():
        from keras_bert_scratch.training.pretraining_evaluation import evaluate_pretrained

        of_table = ("text_column", "pair_column", "label_column", "on_bad_row", "task", "out", "errors", "picture")
        check_not_given(ctx, (*of_table, *given_options(ctx)), "cannot be given with records, only with a table")
        print_results(title, evaluate_pretrained(run, data, length, batch, dtype))
        return
    if length is not None or batch is not None:
        raise UserError(
            "`length`, `batch`: cannot be given with a table, only with records; a table is read as in training"
        )
    if errors is not None and errors < 1:
        raise UserError(f"`errors`: must be at least 1, not {errors}")
    from keras_bert_scratch.commands.error_tables import print_errors
    from keras_bert_scratch.commands.json_lines import write_lines
    from keras_bert_scratch.serving import inference
    from keras_bert_scratch.tasks.pictures import figure_of

    if out is not None:
        atomic.check_is_free(out)
    if picture is not None:
        figures.check_name(picture)
    names = header_names(text_column, pair_column, label_column)
    model = inference.load_for_evaluation(run, task, given_options(ctx), dtype)
    model.task.check_shows(errors is not None, picture is not None)
    found = model.evaluation_of(data, names, on_bad_row)
    print_results(title, found.results)
    if out is not None:
        write_lines(found.lines, out)
    if errors is not None:
        print_errors(found, errors)
    if picture is not None:
        rows = f"{len(found.examples):,} row{'s' * (len(found.examples) != 1)}"
        title = f"{name_of(path_of(run))} on {name_of(path_of(data))}, {rows}"
        figures.write(figure_of(found.breakdown, title), picture)
        print(f"{path_of(picture)}: written")
