"""`keras-bert attend`: show the attention weights of a text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of

EXAMPLE = 'keras-bert attend demo/pretrained "The film is a joy from start to end." --out attention.html'


def attend(
    model: Annotated[Path, typer.Argument(help="A run, or a model of any known format, with its vocabulary.")],
    text: Annotated[str, typer.Argument(help="The text.")],
    out: Annotated[Path, typer.Option(help="The .html to write; a .png of the same name is written beside it.")],
    pair: Annotated[str | None, typer.Option(help="A second text, read together with the first.")] = None,
    length: Annotated[
        int | None, typer.Option(help="Maximum tokens to show; by default 64, or the model's positions if fewer.")
    ] = None,
) -> None:
    """Write a page and a picture of a text's attention weights, in all layers and heads."""
    from keras_bert_scratch import atomic, figures
    from keras_bert_scratch.attention.maps import attention_maps
    from keras_bert_scratch.attention.page import write_page
    from keras_bert_scratch.attention.picture import figure_of

    page = path_of(out)
    if page.suffix.lower() != ".html":
        raise UserError(f"`out`: is a web page; give it a name that ends in .html, not {page.name!r}")
    picture = page.with_suffix(".png")
    for file in (page, picture):
        atomic.check_is_free(file)
    maps = attention_maps(model, text, pair, length)
    with atomic.write(page) as temporary:  # without the picture there is no page, so that the command can be repeated
        write_page(maps, str(path_of(model)), temporary)
        figures.write(figure_of(maps, str(path_of(model))), picture)
    print(f"{page}: written, and {picture.name}")
