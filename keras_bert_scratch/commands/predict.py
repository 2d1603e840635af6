"""`keras-bert predict`: print a model's answers for texts, or write them for a table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_bert_scratch import figures
from keras_bert_scratch.commands.answer_bars import most_probable, print_bars, shows_bars
from keras_bert_scratch.commands.arguments import (
    OnBadRow,
    PairColumn,
    PredictionDtype,
    PredictionTask,
    TextColumn,
    check_not_given,
    header_names,
)
from keras_bert_scratch.commands.json_lines import as_json, write_lines
from keras_bert_scratch.commands.tables import console_for_tables
from keras_bert_scratch.commands.task_options import PredictionCommand, given_options
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, name_of, path_of

if TYPE_CHECKING:
    from keras_bert_scratch.tasks.task import Task

MOST_PICTURED = 20
EXAMPLE = 'keras-bert predict demo/saved_model "A joy from start to end."'
COMMAND = PredictionCommand


def predict(
    ctx: typer.Context,
    model: Annotated[
        Path, typer.Argument(help="A fine-tuned run, a model, or a SavedModel made by 'keras-bert export'.")
    ],
    text: Annotated[list[str] | None, typer.Argument(help="The texts.")] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(help="The second text of each, if the model reads pairs: for a question, the passage."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Instead of texts: a table with the columns that the model was trained on.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="With --data: the .jsonl to write, a line per row, or for embeddings .npz or .parquet; by default the "
            "answers are printed."
        ),
    ] = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    on_bad_row: OnBadRow = "fail",
    task: PredictionTask = None,
    dtype: PredictionDtype = None,
    picture: Annotated[
        Path | None, typer.Option(help="With texts: the .png to draw, with the candidates of each answer.")
    ] = None,
) -> None:
    """Print the answer for each text, or write the answers for a table.

    On a terminal, bars show the probabilities of the candidates: labels, words or answers.
    """
    if bool(text) == (data is not None):
        raise UserError("`text`, `data`: give one of them, texts or a table")
    if out is not None and data is None:
        raise UserError("`out`: is only for `data`; leave it out, answers to texts are printed")
    if data is None:
        of_table = ("text_column", "pair_column", "on_bad_row")
        check_not_given(ctx, of_table, "cannot be given with `text`, only with a table")
    else:
        check_not_given(ctx, ("pair",), "is only for `text`; a table has its own column of second texts")
    if picture is not None:
        if data is not None or len(text) > MOST_PICTURED:
            raise UserError(
                f"`picture`: is only for `text`, at most {MOST_PICTURED} of them; leave it out, or give fewer"
            )
        figures.check_name(picture)
    from keras_bert_scratch.serving.inference import load
    from keras_bert_scratch.serving.signatures import Signatures
    from keras_bert_scratch.tasks import embedding_files

    asked = load(model, task, given_options(ctx), dtype)
    if data is not None:
        answers = asked.predict_file(data, header_names(text_column, pair_column), on_bad_row, out is not None)
        if out is not None and out.suffix.lower() in embedding_files.ENDINGS:
            embedding_files.write_embeddings(answers, out, asked)
            print(f"{path_of(out)}: written")
        else:
            write_lines(({**row, **answer} for row, answer in answers), out)
        return
    if pair and len(pair) != len(text):
        raise UserError(f"`pair`: {len(pair)} second texts for {len(text)} texts; give one for each")
    if isinstance(asked, Signatures) and len(asked.columns) > 1 and asked.columns != ("text", "text_pair"):
        raise UserError(
            f"`text`: nothing in {model} says what its inputs {', '.join(asked.columns)} are; give a table "
            "with these columns as `data`"
        )
    has_bars = not isinstance(asked, Signatures) and asked.task.has_candidates
    if picture is not None and not has_bars:
        raise UserError(f"`picture`: {model} has no probabilities of several candidates; leave it out")
    columns = asked.columns if len(asked.columns) > 1 else (*asked.columns, "text_pair")
    raw = dict(zip(columns, (text, pair) if pair else (text,), strict=False))
    rows = list(zip(*raw.values(), strict=True))
    answers = asked.predict(raw)
    if has_bars and shows_bars():
        for row, answer in zip(rows, answers, strict=True):
            candidates, chosen = asked.task.candidates(answer), asked.task.chosen(answer)
            print_bars(row, candidates, asked.task.candidates_are_exclusive, console_for_tables(), chosen)
    else:
        for row, answer in zip(rows, answers, strict=True):
            print(_line(answer), *map(_field, row), sep="\t")
    if picture is not None:
        _draw(asked.task, rows, answers, path_of(model), picture)


def _draw(
    task: Task, rows: Sequence[Sequence[str]], answers: Sequence[Mapping[str, Any]], model: AnyPath, picture: Path
) -> None:
    from keras_bert_scratch.tasks.pictures import Panel, figure_of_candidates

    panels = []
    for row, answer in zip(rows, answers, strict=True):
        chosen = task.chosen(answer)
        for group, probabilities in task.candidates(answer).items():
            text = f"{group}: {' | '.join(row)}" if group else " | ".join(row)
            shown = most_probable(probabilities, chosen or ())
            panels.append(Panel(text, shown, chosen, len(probabilities) - len(shown)))
    title = f"Answers of {name_of(model)} to {len(rows)} text{'s' * (len(rows) != 1)}"
    figures.write(figure_of_candidates(panels, title, task.candidates_are_exclusive), picture)
    print(f"{path_of(picture)}: written", file=sys.stderr)  # stdout must hold only answers, for programs


def _line(answer: Mapping[str, Any]) -> str:
    """Formats the answer that is printed before its text: label and score with a tab between them, a score, or JSON."""
    for name in ("label", "answer", "translation"):
        if isinstance(answer.get(name), str) and "score" in answer:
            return f"{_field(answer[name])}\t{answer['score']:.3f}"
    if len(answer) == 1 and isinstance(number := answer.get("score", answer.get("similarity")), float):
        return f"{number:.3f}"
    if {"embedding", "token_embeddings", "similarity"} & answer.keys():
        return as_json(_short(answer.get("embedding", answer)))
    if "entities" in answer:
        found = (f"{_field(entity['text'])} ({entity['type']} {entity['score']:.2f})" for entity in answer["entities"])
        return ", ".join(found) or "no entities"
    if "targets" in answer:
        gaps = (", ".join(f"{word} ({score:.3g})" for word, score in gap.items()) for gap in answer["targets"])
        return " | ".join(gaps)
    if "fillings" in answer:
        return ", ".join(f"{' '.join(found['tokens'])} ({found['score']:.3g})" for found in answer["fillings"])
    return as_json(answer)


def _field(text: str) -> str:
    """A text as a field of a line: line ends and tabs would start another one, so each becomes a blank."""
    return " ".join(text.replace("\t", " ").splitlines())


def _short(value: Any) -> Any:
    """Rounds numbers to four decimals."""
    if isinstance(value, Mapping):
        return {name: _short(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_short(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value
