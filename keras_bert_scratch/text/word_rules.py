"""WordRules: the settings that decide which words a text is split into, before WordPiece."""

from __future__ import annotations

import dataclasses

from keras_bert_scratch.errors import UserError

GOOGLES_MAX_WORD_LENGTH = 200


@dataclasses.dataclass(frozen=True)
class WordRules:
    """How text is split into words. The fields are those of Hugging Face's `BertTokenizer`, the defaults Google's.

    Args:
        lowercase: bool. Whether text is lower-cased (`do_lower_case`), as for an uncased vocabulary.
        strip_accents: bool or `None`, default `None`. Whether é becomes e; `None` means the same as `lowercase`.
        tokenize_chinese_chars: bool, default `True`. Whether each ideograph is a word of its own.
        max_word_length: int, default 200. In characters; longer words become `[UNK]`. Hugging Face's default is 100.

    Raises:
        UserError: a field has the wrong type or is out of its range; names it.

    Example:
        >>> WordRules(lowercase=True).strip_accents
        True
    """

    lowercase: bool
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool = True
    max_word_length: int = GOOGLES_MAX_WORD_LENGTH

    def __post_init__(self) -> None:
        if self.strip_accents is None:
            object.__setattr__(self, "strip_accents", self.lowercase)
        for name in ("lowercase", "strip_accents", "tokenize_chinese_chars"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"`{name}`: must be true or false, not {getattr(self, name)!r}")
        if type(self.max_word_length) is not int or self.max_word_length < 1:
            raise UserError(f"`max_word_length`: must be a whole number from 1 on, not {self.max_word_length!r}")

    def differences(self) -> dict[str, bool | int]:
        """The fields that differ from those of `WordRules(self.lowercase)`.

        Example:
            >>> WordRules(lowercase=True, strip_accents=False).differences()
            {'strip_accents': False}
        """
        plain = dataclasses.asdict(WordRules(self.lowercase))
        return {name: value for name, value in dataclasses.asdict(self).items() if value != plain[name]}
