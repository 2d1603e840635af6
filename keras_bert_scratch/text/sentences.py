"""Splitting running text into sentences, well enough for segments of text that begin and end somewhere sensible."""

from __future__ import annotations

import re

# A sentence ends at . ! ? with what closes it, before white space; at the Chinese marks also without any.
_END = re.compile(r"(?<=[.!?])[\"')\]”’]*\s+|(?<=[。！？；])[”’」』）]*\s*")
# ... but not after these, nor after initials.
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“‘])(?:[A-Z](?:\.[A-Z])*|Mr|Mrs|Ms|Dr|St|Messrs|Prof|Rev|Gen|Col|Capt|Sen|Gov|No|vs|etc)\.$"
)


def split_sentences(text: str) -> list[str]:
    """The sentences of `text` in order; white space around them is lost, nothing else.

    Example:
        >>> split_sentences('He met Mr. Hyde. "Who is it?" asked J. Watson!')
        ['He met Mr. Hyde.', '"Who is it?"', 'asked J. Watson!']
    """
    sentences, start = [], 0
    for end in _END.finditer(text):
        sentence = text[start : end.end()].strip()
        if sentence and not _ABBREVIATION.search(sentence):
            sentences.append(sentence)
            start = end.end()
    rest = text[start:].strip()
    return [*sentences, rest] if rest else sentences
