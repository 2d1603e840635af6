"""Tables: each row as the file has it, or an error that names the line; no error passes silently."""

import tracemalloc
from pathlib import Path

import pytest
from small_tables import COLUMNS, LABEL, TEXT, rows_of

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.data.tables import Column, TableReader, read_table


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("t.csv", 'text,label\n"Good, and how",pos\nBad,neg\n', [("Good, and how", "pos"), ("Bad", "neg")]),
        ("t.csv", 'text,label\n"Two\nlines, ""or"" \t three",1\n', [('Two\nlines, "or" \t three', "1")]),
        ("t.csv", 'text,label\r\n"a\r\nb",1\r\nc,2\r\n', [("a\r\nb", "1"), ("c", "2")]),
        ("t.csv", 'text,label\n"","1"\n,2\n', [("", "1"), ("", "2")]),
        ("t.csv", 'text,label\na,"1"', [("a", "1")]),
        ("t.CSV", "text,label\na,1", [("a", "1")]),
        ("t.csv", "text,label\na\rb,1\n", [("a\rb", "1")]),
        ("t.tsv", "text\tlabel\na\rb\t1\n", [("a\rb", "1")]),
        ("t.csv", "\ufefftext,label\na,1\n", [("a", "1")]),
        ("t.csv", '\ufeff"text",label\na,1\n', [("a", "1")]),
        ("t.csv", " Text ,LABEL\n a , 1 \n", [(" a ", "1")]),
        ("t.csv", "text,label\nnull,1\nNA,0\nnan,0\n", [("null", "1"), ("NA", "0"), ("nan", "0")]),
        ("t.csv", "text,label\na,none\nb,NA\n", [("a", "none"), ("b", "NA")]),
        ("t.csv", "\ntext,label\n\n  \r\na,1\n\n\n", [("a", "1")]),
        ("t.csv", "id,text,note,label\n7,a,,1\n", [("a", "1")]),
        ("t.csv", ",text,,label\n0,a,,1\n", [("a", "1")]),
        ("t.csv", "sentence2,label,sentence1\nB,1,A\n", [("A", "B", "1")]),
        ("t.csv", "sentence,text,label\ns,t,1\n", [("t", "1")]),
        ("t.tsv", 'sentence\tlabel\n"x y\t1\nz" w\t0\n', [('"x y', "1"), ('z" w', "0")]),
        ("t.txt", 'text\tlabel\r\na, "b"\t1\r\n', [('a, "b"', "1")]),
        ("t.tsv", "text\tlabel\na\u2028b\x0bc\x85d\t1\n", [("a\u2028b\x0bc\x85d", "1")]),
        ("t.jsonl", '{"text": "a\\nb", "label": 1}\n\n{"label": 2.0, "text": ""}\n', [("a\nb", "1"), ("", "2")]),
        ("t.json", '{"text": "null", "label": true}\r\n{"text": "b", "label": 1.5}', [("null", "true"), ("b", "1.5")]),
        ("t.jsonl", '\ufeff{"Text": "a", "label": "x ", "": {}}\n{"Text": "b", "label": 0}', [("a", "x"), ("b", "0")]),
        ("t.jsonl", '{"text": "\\ud83d\\ude00", "label": 10}', [("😀", "10")]),
    ],
)  # fmt: skip
def test_a_row_is_as_the_file_has_it(name, content, rows):
    assert rows_of(content, name) == rows


A_LINE = '{"text": "a", "label": 1}\n'

WRONG = [
    ("t.csv", "text,label\nGood, really,x\n", "line 2 has 3 cells, but the header names 2 columns", "number of cells"),
    ("t.csv", "text,label\na,1\nb\n", "line 3 has 1 cell, but the header names 2 columns", "number of cells"),
    ("t.csv", "text,label\na,1,\n", "line 2 has 3 cells", "number of cells"),
    ("t.tsv", "text\tlabel\na\tb\t1\n", "line 2 has 3 cells", "number of cells"),
    ("t.tsv", "text\tlabel\na\nb\t1\n", "line 2 has 1 cell", "number of cells"),
    ("t.csv", 'text,label\n"a" b,1\n', "line 2 has text after a closing quote, ' b'", "quotes"),
    ("t.csv", 'text,label\na "b, c",1\n', "line 2 has a quote within a cell that is not quoted, 'a \"b'", "quotes"),
    ("t.csv", 'text,label\na, "1"\n', "line 2 has a quote within a cell that is not quoted", "quotes"),
    ("t.csv", 'text,label\n"a\nb",1,2\n', "line 2 has 3 cells", "number of cells"),
    ("t.csv", "text,label\na,\n", "line 2 has a blank label in the column 'label'", "blank label"),
    ("t.csv", "text,label\na,  \n", "line 2 has a blank label", "blank label"),
    ("t.csv", "text,label\na,nan\n", "line 2 has the label 'nan', which stands for a missing value", "missing label"),
    ("t.csv", "text,label\na,NaN\n", "line 2 has the label 'NaN'", "missing label"),
    ("t.csv", "text,label\na,<NA>\n", "line 2 has the label '<NA>'", "missing label"),
    ("t.csv", 'text,label\na,"1\nb,2"\n', r"line 2 has '1\nb,2', which is not one line of valid Unicode", "no label"),
    ("t.csv", b"text,label\nok,1\ncaf\xe9,1\n", "line 3 is not UTF-8 at byte 19 of the file", "not UTF-8"),
    ("t.csv", b'\xef\xbb\xbftext,label\n"x\n\xff",1\n', "line 2 is not UTF-8 at byte 17 of the file", "not UTF-8"),
    ("t.tsv", "text\tlabel\na\0\t1\n", "line 2 contains a NUL character", "NUL character"),
    ("t.jsonl", '{"text": null, "label": 1}', "line 1 has no value in the column 'text'", "missing text"),
    ("t.jsonl", '{"text": "a", "label": null}', "line 1 has no value in the column 'label'", "missing label"),
    ("t.jsonl", '{"text": "a", "label": NaN}', "line 1 has nan, which is not a label", "no label"),
    ("t.jsonl", '{"text": "a", "label": [1]}', "line 1 has [1], which is not a label", "no label"),
    ("t.jsonl", '{"text": 5, "label": 1}', "line 1 has 5, which is not a string in the column 'text'", "no text"),
    ("t.jsonl", '{"text": "\\ud83d", "label": 1}', "line 1 has a lone surrogate", "no text"),
    ("t.jsonl", '{"text": "a", "label": 1, "label": 2}', "line 1 cannot be read as JSON (an", "no JSON object"),
    ("t.jsonl", '{"text": "a", "label": 1', "line 1 is not JSON", "no JSON object"),
    ("t.jsonl", '{"text": "a"} {"text": "b"}', "line 1 is not JSON (Extra data at character 15)", "no JSON object"),
    ("t.jsonl", '"a"', "line 1 is not a JSON object", "no JSON object"),
    ("t.jsonl", '{"text": ' + "[" * 100_000, "line 1 cannot be read as JSON", "no JSON object"),
    ("t.jsonl", '{"text": "a", "label": ' + "1" * 5000 + "}", "line 1 cannot be read as JSON", "no JSON object"),
    ("t.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}', "line 2 has no 'label', which earlier rows", "missing key"),
    ("t.jsonl", f'{A_LINE}{{"text": "b", "label": 1, "sentence2": ""}}', "line 2 has 'sentence2'", "surplus key"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "expected", "reason"), WRONG)
def test_a_wrong_row_is_named_or_counted(name, content, expected, reason):
    with pytest.raises(kbs.UserError) as raised:
        rows_of(content, name)
    assert str(raised.value).startswith(f"{name}: {expected}")
    assert str(raised.value).endswith(", or skip such rows with `on_bad_row='skip'`")
    content = content if isinstance(content, bytes) else content.encode()
    good = {"t.csv": b"z,9", "t.tsv": b"z\t9", "t.jsonl": b'{"text": "z", "label": 9}'}[name]
    Path(name).write_bytes(content.rstrip(b"\n") + b"\n" + good)
    table = read_table(name, COLUMNS, on_bad_row="skip")
    assert (table.columns["text"][-1], table.columns["label"][-1]) == ("z", "9")
    assert table.skipped == {reason: 1}


WHOLE = [
    (None, None, "t.csv: no such file"),
    ("t.csv", "", "t.csv: is empty; its first line must name the columns, separated by commas"),
    ("t.tsv", "\n \n", "t.tsv: is empty; its first line must name the columns, separated by tabs"),
    ("t.csv", "text,label\n", "t.csv: holds no rows"),
    ("t.jsonl", "\n", "t.jsonl: holds no rows"),
    ("t.csv", "stars,review\n1,2\n", "has no column 'text' or 'sentence' or 'sentence1', but 'stars', 'review'"),
    ("t.csv", "text;label\na;1\n", "but 'text;label'"),
    ("t.csv", "text,stars\na,1\n", "`label_column='...'`"),
    ("t.csv", "text,label,Text \na,1,b\n", "t.csv: names the column 'Text' twice"),
    ("t.csv", b"te\xffxt,label\na,1\n", "t.csv: line 1, which must name the columns, is not UTF-8 at byte 2"),
    ("t.csv", "text,label\ra,1\rb,2\r", "t.csv: its lines end in carriage returns only"),
    ("t.csv", "text,label\na,1\n".encode("utf-16"), "t.csv: is UTF-16, not UTF-8; convert it"),
    ("t.csv", "text,label\na,1\n".encode("utf-16-le"), "line 1, which must name the columns, contains a NUL character"),
    ("t.csv", 'text,label\na,1\n"b,2\nc,3\n', "t.csv: line 3: the quote that is opened here is never closed"),
    ("t.csv", 'text,label\n"a\nb","2\nc,3\n', "t.csv: line 3: the quote that is opened here is never closed"),
    ("t.csv", 'text,label\n"b,2\nc,3\n"d, e",4\n', "line 2: the quote that is opened here is closed in line 4"),
    ("t.jsonl", '[{"text": "a", "label": 1}]', "t.jsonl: is one JSON array"),
    ("t.jsonl", '{"stars": 1}', "t.jsonl: has no column 'text' or 'sentence' or 'sentence1', but 'stars'"),
    ("t.xlsx", "PK", "t.xlsx: its ending is not that of a known table format; rename it to the one of .csv"),
    ("table", "text\tlabel\na\t1\n", "table: its ending is not that of a known table format"),
    ("t.parquet.gz", "", "t.parquet.gz: its ending is not that of a known table format"),
    ("t.csv.gz", "text,label\na,1\n", "t.csv.gz: is not a valid gzip file"),
    ("t.parquet", "text,label\na,1\n", "t.parquet: is not a valid Parquet file"),
]  # fmt: skip


@pytest.mark.parametrize("on_bad_row", ["fail", "skip"])
@pytest.mark.parametrize(("name", "content", "expected"), WHOLE)
def test_a_wrong_file_is_named_even_where_rows_are_skipped(name, content, expected, on_bad_row):
    with pytest.raises(kbs.UserError) as raised:
        rows_of(content, name, on_bad_row=on_bad_row) if name else read_table("t.csv", COLUMNS, on_bad_row=on_bad_row)
    assert expected in str(raised.value)


def test_a_folder_is_no_table():
    Path("t.csv").mkdir()
    with pytest.raises(kbs.UserError, match=r"t\.csv: is a folder; name a file in it"):
        read_table("t.csv", COLUMNS)


def test_skipped_rows_are_counted_by_reason():
    content = "text,label\na,1\nb,c,2\nd,\ne,nan\nf\n,3\n"
    assert rows_of(content, on_bad_row="skip") == [("a", "1"), ("", "3")]
    table = read_table("t.csv", COLUMNS, on_bad_row="skip")
    assert table.skipped == {"number of cells": 2, "blank label": 1, "missing label": 1}
    assert table.lines == [2, 7]
    with pytest.raises(kbs.UserError, match=r"every row is bad \(blank label: 2, number of cells: 1\)"):
        rows_of("text,label\na,\nb,\nc\n", on_bad_row="skip")


def test_lines_count_those_within_cells_and_blank_ones():
    Path("t.csv").write_text('text,label\n\n"a\nb",1\nc,2\n')
    assert read_table("t.csv", COLUMNS).lines == [3, 5]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("text\na\n\nb\n", r"line 3 is empty, in a table of one column; remove the line, or write an empty text"),
        ("text\na\n\n\n", [("a",)]),
        ('text\na\n""\nb\n', [("a",), ("",), ("b",)]),
    ],
)
def test_a_blank_line_in_a_table_of_one_column_may_be_an_empty_text(content, rows):
    if isinstance(rows, list):
        assert rows_of(content, columns=[TEXT]) == rows
    else:
        with pytest.raises(kbs.UserError, match=rows):
            rows_of(content, columns=[TEXT])


def test_columns_have_the_names_that_one_gives_them():
    content = "Review,text,stars\nr,t,5\n"
    assert rows_of(content, header_names={"text": "review", "label": "stars"}) == [("r", "5")]
    table = read_table("t.csv", COLUMNS, header_names={"text": " REVIEW", "label": "stars"})
    assert table.header_names == {"text": "Review", "label": "stars"}


@pytest.mark.parametrize(
    ("header_names", "expected"),
    [
        ({"text": "body"}, r"has no column 'body', but 'text', 'stars', ''; name one with `text_column='\.\.\.'`"),
        ({"text_pair": "body", "label": "stars"}, "no column 'body', .* `text_pair_column="),
        ({"text": ""}, "has no column '', but 'text', 'stars', ''"),
        ({"label": "text"}, "the column 'text' cannot be text and label at once"),
        ({"question": "text"}, "`question_column`: this task reads no column 'question', only text, text_pair, label"),
    ],
)
def test_wrong_names_of_columns(header_names, expected):
    with pytest.raises(kbs.UserError, match=expected):
        rows_of("text,stars,\na,1,\n", header_names=header_names)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: TableReader("t.csv", COLUMNS, on_bad_row="drop"), "`on_bad_row`: 'drop' is unknown"),
        (lambda: Column("text", kind="words"), "`kind`: 'words' is unknown"),
    ],
)
def test_wrong_arguments(make, expected):
    with pytest.raises(kbs.UserError, match=expected):
        make()


def test_the_digest_is_that_of_the_values():
    def digest(content, name="t.csv", columns=(TEXT, LABEL)):
        Path(name).write_text(content)
        return read_table(name, columns).sha256

    first = digest("text,label\na,1\nb,2\n")
    assert digest("id\tlabel\tsentence\n7\t1\ta\n\n8\t 2\tb", "t.tsv") == first
    assert digest('{"text": "a", "label": 1}\n{"text": "b", "label": 2}', "t.jsonl") == first
    others = ["text,label\na,1\nc,2\n", "text,label\nb,2\na,1\n", "text,label\na,1\n", "text,label\n1,a\n2,b\n"]
    assert len({first, *map(digest, others)}) == 1 + len(others)


def test_memory_does_not_grow_with_the_file():
    num_rows = 30_000
    with Path("t.csv").open("w") as file:
        file.write("text,label\n")
        file.writelines(f'"row {row}, {"x" * 90}",{row % 2}\n' for row in range(num_rows))
    tracemalloc.start()
    assert sum(1 for _ in TableReader("t.csv", COLUMNS)) == num_rows
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert Path("t.csv").stat().st_size > 3_000_000 > 500_000 > peak


def test_large_cells():
    text = ("x, " * 5000 + '"\n') * 1100
    Path("t.csv").write_text('text,label\n"' + text.replace('"', '""') + '",1\n')
    [found] = read_table("t.csv", COLUMNS).columns["text"]
    assert found == text
