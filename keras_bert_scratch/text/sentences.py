"""Splits running text into sentences, accurately enough for segments that begin and end at sensible places."""

from __future__ import annotations

import re

# A sentence ends at . ! ? and closing quotes or brackets, if white space follows; at the Chinese marks, white space is
# optional. The pattern begins with a set of characters, so that Python's engine quickly skips all others.
_END = re.compile(r"[.!?。！？；](?:(?<=[.!?])[\"')\]”’]*\s+|(?<=[。！？；])[”’」』）]*\s*)")
# A full stop after one of these, or after initials, does not end a sentence.
# fmt: off
_ABBREVIATIONS = (
    "Mr", "Mrs", "Ms", "Dr", "St", "Messrs", "Prof", "Rev", "Gen", "Col", "Capt", "Sen", "Gov", "No", "vs", "etc",
)
# fmt: on
_OPENING = "(\"'“‘"


def split_sentences(text: str) -> list[str]:
    """The sentences of `text` in order; only the white space around them is removed.

    Example:
        >>> split_sentences('He met Mr. Hyde. "Who is it?" asked J. Watson!')
        ['He met Mr. Hyde.', '"Who is it?"', 'asked J. Watson!']
    """
    sentences, start = [], 0
    for match in _END.finditer(text):
        mark, end = match.span()
        if text[mark] == "." and text[mark + 1].isspace() and _ends_in_abbreviation(text, start, mark):
            continue
        sentences.append(text[start:end].strip())
        start = end
    rest = text[start:].strip()
    return [*sentences, rest] if rest else sentences


def _ends_in_abbreviation(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]`, the sentence so far, ends in an abbreviation or in initials."""
    if end == start:
        return False
    if "A" <= text[end - 1] <= "Z":
        word = end - 1
        while word - 2 >= start and text[word - 1] == "." and "A" <= text[word - 2] <= "Z":
            word -= 2
    elif text.endswith(_ABBREVIATIONS, start, end):
        word = end - next(len(word) for word in _ABBREVIATIONS if text.endswith(word, start, end))
    else:
        return False
    return word == start or text[word - 1].isspace() or text[word - 1] in _OPENING
