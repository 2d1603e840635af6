"""Vocabulary: the list of WordPiece tokens, one per line of `vocab.txt`; a token's id is its line, from 0."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path

import numpy as np

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """WordPiece tokens in the order of their ids.

    Args:
        tokens: the tokens; continuations of a word begin with `##`.

    Raises:
        UserError: a special token is missing or a token stands twice.

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
                f"{self.origin}: lacks {', '.join(missing)}; add each as a line of its own or learn it again"
            )
        if len(self._ids) != len(self.tokens):
            twice = next(token for index, token in enumerate(self.tokens) if self._ids[token] != index)
            raise UserError(f"{self.origin}: the token {twice!r} stands twice; remove one of its lines")

    @classmethod
    def load(cls, path: Path | str) -> Vocabulary:
        """Reads a `vocab.txt`, ours or Google's."""
        try:
            # Lines end at \n alone: str.splitlines would also break at characters that a token may hold.
            lines = Path(path).read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            raise UserError(f"{path}: no such vocabulary; learn one with 'keras-bert vocab'") from None
        except (IsADirectoryError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: is not a text file in UTF-8 ({error}); give a vocab.txt") from None
        if lines and not lines[-1]:
            lines.pop()
        return cls(tuple(line.strip() for line in lines), origin=str(path))

    def save(self, path: Path | str) -> None:
        """Writes one token per line to `path`."""
        atomic.write_text(path, "".join(f"{token}\n" for token in self.tokens))

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens)}

    @functools.cached_property
    def sha256(self) -> str:
        """What names this vocabulary in a manifest: the hash of its `vocab.txt`."""
        return hashlib.sha256("".join(f"{token}\n" for token in self.tokens).encode()).hexdigest()

    @functools.cached_property
    def continues_word(self) -> np.ndarray:
        """Which ids continue the word of the token before them (`##ing`), bool `(len(self),)`, read-only."""
        continues = np.array([token.startswith("##") for token in self.tokens])
        continues.flags.writeable = False
        return continues

    @property
    def looks_cased(self) -> bool:
        """Whether any ordinary token holds a capital letter; an uncased vocabulary has none."""
        return any(token != token.lower() for token in self.tokens if not token.startswith("["))

    def __len__(self) -> int:
        return len(self.tokens)

    def id(self, token: str) -> int:
        """The id of `token`, or of `[UNK]`."""
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
