"""A vocabulary and its word rules in a folder: our files, and those of Hugging Face, KerasHub and SavedModels."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.file_set import current_file, read_current, replaced_together
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.text import tokenizer_fields as fields
from keras_bert_scratch.text.rule_files import (
    CONFIG_RULES,
    OTHERS_MAX_WORD_LENGTH,
    RULES_FILE,
    TOKENIZER_FILE,
    renamed,
    rules_in,
)
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS, Vocabulary, read_lines
from keras_bert_scratch.text.word_rules import WordRules

VOCABULARY_FILE = "vocab.txt"
TARGET = (
    "target_"  # prefix of both names, for the vocabulary of a translator's output if it differs from that of the input
)
TARGET_FILES = (f"{TARGET}{VOCABULARY_FILE}", f"{TARGET}{RULES_FILE}")
# Paths of a plain list of tokens: ours, Google's and Hugging Face's; KerasHub's; a SavedModel's.
SAVED_MODELS_VOCABULARY = "assets/vocab.txt"
VOCABULARY_PATHS = (VOCABULARY_FILE, "assets/tokenizer/vocabulary.txt", SAVED_MODELS_VOCABULARY)
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
ADDED_TOKENS_FILE = "added_tokens.json"
CONFIG_FILE = "config.json"  # of a model; Hugging Face's names the type
log = logging.getLogger(__name__)


@dataclasses.dataclass
class VocabularyFiles:
    """What the files of a folder say about its tokenizer.

    Args:
        vocabulary: the tokens.
        rules: arguments of `WordRules` that the files specify; without `lowercase` it is that of `saved_model`, or
            guessed from the vocabulary.
        notes: what the user should know, one sentence each.
        saved_model: the folder, if it is a SavedModel, whose variables may hold the casing.
    """

    vocabulary: Vocabulary
    rules: dict[str, Any]
    notes: list[str]
    saved_model: AnyPath | None = None

    def word_rules(self) -> WordRules:
        """The rules; the casing is guessed from the vocabulary if the files do not specify it."""
        guess = {} if "lowercase" in self.rules else {"lowercase": self._lowercase()}
        if guess.get("lowercase") is False and "max_word_length" in self.rules:
            log.warning(
                "%s: no file sets do_lower_case, and many tokens contain capital letters; treated as cased, although "
                "Hugging Face would lower-case texts; set do_lower_case in %s",
                self.vocabulary.origin,
                RULES_FILE,
            )
        try:
            return WordRules(**guess, **self.rules)
        except UserError as error:
            raise UserError(f"{path_of(self.vocabulary.origin).parent}: {error} in its tokenizer's files") from None

    def _lowercase(self) -> bool:
        """The casing that no file of the tokenizer specifies."""
        stored = None
        if self.saved_model is not None:
            from keras_bert_scratch.text.saved_model import stored_lowercase  # imports TensorFlow

            stored = stored_lowercase(self.saved_model)
        return self.vocabulary.guess_lowercase() if stored is None else stored


def write_vocabulary(directory: AnyPath | str, vocabulary: Vocabulary, rules: WordRules, prefix: str = "") -> None:
    """Writes `vocab.txt` and the rules into `directory`, both or none; `prefix` is put before their names."""
    with replaced_together(directory) as staged:
        vocabulary.save(staged / f"{prefix}{VOCABULARY_FILE}")
        atomic.write_json(staged / f"{prefix}{RULES_FILE}", {"lowercase": rules.lowercase, **rules.differences()})


def read_target_vocabulary(directory: AnyPath | str) -> VocabularyFiles | None:
    """Reads what `write_vocabulary` wrote with the prefix `TARGET`; `None` if there is no such file."""
    vocabulary = read_current(directory, f"{TARGET}{VOCABULARY_FILE}", Vocabulary.load)
    if vocabulary is None:
        return None
    config = _read_if_there(path_of(directory), f"{TARGET}{RULES_FILE}")
    return VocabularyFiles(vocabulary, renamed(config, CONFIG_RULES), [])


def read_vocabulary(directory: AnyPath | str) -> VocabularyFiles:
    """The vocabulary in `directory` and its rules.

    Raises:
        UnsupportedSettingError: a setting is not supported by our tokenizer; names it.
        UserError: there is no such folder or no vocabulary in it, or a file is damaged.

    Example:
        >>> words = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> write_vocabulary("model", words, WordRules(lowercase=True))
        >>> read_vocabulary("model").rules
        {'lowercase': True}
    """
    directory = path_of(directory)
    if not directory.exists():
        raise UserError(f"{directory}: no such folder; check the path")
    config = {name: _content(value) for name, value in _read_if_there(directory, RULES_FILE).items()}
    # If the tokenizer is ours, these files are what another program left in the folder before it was saved there.
    ours = "lowercase" in config and current_file(directory, VOCABULARY_FILE).exists()
    others = (TOKENIZER_FILE, SPECIAL_TOKENS_FILE, ADDED_TOKENS_FILE)
    described, special, added = ({} if ours else _read_if_there(directory, name) for name in others)
    special = {name: _content(value) for name, value in special.items()}
    rules, notes = rules_in(directory, config, described)
    notes += fields.SPECIAL_TOKENS_MAP.check(directory / SPECIAL_TOKENS_FILE, special, fields.SUBJECT)
    if not ours and "max_word_length" not in rules and "model_type" in _read_if_there(directory, CONFIG_FILE):
        rules["max_word_length"] = OTHERS_MAX_WORD_LENGTH
    origin, tokens = _read_tokens(directory, described)
    vocabulary, added_note = _with_added_tokens(directory, origin, tokens, config, described, added)
    saved_model = directory if origin == str(directory / SAVED_MODELS_VOCABULARY) else None
    return VocabularyFiles(vocabulary, rules, notes + added_note, saved_model)


def has_vocabulary(directory: AnyPath | str) -> bool:
    """Whether `read_vocabulary` would find one."""
    return any(current_file(directory, name).exists() for name in VOCABULARY_PATHS) or (
        "model" in _read_if_there(path_of(directory), TOKENIZER_FILE)
    )


def is_tokenizers_vocabulary(path: AnyPath) -> bool:
    """Whether `path` is the `vocab.txt` of a folder that also has the rules, so that these belong to it."""
    return path.name == VOCABULARY_FILE and any(
        current_file(path.parent, name).exists() for name in (RULES_FILE, TOKENIZER_FILE)
    )


def _read_if_there(directory: AnyPath, name: str) -> dict[str, Any]:
    """The content of a JSON file; empty if it does not exist."""
    return read_current(directory, name, atomic.read_json) or {}


def _content(value: Any) -> Any:
    """A special token's text, which Hugging Face writes as a string or as an object."""
    return value["content"] if isinstance(value, dict) and "content" in value else value


def _read_tokens(directory: AnyPath, described: Mapping[str, Any]) -> tuple[str, dict[int, str]]:
    """The file of the tokens, and the tokens by id: of the plain file, or else of `tokenizer.json`."""
    plain = ((name, read_current(directory, name, read_lines)) for name in VOCABULARY_PATHS)
    found, lines = next(((name, lines) for name, lines in plain if lines is not None), (None, ()))
    by_id = _described_tokens(directory / TOKENIZER_FILE, described) if "model" in described else {}
    if found is None and "model" not in described:
        raise UserError(
            f"{directory}: contains neither {VOCABULARY_FILE} nor {TOKENIZER_FILE}; put the vocabulary there"
        )
    if found is None:
        return str(directory / TOKENIZER_FILE), by_id
    tokens = dict(enumerate(lines))
    # Lines are stripped, tokens in JSON are not; and JSON may have more of them.
    tokens |= {number: token for number, token in by_id.items() if tokens.get(number, token.strip()) == token.strip()}
    ids = {token: number for number, token in tokens.items()}
    for number, token in by_id.items():
        if ids.get(token) != number:
            raise UserError(
                f"{directory}: {token!r} has the id {number} in {TOKENIZER_FILE}, but {ids.get(token, 'none')} in "
                f"{(directory / found).name}; the files belong to different models: remove the wrong one"
            )
    return str(directory / found), tokens


def _described_tokens(file: AnyPath, described: Mapping[str, Any]) -> dict[int, str]:
    try:
        by_id = {number: token for token, number in dict(described["model"]["vocab"]).items()}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file}: is not in Hugging Face's format ({error!r}); copy it again") from None
    if len(by_id) != len(described["model"]["vocab"]) or not all(type(number) is int for number in by_id):
        raise UserError(f"{file}: its ids must be whole numbers without duplicates; copy it again")
    return by_id


def _with_added_tokens(
    directory: AnyPath,
    origin: str,
    tokens: Mapping[int, str],
    config: Mapping[str, Any],
    described: Mapping[str, Any],
    added_file: Mapping[str, Any],
) -> tuple[Vocabulary, list[str]]:
    """The vocabulary with the tokens that Hugging Face adds in other files, and a note on how those are found."""
    added: dict[int, str] = {}
    try:
        for token, number in added_file.items():
            added[int(number)] = token
        for token in described.get("added_tokens") or []:
            added[int(token["id"])] = token["content"]
        for number, token in (config.get("added_tokens_decoder") or {}).items():
            added[int(number)] = _content(token)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{directory}: its added tokens lack texts or ids ({error!r}); copy its files again") from None
    by_id = {**tokens, **added}
    size = max(by_id, default=-1) + 1
    if min(by_id, default=0) < 0 or size > 2 * len(by_id):
        raise UserError(f"{origin}: its ids must be 0 to {len(by_id) - 1}, without large gaps; copy it again")
    # An id without a token is a row that no text uses, like an empty line.
    vocabulary = Vocabulary(tuple(by_id.get(number, "") for number in range(size)), origin=origin)
    vocabulary.log_repeated()
    others = [token for token in added.values() if token not in SPECIAL_TOKENS]
    if not others:
        return vocabulary, []
    return vocabulary, [
        f"{directory}: {len(others)} added tokens, for example {others[0]!r}: Hugging Face finds them anywhere in a "
        f"text; here they are found only where WordPiece finds them, at the start of a word"
    ]
