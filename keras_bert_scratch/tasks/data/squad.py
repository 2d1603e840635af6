"""Questions about passages: from SQuAD's JSON (versions 1.1 and 2.0), or from tables with answers in a cell."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_bert_scratch.data.corpus.streams import opened
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of
from keras_bert_scratch.tasks.data.bad_rows import BadRows
from keras_bert_scratch.tasks.data.cells import cell_value
from keras_bert_scratch.tasks.data.lines import BadRow
from keras_bert_scratch.tasks.data.table_formats import IN_MEMORY, table_ending
from keras_bert_scratch.tasks.data.tables import Column, TableReader, names_in_file
from keras_bert_scratch.tasks.examples import Examples
from keras_bert_scratch.tasks.spec import Spec

QUESTION, CONTEXT, ID = "question", "context", "id"
COLUMNS = (
    Column(QUESTION, flag="text"),
    Column(CONTEXT, ("passage",), flag="pair"),
    Column(ID, required=False, kind="label"),
)
ANSWERS = Column("answers", ("answer",), kind="answers", flag="label")
NO_ANSWER = -1
UNANSWERABLE = "unanswerable"  # an option of a spec; unset for a model from another program until the data decide it


def may_lack_answer(spec: Spec) -> bool:
    """Whether the model also handles questions without answers."""
    return bool(spec.options.get(UNANSWERABLE))


@dataclasses.dataclass(frozen=True)
class Question:
    """A question about a passage.

    Args:
        where: `str`. Location in the file, for messages.
        id, question, context: `str`.
        answers: pairs `(text, first character)`; empty if the passage has no answer.
        fault: `BadRow` or `None`. What is wrong with the question.
    """

    where: str
    id: str
    question: str
    context: str
    answers: Sequence[tuple[str, int]]
    fault: BadRow | None = None


def read_questions(source: Any, spec: Spec, on_bad_row: str) -> tuple[Spec, Examples]:
    """Reads questions with answers; `gold` has the byte span of the first answer and the texts of all answers.

    Args:
        source: a file's path, or columns in memory.
        spec: the task's spec, without columns for training data. If it does not say whether the model was trained with
            questions without answers, the data decide: evaluate with the returned spec.
        on_bad_row: `"fail"` raises at a bad question, `"skip"` skips and counts it.

    Raises:
        UserError: a question is bad: for example, an answer is not at its `answer_start`.
    """
    origin = IN_MEMORY if isinstance(source, Mapping) else str(source)
    bad = BadRows(origin, on_bad_row, "questions")
    needs_answer = bool(spec.columns) and spec.options.get(UNANSWERABLE) is False
    found = []
    for question in _questions(source, spec, on_bad_row, True, bad.skipped):
        where = f"the question {question.id!r} ({question.where})" if question.id else question.where
        if bad.keeps(question.fault or _fault(question, needs_answer), where):
            found.append(question)
    bad.report()
    if not found:
        raise UserError(
            f"{origin}: holds no questions; give SQuAD's JSON, or a table with question, context and answers"
        )
    has_none = any(not question.answers for question in found)
    if not spec.columns or (has_none and not may_lack_answer(spec)):
        spec = dataclasses.replace(spec, columns=(QUESTION, CONTEXT), options={**spec.options, UNANSWERABLE: has_none})
    spans = np.array([_bytes(question) for question in found], np.int32)
    texts = [[text for text, _ in question.answers] for question in found]
    raw = {QUESTION: [question.question for question in found], CONTEXT: [question.context for question in found]}
    digest = hashlib.sha256(json.dumps([raw, spans.tolist(), texts]).encode()).hexdigest()
    gold = {"start": spans[:, 0], "limit": spans[:, 1], "answers": texts}
    return spec, Examples(origin, raw, gold, digest, bad.skipped, {ID: [question.id for question in found]})


def unlabelled_questions(source: Any, spec: Spec, on_bad_row: str) -> Iterator[Mapping[str, str]]:
    """Yields questions and passages, with the question's id if there is one; answers are not read."""
    bad = BadRows(str(source), on_bad_row, "questions")
    for question in _questions(source, spec, on_bad_row, False, bad.skipped):
        if bad.keeps(question.fault, question.where):
            yield {
                **({ID: question.id} if question.id else {}),
                QUESTION: question.question,
                CONTEXT: question.context,
            }
    bad.report()


def _questions(
    source: Any, spec: Spec, on_bad_row: str, labelled: bool, skipped: collections.Counter[str]
) -> Iterator[Question]:
    if not isinstance(source, Mapping) and table_ending(str(source)) == ".json":
        yield from _of_squad(str(source), labelled)
        return
    columns = (*COLUMNS, ANSWERS) if labelled else COLUMNS
    reader = TableReader(
        source, columns, header_names=names_in_file(columns, spec.header_names, source), on_bad_row=on_bad_row
    )
    for row in reader:
        yield Question(f"{reader.unit} {row.line}", **{ID: "", ANSWERS.name: (), **row.values})
    skipped.update(reader.skipped)


def _of_squad(path: str, labelled: bool) -> Iterator[Question]:
    if not path_of(path).exists():
        raise UserError(f"{path}: no such file; check the path")
    with opened(path) as stream:
        content = stream.read()
    try:
        articles = json.loads(content.decode("utf-8-sig"))["data"]
        paragraphs = [
            (f"article {number}, paragraph {paragraph_number}", paragraph)
            for number, article in enumerate(articles, 1)
            for paragraph_number, paragraph in enumerate(article["paragraphs"], 1)
        ]
        entries = [
            (where, {CONTEXT: paragraph["context"], **entry})
            for where, paragraph in paragraphs
            for entry in paragraph["qas"]
        ]
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{path}: is not SQuAD's JSON, an object with the key 'data'; if it has one object per line, rename it "
            f"to end in .jsonl"
        ) from None
    for where, entry in entries:
        values = {column.name: cell_value(entry.get(column.name), column.kind, typed=True) for column in COLUMNS[:2]}
        given = [] if entry.get("is_impossible") or not labelled else entry.get(ANSWERS.name)
        if given is None:
            given = BadRow(
                "no answers", "has no 'answers'", "add a list of them, empty for a question without an answer"
            )
        values[ANSWERS.name] = given if isinstance(given, BadRow) else cell_value(given, ANSWERS.kind, typed=True)
        fault = next((value for value in values.values() if isinstance(value, BadRow)), None)
        yield Question(where, **{**values, ID: str(entry.get(ID, ""))}, fault=fault)


def _fault(question: Question, needs_answer: bool) -> BadRow | None:
    """What is wrong with a question, if anything."""
    if needs_answer and not question.answers:
        fix = "remove it, or train with questions without answers, too"
        return BadRow("no answer", "has no answer, but every training question had one", fix)
    if not question.question.strip():
        return BadRow("no question", "has no text", "complete it or remove it")
    for text, start in question.answers:
        if not text.strip():
            return BadRow("empty answer", "has an empty answer", "complete it or remove it")
        if type(start) is not int or question.context[start : start + len(text)] != text or start < 0:
            nearest = question.context.find(text)
            if nearest < 0:
                return BadRow(
                    "answer not in its context", f"has the answer {text!r}, which is not in the context", "correct it"
                )
            problem = f"has the answer {text!r} at character {start}, but it is at character {nearest}"
            return BadRow("answer at another place", problem, "correct `answer_start`")
    return None


def _bytes(question: Question) -> tuple[int, int]:
    """The byte span of the first answer in the passage; its end is exclusive."""
    if not question.answers:
        return NO_ANSWER, NO_ANSWER
    text, start = question.answers[0]
    first = len(question.context[:start].encode())
    return first, first + len(text.encode())
