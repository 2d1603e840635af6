"""`keras-bert convert`: write a model in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "keras-bert convert demo/pretrained as-hugging-face --to huggingface"


def convert(
    source: Annotated[Path, typer.Argument(help="Folder of a model, in any format that inspect knows.")],
    out: Annotated[Path, typer.Argument(help="Folder to create.")],
    to: Annotated[str, typer.Option(help="huggingface, google, keras_hub or native (ours).")],
    join: Annotated[
        Path | None,
        typer.Option(help="A right-to-left model to join with SOURCE, a left-to-right one; only to native."),
    ] = None,
) -> None:
    """Write a model, its vocabulary and its casing in another format; the weights stay bit-identical."""
    from keras_bert_scratch.checkpoints.formats import FORMATS, detect_format, read_checkpoint, write_checkpoint
    from keras_bert_scratch.filesystem import path_of

    checkpoint = read_checkpoint(source)
    if join:
        from keras_bert_scratch.checkpoints.joining import join as joined

        checkpoint = joined(checkpoint, read_checkpoint(join))
    write_checkpoint(checkpoint, out, to)
    vocabulary = f"{len(checkpoint.vocabulary):,} tokens" if checkpoint.vocabulary else "no vocabulary"
    parameters = f"{checkpoint.num_parameters:,} parameters"
    print(f"{path_of(source)}: {FORMATS[detect_format(source)]}, {checkpoint.architecture}, {parameters}, {vocabulary}")
    for note in checkpoint.notes:
        print(f"note: {note}")
    print(f"{path_of(out)}: {FORMATS[to]}")
