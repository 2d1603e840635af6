"""Columns as tasks declare them, and a function that writes a table and returns its rows."""

from pathlib import Path

from keras_bert_scratch.tasks.data.tables import Column, read_table

TEXT = Column("text", ("sentence", "sentence1"))
PAIR = Column("text_pair", ("sentence2",), required=False)
LABEL = Column("label", ("labels",), kind="label")
SCORE = Column("score", ("label",), kind="number")
LABELS = Column("labels", ("label",), kind="labels")
COLUMNS = (TEXT, PAIR, LABEL)


def rows_of(content, name="t.csv", columns=COLUMNS, **options):
    """The rows of a file with this content, each as a tuple of the columns that the file has."""
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    table = read_table(name, columns, **options)
    return list(zip(*table.columns.values(), strict=True))
