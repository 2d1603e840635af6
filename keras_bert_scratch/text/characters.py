"""How BERT normalizes each Unicode character before it looks up words: tables by code point.

Google's tokenizer looks up every character in Python's `unicodedata`. These tables are computed once from it.
They have the running Python's Unicode version (`unicodedata.unidata_version`); an exported model keeps its tables.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import unicodedata

import numpy as np

from keras_bert_scratch.text.word_rules import WordRules

SPACE = ord(" ")
CAPITAL_SIGMA, FINAL_SIGMA = 0x3A3, 0x3C2

# A character's code is the code point that it becomes, with these flags, or a negative value of one of two kinds.
STANDS_ALONE = 1 << 21  # punctuation or an ideograph: a separate word
UNUSUAL = 1 << 22  # the result depends on its neighbours: a capital sigma, or a mark that may have to be reordered
CODE_POINT = STANDS_ALONE - 1
DROPPED = -1
# Below DROPPED: the character becomes several, those of `expansions[-2 - code]`.

# A character's class for the final-sigma rule.
IGNORED, UNCASED, CASED = 0, 1, 2

# The ranges of Google's `_is_chinese_char`.
IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
ACCENT = "Mn"  # Unicode's category of non-spacing marks
PAGE = 256


@dataclasses.dataclass(frozen=True)
class PagedTable:
    """One int32 per code point `c`; equal pages of 256 are stored once: `pages[page_of[c // 256], c % 256]`.

    Example:
        >>> table = PagedTable.of(np.arange(sys.maxunicode + 1) // 0x80000)
        >>> table[0x7FFFF], table[0x80000], table.pages.shape
        (0, 1, (3, 256))
    """

    page_of: np.ndarray
    pages: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> PagedTable:
        """Builds the table from one value per code point."""
        numbers: dict[bytes, int] = {}
        page_of = [
            numbers.setdefault(page.tobytes(), len(numbers)) for page in values.reshape(-1, PAGE).astype("int32")
        ]
        return cls(np.array(page_of, np.int32), np.frombuffer(b"".join(numbers), np.int32).reshape(-1, PAGE))

    def __getitem__(self, code_point: int) -> int:
        return int(self.pages[self.page_of[code_point // PAGE], code_point % PAGE])


@dataclasses.dataclass(frozen=True)
class CharacterTables:
    """What a tokenizer needs to know about all characters.

    `code_offsets`: each character's code minus its code point, so that most are 0. `expansions`: the codes of those
    that become several. `casing`: the class for the final-sigma rule. `vanishing_starter`: 1 for a starter that is
    removed; marks are not reordered across it. `combining_class`: the sort key of combining marks.

    Example:
        >>> chr(ord("É") + character_tables(WordRules(lowercase=True)).code_offsets[ord("É")])
        'e'
    """

    code_offsets: PagedTable
    expansions: tuple[tuple[int, ...], ...]
    casing: PagedTable
    vanishing_starter: PagedTable
    combining_class: PagedTable


@functools.cache
def character_tables(rules: WordRules) -> CharacterTables:
    """The tables for these rules."""
    lowercase, strip = rules.lowercase, rules.strip_accents
    code_offsets, casing, vanishing_starter, combining_class = np.zeros((4, sys.maxunicode + 1), np.int32)
    casing[:] = UNCASED
    expansions: list[tuple[int, ...]] = []
    ideographs = frozenset().union(*(range(first, last + 1) for first, last in IDEOGRAPHS))
    for code_point in range(sys.maxunicode + 1):
        character, category = chr(code_point), unicodedata.category(chr(code_point))
        if category in ("Cn", "Co", "Cs") and code_point not in ideographs:
            continue  # unassigned, private use or surrogate: unchanged
        spelled = _spelled(character, category, rules)
        kept = [c for c in spelled if not (strip and unicodedata.category(c) == ACCENT)]
        codes = tuple(_code(c, rules.tokenize_chinese_chars and code_point in ideographs) for c in kept)
        if len(codes) == 1:
            final = lowercase and code_point == CAPITAL_SIGMA
            unusual = final or (strip and unicodedata.combining(kept[0]))
            code = codes[0] | UNUSUAL if unusual else codes[0]
        elif not codes:
            code = DROPPED
        else:
            code = DROPPED - 1 - len(expansions)
            expansions.append(codes)
        code_offsets[code_point] = code - code_point
        if lowercase:
            casing[code_point] = _casing(character, category) if spelled else IGNORED
        if strip:
            combining_class[code_point] = unicodedata.combining(character)
            if len(kept) < len(spelled):
                gone = [c for c in spelled if c not in kept]
                vanishing_starter[code_point] = any(not unicodedata.combining(c) for c in gone)
    tables = (PagedTable.of(values) for values in (casing, vanishing_starter, combining_class))
    return CharacterTables(PagedTable.of(code_offsets), tuple(expansions), *tables)


def _spelled(character: str, category: str, rules: WordRules) -> str:
    """The character after cleaning, lower-casing and, where accents are stripped, canonical decomposition."""
    if category in ("Cc", "Cf"):
        return " " if character in "\t\n\r" else ""
    if character.isspace():
        return " "
    if character == "\ufffd":
        return ""
    cased = character.lower() if rules.lowercase else character
    return unicodedata.normalize("NFD", cased) if rules.strip_accents else cased


def _code(character: str, alone: bool) -> int:
    code = ord(character)
    if alone or _is_punctuation(character):
        code |= STANDS_ALONE
    return code


def _is_punctuation(character: str) -> bool:
    """Whether it is Unicode punctuation, or a printable ASCII character other than a letter, digit or space."""
    return unicodedata.category(character)[0] == "P" or ("!" <= character <= "~" and not character.isalnum())


def _casing(character: str, category: str) -> int:
    """How the character affects a nearby capital sigma, found by letting Python lower-case both."""
    if category == "Lo" and character > "\xff":  # ideographs and syllables have no case
        return UNCASED
    if (character + "Σ").lower()[-1] == "ς":
        return CASED
    return IGNORED if ("a" + character + "Σ").lower()[-1] == "ς" else UNCASED
