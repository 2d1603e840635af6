"""Splitting running text into sentences, well enough for segments of text that begin and end somewhere sensible."""

from __future__ import annotations

import re

# A sentence ends at . ! ? with what closes it, before white space; at the Chinese marks also without any. Starting with
# one set of characters, the pattern lets Python's engine run over all others quickly.
_END = re.compile(r"[.!?。！？；](?:(?<=[.!?])[\"')\]”’]*\s+|(?<=[。！？；])[”’」』）]*\s*)")
# ... but not after these, nor after initials.
# fmt: off
_ABBREVIATIONS = (
    "Mr", "Mrs", "Ms", "Dr", "St", "Messrs", "Prof", "Rev", "Gen", "Col", "Capt", "Sen", "Gov", "No", "vs", "etc",
)
# fmt: on
_OPENING = "(\"'“‘"


def split_sentences(text: str) -> list[str]:
    """The sentences of `text` in order; white space around them is lost, nothing else.

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
    """Whether the last word before `end`, of the sentence that begins at `start`, is an abbreviation or initials."""
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
