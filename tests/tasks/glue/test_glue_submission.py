"""Files for GLUE's server."""

from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.data.named_table import NamedTable
from keras_bert_scratch.tasks.glue.submission import prediction_of, read_test, write_submission

SPEC = kbs.Spec("classification", ("text",), 32, ("0", "1"))


def table_of(text: str, on_bad_row: str = "fail"):
    Path("test.tsv").write_text(text)
    names = {"text": "sentence", **({"index": "index"} if "index" in text else {})}
    return read_test(NamedTable("test.tsv", names), SPEC, on_bad_row)


class Echo:
    """A model that answers with the number in a text."""

    def predict_stream(self, rows, on_batch):
        for row in rows:
            yield row, {"score": float(row["text"])}


@pytest.mark.parametrize(
    ("score", "written"), [(-0.2, "0.000"), (5.3, "5.000"), (2.34567, "2.346"), (0.0, "0.000"), (5.0, "5.000")]
)
def test_scores_are_cut_off_at_the_ends(score, written):
    assert prediction_of({"score": score}) == written


@pytest.mark.parametrize("score", ["nan", "inf"])
def test_answers_of_a_diverged_model_are_not_written(score):
    table = table_of(f"index\tsentence\n0\t2.5\n1\t{score}\n")
    with pytest.raises(
        kbs.UserError, match=r"^STS-B\.tsv: not written, as the model's scores are not finite numbers; "
    ):
        write_submission(Echo(), table, Path("STS-B.tsv"), "STS-B")
    assert not Path("STS-B.tsv").exists()


def test_rows_come_in_the_order_of_their_numbers():
    """TensorFlow Datasets has another order; sorted as text, 10 would come before 2."""
    table = table_of("index\tsentence\n10\t1.5\n2\t7\n0\t-1\n")
    write_submission(Echo(), table, Path("sub/STS-B.tsv"), "STS-B")
    assert Path("sub/STS-B.tsv").read_text() == "index\tprediction\n0\t0.000\n2\t5.000\n10\t1.500\n"


def test_rows_without_numbers_count_from_0():
    assert table_of("sentence\n7\n8\n").columns == {"text": ["7", "8"], "index": [0, 1]}


def test_a_row_that_is_left_out_moves_no_other(caplog):
    table = table_of("index\tsentence\n0\t1\n1\n2\t3\n", "skip")
    assert table.columns == {"text": ["1", "3"], "index": [0, 2]}
    assert "test.tsv: left out 1 rows; GLUE's server needs a prediction for each" in caplog.text


@pytest.mark.parametrize(
    ("text", "on_bad_row", "saying"),
    [
        ("index\tsentence\n0\ta\n1\n", "fail", r"test\.tsv: line 3 has 1 cell"),
        ("id\tsentence\n0\ta\n1\n", "skip", r"test\.tsv: 1 rows are bad, and there is no index column"),
        ("index\tsentence\n0\ta\n0\tb\n", "fail", r"test\.tsv: line 3 has the index 0, which occurs twice"),
        ("index\tsentence\n0\ta\n1.5\tb\n", "fail", r"test\.tsv: line 3 has the index 1\.5, which is not a whole"),
        ("index\tsentence\nx\ta\n", "fail", r"test\.tsv: line 2 has 'x', which is not a finite number"),
    ],
)
def test_a_test_file_that_cannot_be_answered(text, on_bad_row, saying):
    with pytest.raises(kbs.UserError, match=saying):
        table_of(text, on_bad_row)
