"""Tables with cells separated by commas or tabs: a header, then rows with exactly as many cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tasks.data.lines import BadRow, Line

Cells = list[str] | BadRow


def tsv_rows(path: str, lines: Iterator[Line]) -> Iterator[tuple[int, Cells]]:
    """Yields the number and the cells of each tab-separated line; quotes are plain text, as in GLUE's own files.

    An empty line has no cells, neither here nor in `csv_rows`.
    """
    for line in lines:
        yield line.number, _cells(line, "\t")


def csv_rows(path: str, lines: Iterator[Line]) -> Iterator[tuple[int, Cells]]:
    r"""Yields the number of the first line and the cells of each row, as in RFC 4180; a lone `\n` also ends a row.

    Raises:
        UserError: a quoted cell is never closed, or text follows the closing quote of a cell that spans several lines.
            In both cases it is unknown where the next row begins.
    """
    for line in lines:
        yield line.number, _QuotedRow(path, line, lines).cells() if '"' in line.text else _cells(line, ",")


def read_header(path: str, rows: Iterator[tuple[int, Cells]], separator: str) -> list[str]:
    """Returns the names of the columns: the cells of the first row that is not blank."""
    number, names = next(((number, cells) for number, cells in rows if not _is_blank(cells)), (0, None))
    if names is None:
        raise UserError(f"{path}: is empty; its first line must name the columns, separated by {separator}s")
    if isinstance(names, BadRow):
        raise UserError(f"{path}: line {number}, which must name the columns, {names.problem}; {names.fix}")
    if any("\r" in name for name in names):
        raise UserError(f"{path}: its lines end in carriage returns only; save it with line feeds")
    return names


def as_records(
    rows: Iterable[tuple[int, Cells]], names: list[str], has_header: bool = True
) -> Iterator[tuple[int, dict[str, str] | BadRow]]:
    """Yields each row as a dict from column name to cell; skips blank lines.

    In a table of one column an empty line may be an empty text, so it is a bad row unless only empty lines follow.
    """
    empty_lines: list[int] = []
    for number, cells in rows:
        if not cells and len(names) == 1:
            empty_lines.append(number)
            continue
        if _is_blank(cells) and len(names) > 1:
            continue
        for empty in empty_lines:
            fix = 'remove the line, or write an empty text as "" in a .csv file'
            yield empty, BadRow("empty line", "is empty, in a table of one column", fix)
        empty_lines.clear()
        if isinstance(cells, BadRow):
            yield number, cells
        elif len(cells) == len(names):
            yield number, dict(zip(names, cells, strict=True))
        else:
            all_columns = f"{'the header names' if has_header else 'there are'} {_count(len(names), 'column')}"
            problem = f"has {_count(len(cells), 'cell')}, but {all_columns}"
            fix = "complete the row, or quote (in a .csv file) or remove the separators within its cells"
            yield number, BadRow("number of cells", problem, fix)


class _QuotedRow:
    """Reads one row that has quotes.

    Args:
        path: `str`. Name of the file in errors.
        first: `Line`. The line in which the row starts.
        following: iterator of `Line`. The lines after it; the reader consumes as many as the quoted cells span.
    """

    def __init__(self, path: str, first: Line, following: Iterator[Line]) -> None:
        self._path = path
        self._line = first
        self._following = following
        self._fault = first.fault
        self._position = 0  # of the next character of the line

    def cells(self) -> Cells:
        cells = []
        while True:
            opened_in = self._line.number
            quoted = self._quoted_cell() if self._line.text.startswith('"', self._position) else None
            body = _without_end(self._line.text)
            comma = body.find(",", self._position)
            end = len(body) if comma < 0 else comma
            unquoted = body[self._position : end]
            if quoted is None and '"' in unquoted:
                problem = f"has a quote within a cell that is not quoted, {_shown(unquoted)}"
                return BadRow("quotes", problem, "quote the whole cell and double the quotes within it")
            if quoted is not None and unquoted:
                if opened_in < self._line.number:
                    raise UserError(
                        f"{self._path}: line {opened_in}: the quote that is opened here is closed in line "
                        f"{self._line.number}, where text follows it; close it where the cell ends, and double the "
                        f"quotes within the cell"
                    )
                problem = f"has text after a closing quote, {_shown(unquoted)}"
                return BadRow("quotes", problem, "double the quotes within a quoted cell")
            cells.append(unquoted if quoted is None else quoted)
            if comma < 0:
                return self._fault or cells
            self._position = comma + 1

    def _quoted_cell(self) -> str:
        opened_in = self._line.number
        parts = []
        start = self._position + 1
        while True:
            text = self._line.text
            quote = text.find('"', start)
            if quote < 0:
                parts.append(text[start:])
                self._next_line(opened_in)
                start = 0
            elif text.startswith('"', quote + 1):
                parts.append(text[start : quote + 1])
                start = quote + 2
            else:
                parts.append(text[start:quote])
                self._position = quote + 1
                return "".join(parts)

    def _next_line(self, opened_in: int) -> None:
        line = next(self._following, None)
        if line is None:
            raise UserError(
                f"{self._path}: line {opened_in}: the quote that is opened here is never closed; close it where the "
                f"cell ends, and double the quotes within the cell"
            )
        self._line = line
        self._fault = self._fault or line.fault


def _cells(line: Line, separator: str) -> Cells:
    text = _without_end(line.text)
    return line.fault or (text.split(separator) if text else [])


def _is_blank(cells: Cells) -> bool:
    return not cells or (len(cells) == 1 and not cells[0].strip(" \r"))


def _without_end(text: str) -> str:
    return text[:-1].removesuffix("\r") if text.endswith("\n") else text


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
