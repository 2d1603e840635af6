"""Texts with their line numbers, from a file with one text per line or from a table's column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keras_bert_scratch.data.corpus.streams import opened
from keras_bert_scratch.data.corpus.tables import TFDS_PREFIX
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of
from keras_bert_scratch.tasks.data.bad_rows import BadRows, with_report
from keras_bert_scratch.tasks.data.headers import first_line_cells, names_column
from keras_bert_scratch.tasks.data.lines import Line, read_lines
from keras_bert_scratch.tasks.data.table_formats import table_ending
from keras_bert_scratch.tasks.data.tables import PAIR_ROLE, TableReader, names_in_file
from keras_bert_scratch.tasks.data.texts import PAIR, TEXT

LINE = "line"


def numbered_texts(source: Any, header_names: Mapping[str, str], on_bad_row: str) -> Iterator[dict[str, Any]]:
    r"""Yields each text as `{"text": ..., "line": ...}`, in constant memory; `line` is the line or row number.

    A file without a table's ending has one text on each non-blank line. The same holds for a `.txt` file, unless its
    first line names a column `text`, `sentence` or `sentence1`.

    Args:
        source: path of a file, or columns in memory by name.
        header_names: from role to the table's column name. If it has `text_pair`, rows have a `text_pair` too.
        on_bad_row: `"fail"` raises at a bad row, `"skip"` skips and counts it.

    Raises:
        UserError: the file does not exist, a row is bad, or there is no text at all.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("sky.txt").write_text("Blue.\n\nGrey, mostly.\n")
        >>> list(numbered_texts("sky.txt", {}, "fail"))
        [{'text': 'Blue.', 'line': 1}, {'text': 'Grey, mostly.', 'line': 3}]
    """
    if not isinstance(source, Mapping) and not _is_table(str(source), header_names):
        yield from _lines(str(source), on_bad_row)
        return
    columns = (TEXT, PAIR) if PAIR_ROLE in header_names else (TEXT,)
    names = names_in_file(columns, header_names, source)
    for row in with_report(TableReader(source, columns, header_names=names, on_bad_row=on_bad_row)):
        yield {**row.values, LINE: row.line}


def _is_table(path: str, header_names: Mapping[str, str]) -> bool:
    if header_names or path.startswith(TFDS_PREFIX):
        return True  # a named column implies a table
    if table_ending(path) != ".txt":
        return bool(table_ending(path))
    return names_column(first_line_cells(path), TEXT)


def _lines(path: str, on_bad_row: str) -> Iterator[dict[str, Any]]:
    bad = BadRows(path, on_bad_row, "rows")
    found = False
    for line in lines_of(path):
        if line.text.isspace():
            continue
        if bad.keeps(line.fault, f"line {line.number}"):
            found = True
            yield {TEXT.name: line.text.rstrip("\r\n"), LINE: line.number}
    bad.report()
    if not found:
        raise UserError(f"{path}: holds no texts; give a file with a text on each line, or a table")


def lines_of(path: str) -> Iterator[Line]:
    """Yields the lines of a file of texts, in constant memory.

    Raises:
        UserError: the file does not exist.
    """
    file = path_of(path)
    if not file.exists():
        raise UserError(f"{path}: no such file; check the path")
    if file.is_dir():
        raise UserError(f"{path}: is a folder; name a file in it")
    with opened(path) as stream:
        yield from read_lines(path, stream)
