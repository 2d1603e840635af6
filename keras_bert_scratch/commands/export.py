"""`keras-bert export`: make a SavedModel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from keras_bert_scratch.commands.arguments import AskedDtype, UsedFor
from keras_bert_scratch.commands.task_options import AskingCommand, given_options
from keras_bert_scratch.errors import UserError

EXAMPLE = "keras-bert export demo/sentiment --out my-saved-model"
COMMAND = AskingCommand


def export(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="Folder of a finished fine-tuning run, or of a model.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    version: Annotated[
        str | None,
        typer.Option(
            help="Write version folder N of the model in --out, or 'next', as TensorFlow Serving wants them, and "
            "models.config beside the model."
        ),
    ] = None,
    row_lengths: Annotated[
        str | None,
        typer.Option(
            help="Lengths that rows are padded to, as in 16,32,64; without it multiples of 8.", metavar="N,N..."
        ),
    ] = None,
    warm_up: Annotated[
        bool, typer.Option(help="Have TensorFlow Serving try each length before it answers; it is ready later.")
    ] = True,
    variants: Annotated[
        str | None,
        typer.Option(
            help="Files of the network for other engines, of litert, litert-int8, onnx, onnx-int8; compares them.",
            metavar="NAME,NAME...",
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="With --variants: labelled data to measure them with.")] = None,
    weights: Annotated[
        str, typer.Option(help="In the graph: constants, quicker; or variables, for half of the memory.")
    ] = "constants",
    attention: Annotated[
        bool,
        typer.Option("--attention", help="Add a signature that tells who looks at whom; the page of 'serve' shows it."),
    ] = False,
    task: UsedFor = None,
    dtype: AskedDtype = None,
) -> None:
    """Write a fine-tuned run as a SavedModel that takes raw strings."""
    from keras_bert_scratch.commands.tables import grid_of
    from keras_bert_scratch.filesystem import files_below, path_of
    from keras_bert_scratch.serving.export import export_saved_model
    from keras_bert_scratch.serving.versions import version_folder, write_models_config
    from keras_bert_scratch.tasks.fine_tuned import FineTuned

    if data is not None and not variants:
        raise UserError("`data`: is to measure `variants` with; name some, or leave it out")
    lengths = _numbers(row_lengths) if row_lengths else ()
    base = path_of(out)
    folder = base if version is None else version_folder(base, version)
    tuned = FineTuned.load(run, dtype, task, given_options(ctx))
    names = variants.split(",") if variants else ()
    measured = export_saved_model(tuned, folder, lengths, run, warm_up, names, data, weights, attention)
    if measured:
        metric = tuned.task.best_by[0]  # the card has the others
        found = {one.name: {metric: one.results[metric]} if one.results else {} for one in measured}
        rows = {one.name: {**one.size_and_times, **found[one.name]} for one in measured}
        Console().print(grid_of("variant", rows))
    if version is not None:
        print(f"{write_models_config(base.parent)}: written")
    size = sum(file.stat().st_size for file in files_below(folder))
    labels = f", labels {', '.join(tuned.spec.labels)}" * bool(tuned.spec.labels)
    takes = f"takes {', '.join(tuned.spec.columns)}{labels}"
    print(f"{folder}: SavedModel, {tuned.spec.task}, {size / 1e6:.1f} MB, {takes}")


def _numbers(listed: str) -> list[int]:
    try:
        return [int(number) for number in listed.split(",")]
    except ValueError:
        raise UserError(f"`row_lengths`: {listed!r} are no lengths; write numbers such as 16,32,64") from None
