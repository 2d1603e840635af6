"""Files for GLUE's server: the index and the prediction of each row of a test file."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.progress import ProgressBar
from keras_bert_scratch.tasks.data.named_table import NamedTable
from keras_bert_scratch.tasks.data.tables import Column, Table, read_table
from keras_bert_scratch.tasks.data.texts import text_columns
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.spec import Spec

HEADER = "index\tprediction"
MIN_SCORE, MAX_SCORE = 0.0, 5.0  # the score range of STS-B

log = logging.getLogger(__name__)


def read_test(source: NamedTable, spec: Spec, on_bad_row: str = "fail") -> Table:
    """Reads the texts of a test file, and the indices of its rows as floats in the column `index`.

    Args:
        source: the file. If it has no index column, its rows are numbered from 0.
        spec: the spec of the model that will predict.
        on_bad_row: str, default "fail". `"fail"`, or `"skip"` and count; but the server needs every row's prediction.

    Raises:
        UserError: the file is damaged, an index is not a whole number or occurs twice, or rows were skipped in a file
            without an index column.
    """
    columns = [*text_columns(spec), Column("index", required=False, kind="number")]
    table = read_table(source, columns, header_names=source.header_names, on_bad_row=on_bad_row)
    left_out = sum(table.skipped.values())
    if left_out and "index" not in table.columns:
        raise UserError(
            f"{table.path}: {left_out} rows are bad, and there is no index column, so the predictions would be "
            f"assigned to wrong rows; fix the bad rows"
        )
    if left_out:
        log.warning("%s: left out %d rows; GLUE's server needs a prediction for each", table.path, left_out)
    numbers = table.columns.setdefault("index", [float(number) for number in range(len(table))])
    seen: set[float] = set()
    for line, number in zip(table.lines, numbers, strict=True):
        if not number.is_integer() or number in seen:
            problem = "which occurs twice" if number in seen else "which is not a whole number"
            raise UserError(f"{table.path}: line {line} has the index {number:g}, {problem}; correct it")
        seen.add(number)
    return table


def write_submission(tuned: FineTuned, table: Table, file: AnyPath, title: str) -> None:
    r"""Writes the model's predictions for the rows of `read_test` to `file`, in the order of their indices.

    Scores are clipped to the range from 0 to 5; nothing else clips them. Labels are the model's own names.

    Raises:
        UserError: a score is not a finite number.

    Example:
        >>> from pathlib import Path
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2)
        >>> spec = Spec("classification", ("text",), 8, ("0", "1"))
        >>> tuned = FineTuned(BertTextClassifier(BertBackbone(config), 2), BertTokenizer(vocabulary), spec)
        >>> _ = Path("test.tsv").write_text("index\tsentence\n0\tplay\n")
        >>> table = read_test(NamedTable("test.tsv", {"text": "sentence", "index": "index"}), spec)
        >>> write_submission(tuned, table, Path("SST-2.tsv"), "SST-2")
        >>> Path("SST-2.tsv").read_text().splitlines()[0].split()
        ['index', 'prediction']
    """
    texts = {name: values for name, values in table.columns.items() if name != "index"}
    with ProgressBar(f"{title}: predictions for the server", "rows") as bar:
        answered = tuned.predict_stream(_rows(texts), bar.counter(len(table)))
        answers = [answer for _, answer in answered]
    if not all(math.isfinite(answer["score"]) for answer in answers):
        raise UserError(
            f"{file}: not written, as the model's scores are not finite numbers; fine-tune again with a lower "
            "learning rate or from another model"
        )
    predictions = map(prediction_of, answers)
    lines = sorted(zip(map(int, table.columns["index"]), predictions, strict=True))
    atomic.write_text(
        file, "".join(f"{line}\n" for line in (HEADER, *(f"{row}\t{prediction}" for row, prediction in lines)))
    )


def prediction_of(answer: Mapping[str, Any]) -> str:
    """Formats an answer of `predict` for the server.

    Example:
        >>> prediction_of({"label": "entailment", "score": 0.9}), prediction_of({"score": 5.25})
        ('entailment', '5.000')
    """
    if "label" in answer:
        return answer["label"]
    return f"{min(MAX_SCORE, max(MIN_SCORE, answer['score'])):.3f}"


def _rows(columns: Mapping[str, list[str]]) -> Iterator[dict[str, str]]:
    return (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
