"""`keras-bert export`: make a SavedModel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import PredictionDtype, PredictionTask
from keras_bert_scratch.commands.task_options import PredictionCommand, given_options
from keras_bert_scratch.errors import UserError

EXAMPLE = "keras-bert export demo/sentiment --out my-saved-model"
COMMAND = PredictionCommand


def export(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="Folder of a finished fine-tuning run, or of a model.")],
    out: Annotated[Path, typer.Option(help="Folder to create.")],
    version: Annotated[
        str | None,
        typer.Option(
            help="Write version folder N, or 'next', of the model folder --out, in TensorFlow Serving's layout, and "
            "models.config beside that folder."
        ),
    ] = None,
    row_lengths: Annotated[
        str | None,
        typer.Option(
            help="Lengths that rows are padded to, such as 16,32,64; by default multiples of 8.", metavar="N,N..."
        ),
    ] = None,
    warm_up: Annotated[
        bool,
        typer.Option(help="Write warm-up requests: a server runs each length before it answers, and is ready later."),
    ] = True,
    variants: Annotated[
        str | None,
        typer.Option(
            help="Also write and compare the network for other engines: litert, litert-int8, onnx, onnx-int8.",
            metavar="NAME,NAME...",
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="With --variants: labelled data to measure them on.")] = None,
    weights: Annotated[
        str, typer.Option(help="Weights in the graph: constants, faster; or variables, with half of the memory.")
    ] = "constants",
    attention: Annotated[
        bool,
        typer.Option("--attention", help="Add a signature for attention weights; the page of 'serve' shows them."),
    ] = False,
    task: PredictionTask = None,
    dtype: PredictionDtype = None,
) -> None:
    """Write a fine-tuned run as a SavedModel that takes raw strings."""
    from keras_bert_scratch.commands.tables import console_for_tables, grid_of
    from keras_bert_scratch.filesystem import files_below, path_of
    from keras_bert_scratch.serving.export import export_saved_model
    from keras_bert_scratch.serving.versions import version_folder, write_models_config
    from keras_bert_scratch.tasks.fine_tuned import FineTuned

    if data is not None and not variants:
        raise UserError("`data`: is only for measuring `variants`; give some, or leave it out")
    lengths = _numbers(row_lengths) if row_lengths else ()
    base = path_of(out)
    folder = base if version is None else version_folder(base, version)
    tuned = FineTuned.load(run, dtype, task, given_options(ctx))
    names = variants.split(",") if variants else ()
    measured = export_saved_model(tuned, folder, lengths, run, warm_up, names, data, weights, attention)
    if measured:
        metric = tuned.task.best_by[0]  # the model card has the others
        found = {one.name: {metric: one.results[metric]} if one.results else {} for one in measured}
        rows = {one.name: {**one.size_and_times, **found[one.name]} for one in measured}
        console_for_tables().print(grid_of("variant", rows))
    if version is not None:
        print(write_models_config(base))
    size = sum(file.stat().st_size for file in files_below(folder))
    labels = f", labels {', '.join(tuned.spec.labels)}" * bool(tuned.spec.labels)
    takes = f"takes {', '.join(tuned.spec.columns)}{labels}"
    print(f"{folder}: SavedModel, {tuned.spec.task}, {size / 1e6:.1f} MB, {takes}")


def _numbers(listed: str) -> list[int]:
    try:
        return [int(number) for number in listed.split(",")]
    except ValueError:
        raise UserError(f"`row_lengths`: {listed!r} is not a list of lengths; write numbers such as 16,32,64") from None
