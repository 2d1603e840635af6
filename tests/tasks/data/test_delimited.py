"""Any table is read back as it was written; a damaged one is refused or read as Python's csv module reads it."""

import csv
import io
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_tables import TEXT, rows_of

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.data.tables import Column

one_folder = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
characters = st.text(st.sampled_from('ab,"\n\r\t é€😀\u2028\x1c'), max_size=6)


@st.composite
def tables(draw, cells=characters, max_columns=3):
    width = draw(st.integers(1, max_columns))
    return draw(st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=5))


def columns_of(width):
    return [Column(f"c{number}") for number in range(width)]


def written(rows, **form):
    file = io.StringIO()
    csv.writer(file, **form).writerows([[column.name for column in columns_of(len(rows[0]))], *rows])
    return file.getvalue()


@given(rows=tables())
@one_folder
def test_what_pythons_csv_module_writes_is_read_back(rows):
    assert rows_of(written(rows), columns=columns_of(len(rows[0]))) == [tuple(row) for row in rows]


@given(rows=tables(st.text(st.sampled_from("ab,\"\r é€😀\u2028\x1c'"), max_size=6).map(lambda text: text + "."), 4))
@one_folder
def test_what_tabs_separate_is_read_back(rows):
    content = "\n".join("\t".join(row) for row in [[f"c{n}" for n in range(len(rows[0]))], *rows])
    assert rows_of(content, "t.tsv", columns_of(len(rows[0]))) == [tuple(row) for row in rows]


@given(rows=tables(), data=st.data())
@one_folder
def test_a_damaged_file_is_refused_or_read_as_pythons_csv_module_reads_it(rows, data):
    """The csv module in strict mode is the oracle; it accepts rows of any length, which must be errors here."""
    content = written(rows, lineterminator="\n").replace("\r", "")
    position = data.draw(st.integers(content.index("\n") + 1, len(content)))
    inserted = data.draw(st.sampled_from(["", ",", '"', "\n", ',"', '""']))
    damaged = content[:position] + inserted + content[position + data.draw(st.integers(0, 1)) :]
    width = len(rows[0])
    try:
        found = rows_of(damaged, columns=columns_of(width))
    except kbs.UserError:
        return
    _, *expected = csv.reader(io.StringIO(damaged, newline=""), strict=True)
    blank = [[], [""], [" "]] if width > 1 else [[]]
    assert found == [tuple(row) for row in expected if row not in blank]


@given(rows=st.lists(st.dictionaries(st.sampled_from(["text", "more"]), characters), min_size=1, max_size=4))
@one_folder
def test_json_lines_are_read_back(rows):
    rows = [{"text": "", **row} for row in rows]
    content = "\n".join(map(json.dumps, rows))
    assert rows_of(content, "t.jsonl", [TEXT]) == [(row["text"],) for row in rows]
