"""A table whose file does not itself define the names of its columns or labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.tasks.data.cells import cell_value
from keras_bert_scratch.tasks.data.labels import unknown_label
from keras_bert_scratch.tasks.data.lines import BadRow


@dataclasses.dataclass(frozen=True)
class NamedTable:
    r"""A table's path with the names of its columns and labels; accepted wherever a table's path is.

    Args:
        path: path of a table, or `tfds:NAME/CONFIG:SPLIT`.
        header_names: mapping, default `{}`. From role (`"text"`, `"text_pair"`, `"label"`) to column name in the file.
        names: sequence of str, default `()`. Names of all columns in their order, for a `.csv`, `.tsv` or `.txt` file
            without a header.
        labels: mapping, default `{}`. From a value of the label column to the label that it means; a row with any other
            value is bad. `header_names` must then name the label column. Empty: labels are used as they are.

    Example:
        >>> from pathlib import Path
        >>> from keras_bert_scratch.tasks.data.table_formats import opened_table
        >>> _ = Path("cola.tsv").write_text("gj04\t1\t\tOur friends won't buy this.\nks08\t0\t*\tIt am.\n")
        >>> meaning = {"0": "unacceptable", "1": "acceptable"}
        >>> table = NamedTable("cola.tsv", {"label": "good"}, ("source", "good", "mark", "text"), meaning)
        >>> with opened_table(table) as opened:
        ...     [(line, row["text"], row["good"]) for line, row in opened.records]
        [(1, "Our friends won't buy this.", 'acceptable'), (2, 'It am.', 'unacceptable')]
    """

    path: AnyPath | str
    header_names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    names: Sequence[str] = ()
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def with_labels(self, records: Iterator[tuple[int, Any]], typed: bool) -> Iterator[tuple[int, Any]]:
        """The numbered records with their labels replaced by what they mean; arguments as for `RawTable`."""
        if not self.labels:
            return records
        column = self.header_names["label"]
        return ((number, self._with_label(record, column, typed)) for number, record in records)

    def _with_label(self, record: Any, column: str, typed: bool) -> Any:
        if isinstance(record, BadRow):
            return record
        if column not in record:
            column = next((name for name in record if name.strip().casefold() == column.strip().casefold()), column)
        label = cell_value(record.get(column), "label", typed)
        if isinstance(label, BadRow):
            return record  # the reader of the cell reports the fault
        if label not in self.labels:
            return unknown_label(label, tuple(self.labels))
        return {**record, column: self.labels[label]}
