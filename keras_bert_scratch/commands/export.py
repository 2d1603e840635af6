"""`keras-bert export`: make a SavedModel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import AskedDtype, UsedFor
from keras_bert_scratch.commands.task_options import AskingCommand, given_options

EXAMPLE = "keras-bert export demo/sentiment --out my-saved-model"
COMMAND = AskingCommand


def export(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="Folder of a finished fine-tuning run, or of a model.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    task: UsedFor = None,
    dtype: AskedDtype = None,
) -> None:
    """Write a fine-tuned run as a SavedModel that takes raw strings."""
    from keras_bert_scratch.filesystem import files_below, path_of
    from keras_bert_scratch.serving.export import export_saved_model
    from keras_bert_scratch.tasks.fine_tuned import FineTuned

    tuned = FineTuned.load(run, dtype, task, given_options(ctx))
    export_saved_model(tuned, out)
    size = sum(file.stat().st_size for file in files_below(path_of(out)))
    labels = f", labels {', '.join(tuned.spec.labels)}" * bool(tuned.spec.labels)
    takes = f"takes {', '.join(tuned.spec.columns)}{labels}"
    print(f"{path_of(out)}: SavedModel, {tuned.spec.task}, {size / 1e6:.1f} MB, {takes}")
