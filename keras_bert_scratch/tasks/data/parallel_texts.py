"""Texts and their translations: two aligned files, or a table with a column for each language."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from keras_bert_scratch.data.corpus.tables import TFDS_PREFIX
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of
from keras_bert_scratch.tasks.data.bad_rows import BadRows, with_report
from keras_bert_scratch.tasks.data.lines import BadRow, Line
from keras_bert_scratch.tasks.data.numbered_texts import lines_of
from keras_bert_scratch.tasks.data.table_formats import table_ending
from keras_bert_scratch.tasks.data.tables import Column, TableReader, names_in_file
from keras_bert_scratch.tasks.examples import Examples

SOURCE = Column("source", ("text",), flag="text")
TARGET = Column("target", ("translation", "reference"), flag="label")


class Pair(NamedTuple):
    """A text and its translation, each unchanged except that the line end is removed."""

    source: str
    target: str


def read_pairs(source: Any, header_names: Mapping[str, str], on_bad_row: str) -> Examples:
    r"""Reads pairs of texts for training or evaluation.

    Args:
        source: two aligned files as `"train.de,train.en"`, in which only `\n` ends a line; a table with the columns
            `source` and `target`; or columns of these names in memory.
        header_names: from role to the table's column name.
        on_bad_row: `"fail"` raises at a bad row, `"skip"` skips and counts it.

    Raises:
        UserError: a file does not exist, the files differ in length, a row is bad, or there is no pair at all.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("a.de").write_text("Blau.\nGrau.\n"), Path("a.en").write_text("Blue.\nGrey.\n")
        >>> examples = read_pairs("a.de,a.en", {}, "fail")
        >>> examples.raw, examples.gold
        ({'source': ['Blau.', 'Grau.']}, {'target': ['Blue.', 'Grey.']})
    """
    files = two_files(source)
    if files:
        bad = BadRows(str(source), on_bad_row, "pairs")
        pairs = list(_aligned(*files, bad))
    else:
        columns = (SOURCE, TARGET)
        names = names_in_file(columns, header_names, source)
        reader = TableReader(source, columns, header_names=names, on_bad_row=on_bad_row)
        bad = BadRows(reader.path, on_bad_row, "pairs")
        rows = ((Pair(row.values["source"], row.values["target"]), row.line) for row in reader)
        pairs = [pair for pair, line in rows if bad.keeps(_fault(pair), f"{reader.unit} {line}")]
        bad.skipped.update(reader.skipped)
    bad.report()
    if not pairs:
        raise UserError(f"{bad.origin}: holds no pairs of texts; give at least one")
    digest = hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
    sources, targets = map(list, zip(*pairs, strict=True))
    return Examples(bad.origin, {"source": sources}, {"target": targets}, digest, bad.skipped)


def sources_of(source: Any, header_names: Mapping[str, str], on_bad_row: str) -> Iterator[Mapping[str, str]]:
    """Yields the texts to translate, in constant memory; each line of a text file is one text, even an empty line.

    Args:
        source: a text file, two aligned files (only the first is read), or a table with a column `source`.
        header_names, on_bad_row: as for `read_pairs`.
    """
    files = two_files(source)
    if not files and (isinstance(source, Mapping) or header_names or _is_table(str(source))):
        names = names_in_file((SOURCE,), header_names, source)
        reader = TableReader(source, (SOURCE,), header_names=names, on_bad_row=on_bad_row)
        yield from (row.values for row in with_report(reader))
        return
    path = files[0] if files else str(source)
    bad = BadRows(path, on_bad_row, "lines")
    for line in lines_of(path):
        if bad.keeps(line.fault, f"line {line.number}"):
            yield {"source": line.text.rstrip("\r\n")}
    bad.report()


def two_files(source: Any) -> tuple[str, str] | None:
    """The two paths of `"train.de,train.en"`; `None` if `source` is not of this form.

    Example:
        >>> two_files("train.de,train.en"), two_files("train.tsv")
        (('train.de', 'train.en'), None)
    """
    if isinstance(source, Mapping) or "," not in str(source) or path_of(source).exists():
        return None
    files = str(source).split(",")
    if len(files) != 2 or not all(files):
        raise UserError(f"{source}: names {len(files)} files; give two, the texts and their translations")
    return files[0], files[1]


def _is_table(path: str) -> bool:
    return path.startswith(TFDS_PREFIX) or table_ending(path) not in ("", ".txt")


def _aligned(source: str, target: str, bad: BadRows) -> Iterator[Pair]:
    lines, others = list(lines_of(source)), list(lines_of(target))
    if len(lines) != len(others):
        raise UserError(
            f"{source} has {len(lines):,} lines, but {target} has {len(others):,}; aligned files must have the same "
            f"number of lines: check that they belong together and are complete"
        )
    for ours, theirs in zip(lines, others, strict=True):
        pair = Pair(ours.text.rstrip("\r\n"), theirs.text.rstrip("\r\n"))
        if bad.keeps(_of_lines(source, ours, target, theirs) or _fault(pair), f"line {ours.number}"):
            yield pair


def _of_lines(source: str, ours: Line, target: str, theirs: Line) -> BadRow | None:
    for path, line in ((source, ours), (target, theirs)):
        if line.fault:
            return line.fault._replace(problem=f"of {path} {line.fault.problem}")
    return None


def _fault(pair: Pair) -> BadRow | None:
    for name, text in zip(("source", "target"), pair, strict=True):
        if not text.strip():
            return BadRow(f"empty {name}", f"has an empty {name}", "complete the pair or remove it")
    return None
