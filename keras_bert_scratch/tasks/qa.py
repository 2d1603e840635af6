"""Questions about passages: the span of the passage that answers (Devlin et al. 2019, sections 4.2 and 4.3)."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from keras_bert_scratch.checkpoints.checkpoint import Checkpoint
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.models.question_answerer import BertQuestionAnswerer
from keras_bert_scratch.tasks.answer_scores import (
    answer_scores,
    answer_scores_with_none,
    best_threshold,
    tuned_threshold,
)
from keras_bert_scratch.tasks.data.answer_counts import answer_counts, in_words
from keras_bert_scratch.tasks.data.columns import as_tensors
from keras_bert_scratch.tasks.data.span_bytes import num_trailing_mark_bytes, pieces_between, values_at
from keras_bert_scratch.tasks.data.span_outputs import IMPOSSIBLE, best_spans
from keras_bert_scratch.tasks.data.squad import (
    CONTEXT,
    ID,
    QUESTION,
    may_lack_answer,
    read_questions,
    unlabelled_questions,
)
from keras_bert_scratch.tasks.data.texts import row_length
from keras_bert_scratch.tasks.data.windows import overlapping_windows, slices
from keras_bert_scratch.tasks.error_analysis import Breakdown, ByGroup, WrongAnswer
from keras_bert_scratch.tasks.examples import Examples, Features, Raw
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task
from keras_bert_scratch.text.offsets import characters_before
from keras_bert_scratch.text.packing import pack_segments, packed_lengths

NUM_SPANS = 20  # best spans, returned and used for probabilities, as in Google's run_squad.py
NO_ANSWER = "(no answer)"  # its name among the candidates
LEAST_ROOM = 16  # least number of passage pieces next to a question
THRESHOLD_DIGITS = 4
ROWS_AT_ONCE = 1024  # per call when answers are counted; bounds the memory

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class QaOptions:
    """Options of question answering.

    Args:
        overlap: int, default 128. Pieces that adjacent windows of a long passage share, at most half a window.
        max_question_length: int, default 64. Maximum pieces of a question; the rest is cut off.
        max_answer_length: int, default 30. Maximum pieces of an answer.
        null_threshold: float or None, default None. For data with unanswerable questions: by how much the score of no
            answer must exceed the score of the best answer. `None` for the value with the best F1 on the held-out data,
            or 0 without held-out data.
    """

    overlap: int = 128
    max_question_length: int = 64
    max_answer_length: int = 30
    null_threshold: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("overlap", 0), ("max_question_length", 1), ("max_answer_length", 1)):
            if getattr(self, name) < least:
                raise UserError(f"`{name}`: must be at least {least}, not {getattr(self, name)}")


class Qa(Task):
    """The span of a passage that answers a question: rows `[CLS] question [SEP] passage [SEP]`.

    A long passage is read in overlapping windows. A window without the whole answer learns to point at `[CLS]`, as does
    every window of a question without an answer. A span may start only in the window that shows most of the context of
    its first piece.
    """

    name = "qa"
    best_by = ("f1", "max")
    model_class = BertQuestionAnswerer
    Options = QaOptions
    columns = (QUESTION, CONTEXT)
    carried = (ID,)
    outputs: ClassVar = {
        "answer": "the answer, as spelled in the context; empty if there is none",
        "start": "the index of the answer's first character in the context, from 0",
        "end": "the index after the answer's last character",
        "start_byte": "the start of the answer in bytes of UTF-8",
        "end_byte": "the end of the answer in bytes of UTF-8",
        "score": "the probability of the answer among the best spans (and no answer, if that is possible)",
        "null_score": "the sum of both logits of no answer, the minimum of all windows",
        "null_odds": "the null score minus the score of the best span",
        "answers": "the best spans, most probable first, then empty strings",
        "scores": "the probabilities of the best spans",
        "num_answers": "the number of the best spans",
        "start_logits": "the logit of each token as the first token of the answer",
        "end_logits": "the logit of each token as the last token of the answer",
    }

    def spec_of(self, checkpoint: Checkpoint, directory: AnyPath) -> Spec:
        # The threshold is fixed at 0: evaluating a model must not tune it.
        return self.resolve_options(super().spec_of(checkpoint, directory), {})

    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        room = spec.max_length - 3 - spec.options["max_question_length"]
        if room < LEAST_ROOM:
            raise UserError(
                f"`max_length`: {spec.max_length} leaves {room} pieces for the passage next to a question of "
                f"{spec.options['max_question_length']}; increase it (384 in the paper's code), or give a lower "
                f"`max_question_length`"
            )
        return read_questions(source, spec, on_bad_row)

    def unlabelled(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, Any]]:
        return unlabelled_questions(source, spec, on_bad_row)

    def is_windowed(self, spec: Spec) -> bool:
        return True

    def sample(self, columns: Sequence[str], words: Sequence[str]) -> dict[str, Any]:
        return {QUESTION: words[0], CONTEXT: " ".join(words)}

    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        whole_questions = tokenizer.tokenize(raw[QUESTION])
        questions = whole_questions[:, : spec.options["max_question_length"]]
        pieces, starts, limits = tokenizer.tokenize_with_offsets(raw[CONTEXT])
        question_lengths = tf.cast(questions.row_lengths(), tf.int32)

        room = spec.max_length - 3 - question_lengths
        windows = overlapping_windows(pieces.row_lengths(), room, tf.minimum(spec.options["overlap"], room // 2))
        which, start, limit = windows.sequence, windows.start, windows.limit
        if chosen is not None:
            which, start, limit = windows.chosen(chosen)
        asked, shown = tf.gather(questions, which), slices(pieces, which, start, limit)
        length = row_length(packed_lengths(asked, shown), spec)
        offset = tf.gather(question_lengths, which) + 2  # where the passage begins in the row

        # (windows, length): the passage piece at each position, and the window that shows most of its context
        piece = tf.range(length)[None, :] - offset[:, None] + start[:, None]
        in_passage = (piece >= start[:, None]) & (piece < limit[:, None])
        number = tf.range(tf.size(which)) - tf.gather(windows.first, which) if chosen is None else chosen
        flat = tf.reshape(piece, [-1])
        best = tf.reshape(windows.best(tf.repeat(which, length), flat), tf.shape(piece))
        notes = {
            "context": raw[CONTEXT],
            "starts": starts,
            "limits": limits,
            "which": which,
            "first_piece": start - offset,
            "last_piece": limit - 1,
            "in_passage": in_passage,
            "may_start": in_passage & (best == number[:, None]),
        }
        inputs = pack_segments(asked, shown, length, tokenizer.vocabulary)
        truncated = whole_questions.row_lengths() > questions.row_lengths()
        return Features(inputs, packed_lengths(whole_questions, pieces), truncated, windows.counts, notes)

    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        notes = features.notes
        first, last = pieces_between(notes["starts"], notes["limits"], gold["start"], gold["limit"])
        first, last = tf.gather(first, notes["which"]), tf.gather(last, notes["which"])
        begin, end = first - notes["first_piece"], last - notes["first_piece"]
        in_passage = notes["in_passage"]
        held = (
            (tf.gather(gold["start"], notes["which"]) >= 0)
            & (first <= last)
            & (last <= notes["last_piece"])
            & tf.gather(in_passage, tf.clip_by_value(begin, 0, tf.shape(in_passage)[1] - 1), batch_dims=1)
        )
        return {"start": tf.where(held, begin, 0), "end": tf.where(held, end, 0)}, None

    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        return {}

    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        """The answer with its byte and character offsets in the passage, and the best spans.

        `answer` is empty where `null_score` exceeds the best span's score by more than the threshold, if the model was
        trained with questions without answers.
        """
        notes = features.notes
        spans = best_spans(
            outputs["start"],
            outputs["end"],
            features.windows,
            notes["first_piece"],
            notes["may_start"],
            notes["in_passage"],
            spec.options["max_answer_length"],
            NUM_SPANS,
        )
        possible = spans.scores > IMPOSSIBLE
        first_byte = tf.where(possible, values_at(notes["starts"], spans.start), 0)
        limit_byte = tf.where(possible, values_at(notes["limits"], spans.end), 0)
        contexts = tf.repeat(notes["context"][:, None], NUM_SPANS, axis=1)
        limit_byte = tf.where(possible, limit_byte + num_trailing_mark_bytes(contexts, limit_byte), 0)
        texts = tf.strings.substr(contexts, first_byte, limit_byte - first_byte)
        scores = spans.scores
        if may_lack_answer(spec):
            scores = tf.concat([scores, spans.null_score[:, None]], axis=1)
        probabilities = tf.nn.softmax(scores, axis=1)
        score, answer = tf.where(possible[:, 0], probabilities[:, 0], 0.0), texts[:, 0]
        start, limit = first_byte[:, 0], limit_byte[:, 0]
        if may_lack_answer(spec):
            none = spans.null_score - spans.scores[:, 0] > (spec.options["null_threshold"] or 0.0)
            answer = tf.where(none, "", answer)
            score = tf.where(none, probabilities[:, -1], score)
            start, limit = tf.where(none, 0, start), tf.where(none, 0, limit)
        return {
            "answer": answer,
            "start": characters_before(notes["context"], start),
            "end": characters_before(notes["context"], limit),
            "start_byte": start,
            "end_byte": limit,
            "score": score,
            "null_score": spans.null_score,
            "null_odds": spans.null_score - spans.scores[:, 0],
            "answers": texts,
            "scores": probabilities[:, :NUM_SPANS],
            "num_answers": tf.reduce_sum(tf.cast(possible, tf.int32), axis=1),
        }

    def predict_from_ids(self, spec: Spec, tokenizer: Any, model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        outputs = self.call_model(model, inputs)
        return {"start_logits": outputs["start"], "end_logits": outputs["end"]}

    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        given = [answer.decode("utf-8", "replace") for answer in decoded["answer"]]
        if not may_lack_answer(spec):
            return answer_scores(given, gold["answers"])
        best = [row[0].decode("utf-8", "replace") for row in decoded["answers"]]
        odds, threshold, at_zero = decoded["null_odds"].tolist(), spec.options["null_threshold"], {}
        if threshold is None:
            at_zero = answer_scores_with_none(given, gold["answers"])
            threshold = round(tuned_threshold(best, gold["answers"], odds, "f1"), THRESHOLD_DIGITS)
            given = ["" if null_odds > threshold else text for text, null_odds in zip(best, odds, strict=True)]
        results = {**answer_scores_with_none(given, gold["answers"]), "null_threshold": threshold}
        for name in ("exact_match", "f1"):
            found, its_threshold = best_threshold(best, gold["answers"], odds, name)
            results |= {f"best_{name}": found, f"best_{name}_threshold": its_threshold}
            if at_zero:
                results[f"{name}_at_0"] = at_zero[name]
        return results

    def resolve_options(self, spec: Spec, results: Mapping[str, Any]) -> Spec:
        if spec.options["null_threshold"] is not None:
            return spec
        return dataclasses.replace(spec, options={**spec.options, "null_threshold": results.get("null_threshold", 0.0)})

    def notes(self, spec: Spec, tokenizer: Any, examples: Examples) -> dict[str, Any]:
        """How many of the answers can be learnt: `training_answers`, which is also logged."""

        gold = {name: examples.gold[name] for name in ("start", "limit")}
        strings = {name: tf.TensorSpec([None], tf.string) for name in examples.raw}
        numbers = {name: tf.TensorSpec([None], tf.int32) for name in gold}

        @tf.function(input_signature=[strings, numbers], autograph=False)
        def answer_statistics(raw: Raw, gold: Raw) -> tuple[tf.Tensor, ...]:
            features = self.features(spec, tokenizer, raw)
            labels, _ = self.targets(spec, features, gold, training=True)
            notes = features.notes
            first, last = pieces_between(notes["starts"], notes["limits"], gold["start"], gold["limit"])
            learnt = tf.cast(labels["start"] > 0, tf.int32)  # per window
            shown = tf.math.unsorted_segment_sum(learnt, notes["which"], tf.size(first))
            return last - first + 1, features.windows, shown

        parts = []
        for start in range(0, len(examples), ROWS_AT_ONCE):
            rows = range(start, min(start + ROWS_AT_ONCE, len(examples)))
            parts.append(answer_statistics(as_tensors(examples.raw, rows), as_tensors(gold, rows)))
        found = (np.concatenate(values) for values in zip(*parts, strict=True))
        most = spec.options["max_answer_length"]
        counts = answer_counts(gold["start"] >= 0, *found, most)
        log.warning("%s: %s", examples.origin, in_words(counts, most))
        return {"training_answers": counts}

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        others: dict[str, float] = {}
        for text, score in zip(row["answers"][: row["num_answers"]], row["scores"], strict=False):
            others.setdefault(text, score)
        return {
            **{name: row[name] for name in ("answer", "start", "end", "score")},
            **({"null_odds": row["null_odds"]} if may_lack_answer(spec) else {}),
            "n_best": [{"answer": text, "score": score} for text, score in others.items()],
        }

    def candidates(self, answer: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        none = {NO_ANSWER: _probability_of_none(answer)} if "null_odds" in answer else {}
        return {"": {span["answer"]: span["score"] for span in answer["n_best"]} | none}

    def chosen(self, answer: Mapping[str, Any]) -> list[str] | None:
        return [answer["answer"] or NO_ANSWER] if "null_odds" in answer else None

    def gold_of(self, spec: Spec, gold: Mapping[str, Any]) -> list[str]:
        return list(gold["answers"])

    def wrong_answer(self, spec: Spec, line: Mapping[str, Any]) -> WrongAnswer | None:
        """An answer without exact match; worse with a lower F1, then with a higher score."""
        scores = _scores(spec, [line["answer"]], [line["gold"]])
        if scores["exact_match"]:
            return None
        right = " / ".join(dict.fromkeys(line["gold"])) or "none"
        shown = {"gold": right, "answer": line["answer"] or "none", "score": line["score"], "f1": scores["f1"]}
        return WrongAnswer((-scores["f1"], line["score"]), shown)

    def breakdown(self, spec: Spec, lines: Sequence[Mapping[str, Any]]) -> Breakdown:
        """By the number of words of the shortest right answer, as longer ones are harder; 0 if there is none."""

        def measure(rows: list[int]) -> dict[str, float]:
            scores = _scores(spec, [lines[row]["answer"] for row in rows], [lines[row]["gold"] for row in rows])
            return {name: scores[name] for name in ("exact_match", "f1")}

        lengths = [min((len(answer.split()) for answer in line["gold"]), default=0) for line in lines]
        return ByGroup.by_length("words of the answer", lengths, measure)


def _probability_of_none(answer: Mapping[str, Any]) -> float:
    """The probability of no answer; `null_odds` is the logarithm of its ratio to that of the best span."""
    if not answer["answer"]:
        return answer["score"]
    best = answer["n_best"][0]["score"]
    return math.exp(min(0.0, math.log(best) + answer["null_odds"])) if best else 1.0


def _scores(spec: Spec, given: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """The scores of SQuAD 2.0 if a question may have no answer, else those of 1.1."""
    return (answer_scores_with_none if may_lack_answer(spec) else answer_scores)(given, answers)


TASK = Qa()
