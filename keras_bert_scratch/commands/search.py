"""`keras-bert search`: the texts of a file that are nearest to a query."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import OnBadRow, PredictionDtype, TextColumn, check_not_given, header_names

SHOWN = 200  # characters of a text on the screen
EXAMPLE = 'keras-bert search demo/pretrained "It made me laugh." --data demo/held_out.csv'


def search(
    ctx: typer.Context,
    model: Annotated[Path, typer.Argument(help="A model of any class, or a SavedModel exported for embed.")],
    queries: Annotated[list[str], typer.Argument(help="One or more texts to search for.")],
    data: Annotated[Path | None, typer.Option(help="A file with one text per line, or a table.")] = None,
    top: Annotated[int, typer.Option(help="Texts to show for each query.")] = 5,
    index: Annotated[
        Path | None, typer.Option(help="An .npz that stores the embeddings; read if it exists, else written.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The .jsonl to write, a line for each text found; by default they are printed.")
    ] = None,
    text_column: TextColumn = None,
    on_bad_row: OnBadRow = "fail",
    dtype: PredictionDtype = None,
    pooling: Annotated[
        str | None, typer.Option(help="mean, cls or max; by default as the model's folder says.")
    ] = None,
    layers: Annotated[str | None, typer.Option(help="The layer to use, -1 for the last.")] = None,
) -> None:
    """Find the texts of a file that are nearest to a query, by the cosine of their embeddings."""
    from rich.table import Table
    from rich.text import Text

    from keras_bert_scratch import atomic
    from keras_bert_scratch.commands.json_lines import as_json
    from keras_bert_scratch.commands.tables import console_for_tables
    from keras_bert_scratch.filesystem import path_of
    from keras_bert_scratch.serving.search import search as search_texts

    if data is None:
        check_not_given(ctx, ("text_column", "on_bad_row"), "has no effect without `data`; leave it out")
    if out is not None:
        atomic.check_is_free(out)
    given = {"pooling": pooling, "layers": layers}
    options = {name: value for name, value in given.items() if value is not None}
    names = header_names(text_column, None)
    found = search_texts(model, queries, data, top, index, names, on_bad_row, dtype, **options)
    if out is not None:
        lines = (
            as_json({"query": query, "rank": rank, **dataclasses.asdict(hit)})
            for query, hits in zip(queries, found, strict=True)
            for rank, hit in enumerate(hits, 1)
        )
        atomic.write_text(out, "".join(f"{line}\n" for line in lines))
        print(f"{path_of(out)}: written")
        return
    for query, hits in zip(queries, found, strict=True):
        print(query)
        table = Table("rank", "score", "line", "times", "text")
        for rank, hit in enumerate(hits, 1):
            table.add_row(str(rank), f"{hit.score:.3f}", f"{hit.line:,}", f"{hit.count:,}", Text(_cut(hit.text)))
        console_for_tables().print(table)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN].rstrip()}…"
