"""Exact match and F1 of answers, as SQuAD's published evaluation scripts compute them (versions 1.1 and 2.0)."""

from __future__ import annotations

import collections
import functools
import re
import string
from collections.abc import Callable, Sequence

import numpy as np

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = frozenset(string.punctuation)  # ASCII only: both scripts keep all other punctuation marks


def normalised(answer: str) -> str:
    """The answer in lower case, without punctuation and articles, its words separated by single spaces.

    Example:
        >>> normalised("The  U.S., a well-known country")
        'us wellknown country'
    """
    kept = "".join(character for character in answer.lower() if character not in PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", kept).split())


def exact_match(given: str, true: str) -> float:
    """1.0 if both answers are equal after normalisation, else 0.0."""
    return float(normalised(given) == normalised(true))


def f1_of_words(given: str, true: str, empty_answers: bool) -> float:
    """The harmonic mean of precision and recall of the words of an answer.

    Args:
        given, true: str. The predicted and the correct answer.
        empty_answers: bool. Whether two answers without words are equal, as in version 2.0; in 1.1 they score 0.

    Example:
        >>> f1_of_words("The", "a", empty_answers=False), f1_of_words("The", "a", empty_answers=True)
        (0.0, 1.0)
    """
    given_words, true_words = normalised(given).split(), normalised(true).split()
    if empty_answers and not (given_words and true_words):
        return float(given_words == true_words)
    common = sum((collections.Counter(given_words) & collections.Counter(true_words)).values())
    return 2.0 * common / (len(given_words) + len(true_words)) if common else 0.0


# The measures of version 2.0.
MEASURES: dict[str, Callable[[str, str], float]] = {
    "exact_match": exact_match,
    "f1": functools.partial(f1_of_words, empty_answers=True),
}


def answer_scores(given: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """Scores of version 1.1, from 0 to 100: the maximum over each question's answers, averaged over the questions.

    Args:
        given: the predicted answer to each question.
        answers: the correct answers to each question, at least one.

    Example:
        >>> answer_scores(["the otter", "a heron"], [["Otter!", "an otter"], ["grey heron"]])
        {'exact_match': 50.0, 'f1': 83.33333333333333}
    """
    return {
        "exact_match": _mean(given, answers, exact_match),
        "f1": _mean(given, answers, functools.partial(f1_of_words, empty_answers=False)),
    }


def answer_scores_with_none(given: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """Scores of version 2.0, from 0 to 100, where a question may have no answer.

    Args:
        given: the predicted answer to each question; an empty string predicts that there is none.
        answers: the correct answers to each question; none for a question without an answer.

    Returns: `exact_match`, `f1`, and both for questions with and without answers: `has_answer_...`, `no_answer_...`.

    Example:
        >>> results = answer_scores_with_none(["otter", "heron"], [["otter"], []])
        >>> results["exact_match"], results["has_answer_f1"], results["no_answer_f1"]
        (50.0, 100.0, 0.0)
    """
    true = _or_none(answers)
    results = {name: _mean(given, true, measure) for name, measure in MEASURES.items()}
    for kind, wanted in (("has_answer", True), ("no_answer", False)):
        rows = [number for number, row in enumerate(answers) if bool(row) == wanted]
        for name, measure in MEASURES.items():
            if rows:
                results[f"{kind}_{name}"] = _mean([given[row] for row in rows], [true[row] for row in rows], measure)
    return results


def best_threshold(
    best_answers: Sequence[str], answers: Sequence[Sequence[str]], null_odds: Sequence[float], measure: str
) -> tuple[float, float]:
    """The best score over all thresholds of `null_odds`, and its threshold, as `find_best_thresh` of version 2.0.

    Args:
        best_answers: the best answer to each question, even if no answer is more probable.
        answers: the correct answers to each question; none for a question without an answer.
        null_odds: for each question, how much more probable no answer is than the best answer, in any unit. If it
            exceeds the threshold, no answer is predicted.
        measure: `"exact_match"` or `"f1"`.

    Example:
        >>> best_threshold(["otter", "heron"], [["otter"], []], [-2.0, 3.0], "f1")
        (100.0, -2.0)
    """
    order, totals = _totals(best_answers, answers, null_odds, measure)
    number = int(np.argmax(totals))
    threshold = float(null_odds[order[number - 1]]) if number else 0.0  # 0 as in the published script
    return 100.0 * float(totals[number]) / len(answers), threshold


def tuned_threshold(
    best_answers: Sequence[str], answers: Sequence[Sequence[str]], null_odds: Sequence[float], measure: str
) -> float:
    """A threshold with the best score: halfway between the last question that is answered and the next one.

    No question's odds then equal the threshold, where another rounding could change the answer. Questions with equal
    odds are treated alike. Arguments as for `best_threshold`.

    Example:
        >>> tuned_threshold(["otter", "heron"], [["otter"], []], [-2.0, 3.0], "f1")
        0.5
    """
    order, totals = _totals(best_answers, answers, null_odds, measure)
    odds = np.asarray(null_odds, np.float64)[order]
    odds = np.concatenate([[odds[0] - 2.0], odds, [odds[-1] + 2.0]])
    number = int(np.argmax(np.where(odds[:-1] < odds[1:], totals, -np.inf)))
    return float(odds[number] + odds[number + 1]) / 2.0


def _totals(
    best_answers: Sequence[str], answers: Sequence[Sequence[str]], null_odds: Sequence[float], measure: str
) -> tuple[np.ndarray, np.ndarray]:
    """The questions in ascending order of odds, and the summed scores if the first 0, 1, 2... of them are answered."""
    true = _or_none(answers)
    gains = [
        max(MEASURES[measure](given, one) for one in row) if answers[number] else -1.0 * bool(given)
        for number, (given, row) in enumerate(zip(best_answers, true, strict=True))
    ]
    order = np.argsort(np.asarray(null_odds, np.float64), kind="stable")
    return order, sum(not row for row in answers) + np.cumsum([0.0, *np.asarray(gains)[order]])


def _or_none(answers: Sequence[Sequence[str]]) -> list[list[str]]:
    """The correct answers as version 2.0 uses them: without those that have no words, and "" if none is left."""
    return [[answer for answer in row if normalised(answer)] or [""] for row in answers]


def _mean(given: Sequence[str], answers: Sequence[Sequence[str]], measure: Callable[[str, str], float]) -> float:
    best = (max(measure(one, true) for true in row) for one, row in zip(given, answers, strict=True))
    return 100.0 * sum(best) / len(given)
