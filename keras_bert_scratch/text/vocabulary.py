"""Vocabulary: the list of WordPiece tokens, one per line of `vocab.txt`; a token's id is its line, from 0.

A line is never moved or removed, whatever it holds: its number is a row of the model's embedding. As in Google's and
Hugging Face's code, a token that occurs twice has the id of its later line, and an empty line is a row no text uses.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
import logging

import numpy as np

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.transfer import read_text

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# A vocabulary counts as uncased if at most `CASED_FRACTION` of its tokens contain a capital letter. If some do, but
# fewer than `CLEAR_FRACTION`, the guess is logged. In BERT's English vocabularies 0% (uncased) and 41% (cased) do.
CASED_FRACTION, CLEAR_FRACTION = 0.02, 0.1
SHOWN = 8  # ids in a message
log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """WordPiece tokens in the order of their ids.

    Args:
        tokens: tuple of str. The tokens; continuations of a word begin with `##`.
        origin: str, default `"vocabulary"`. The file that it was read from, for error messages.

    Raises:
        UserError: a special token is missing.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> vocabulary.id("play"), vocabulary.mask_id, len(vocabulary)
        (5, 4, 7)
    """

    tokens: tuple[str, ...]
    origin: str = dataclasses.field(default="vocabulary", compare=False)

    def __post_init__(self) -> None:
        missing = [token for token in SPECIAL_TOKENS if token not in self._ids]
        if missing:
            raise UserError(
                f"{self.origin}: lacks {', '.join(missing)}; add each on a separate line, or learn the vocabulary again"
            )

    @classmethod
    def load(cls, path: AnyPath | str) -> Vocabulary:
        """Reads a `vocab.txt`: ours, Google's or Hugging Face's. A byte order mark is skipped.

        Raises:
            UserError: the file is missing, is not text in UTF-8, or lacks a special token.
        """
        vocabulary = cls(read_lines(path), origin=str(path))
        vocabulary.log_repeated()
        return vocabulary

    def save(self, path: AnyPath | str) -> None:
        """Writes one token per line to `path`.

        A token that no line can hold, because of a line break or blanks at an end, becomes an empty line: no text
        contains it as a word. The log names the ids of such tokens.
        """
        odd = [str(number) for number, token in enumerate(self.tokens) if token and not _fits_a_line(token)]
        if odd:
            log.warning(
                "%s: the tokens with the ids %s hold a line break, or blanks at an end; their lines are empty, and no "
                "other id changes",
                path_of(path).name,  # the folder may be a temporary one
                f"{', '.join(odd[:SHOWN])}, ..." if len(odd) > SHOWN else ", ".join(odd),
            )
        atomic.write_text(path, self._lines)

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens)}

    @functools.cached_property
    def sha256(self) -> str:
        """The hash of `vocab.txt` as `save` writes it; identifies the vocabulary in a manifest."""
        return hashlib.sha256(self._lines.encode()).hexdigest()

    @property
    def _lines(self) -> str:
        """The content of `vocab.txt`, without empty lines at the end, which `load` ignores."""
        lines = [token if _fits_a_line(token) else "" for token in self.tokens]
        return "\n".join(lines).rstrip("\n") + "\n"

    @functools.cached_property
    def continues_word(self) -> np.ndarray:
        """Which ids continue the word of the token before them (`##ing`), bool `(len(self),)`, read-only."""
        continues = np.array([token.startswith("##") for token in self.tokens])
        continues.flags.writeable = False
        return continues

    def log_repeated(self) -> None:
        """Logs which tokens occur on several lines, and which of their ids is used."""
        if repeated := self.repeated():
            token = repeated[0]
            log.warning(
                "%s: the token %r occurs twice%s; the tokenizer uses the id of its later line, %d; no other id changes",
                self.origin,
                token,
                f", as do {len(repeated) - 1} more" if len(repeated) > 1 else "",
                self.id(token),
            )

    def repeated(self) -> list[str]:
        """The non-empty tokens that occur on several lines."""
        return [token for token, count in collections.Counter(self.tokens).items() if token and count > 1]

    def unambiguous_tokens(self) -> list[str]:
        """The tokens, with each line that no text can reach replaced by a unique token that no text contains.

        Example:
            >>> Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "", "a")).unambiguous_tokens()[5:]
            ['\\x015', '\\x016', 'a']
        """
        # U+0001 is a control character, which is dropped before words are looked up. Words contain no blanks, but
        # FastWordpieceTokenizer would find a token with blanks in a text that is not yet split into words.
        return [
            token if token.split() == [token] and self._ids[token] == index else f"\x01{index}"
            for index, token in enumerate(self.tokens)
        ]

    def guess_lowercase(self) -> bool:
        """Whether the vocabulary is uncased, judged by how many of its tokens hold a capital letter.

        Example:
            >>> Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play")).guess_lowercase()
            True
        """
        words = [token for token in self.tokens if not token.startswith("[")]
        capitals = [token for token in words if token != token.lower()]
        lowercase = len(capitals) <= CASED_FRACTION * len(words)
        if capitals and len(capitals) < CLEAR_FRACTION * len(words):
            log.warning(
                "%s: %d of %d tokens contain a capital letter, for example %r; treated as %s; give lowercase=%s "
                "if that is wrong",
                self.origin,
                len(capitals),
                len(words),
                capitals[0],
                "uncased" if lowercase else "cased",
                not lowercase,
            )
        return lowercase

    def __len__(self) -> int:
        return len(self.tokens)

    def id(self, token: str) -> int:
        """The id of `token`, or that of `[UNK]` if it is unknown."""
        return self._ids.get(token, self._ids[UNK])

    @property
    def pad_id(self) -> int:
        """The id of `[PAD]`."""
        return self._ids[PAD]

    @property
    def cls_id(self) -> int:
        """The id of `[CLS]`."""
        return self._ids[CLS]

    @property
    def sep_id(self) -> int:
        """The id of `[SEP]`."""
        return self._ids[SEP]

    @property
    def mask_id(self) -> int:
        """The id of `[MASK]`."""
        return self._ids[MASK]


def read_lines(path: AnyPath | str) -> tuple[str, ...]:
    """The tokens of a `vocab.txt`, which may lack special tokens: Hugging Face has some of them in other files.

    Raises:
        UserError: the file is missing, or is not text in UTF-8.
    """
    try:
        # Split at \n only: str.splitlines would also split at characters that a token may contain.
        lines = read_text(path_of(path)).split("\n")
    except FileNotFoundError:
        raise UserError(f"{path}: no such vocabulary; learn one with 'keras-bert vocab'") from None
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not a text file in UTF-8 ({error}); give a vocab.txt") from None
    tokens = [line.strip() for line in lines]
    while tokens and not tokens[-1]:
        tokens.pop()  # empty lines at the end: the embedding need not have rows for them
    return tuple(tokens)


def _fits_a_line(token: str) -> bool:
    """Whether a line can hold `token`: `load` strips lines, and other programs also split them at carriage returns."""
    return token == token.strip() and "\n" not in token and "\r" not in token
