"""A vocabulary and its casing in a folder: ours, and as Hugging Face, KerasHub and SavedModels keep them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.vocabulary import Vocabulary

VOCABULARY_FILE = "vocab.txt"
CASING_FILE = "tokenizer_config.json"
# Where a plain list of tokens may lie: ours, Google's and Hugging Face's; KerasHub's; a SavedModel's.
PLACES = (VOCABULARY_FILE, "assets/tokenizer/vocabulary.txt", "assets/vocab.txt")
# Hugging Face keeps tokens and casing here; KerasHub, under the same name, the casing.
TOKENIZER_FILE = "tokenizer.json"


def write_vocabulary(directory: Path | str, vocabulary: Vocabulary, lowercase: bool) -> None:
    """Writes `vocab.txt` and the casing into `directory`."""
    vocabulary.save(Path(directory) / VOCABULARY_FILE)
    atomic.write_json(Path(directory) / CASING_FILE, {"lowercase": lowercase})


def read_vocabulary(directory: Path | str) -> tuple[Vocabulary, bool | None]:
    """The vocabulary in `directory`, and whether it is uncased; `None` where the files do not say.

    Raises:
        UserError: there is none, or a file is damaged.

    Example:
        >>> words = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> write_vocabulary("model", words, lowercase=True)
        >>> read_vocabulary("model")[1]
        True
    """
    directory = Path(directory)
    found = next((directory / place for place in PLACES if (directory / place).exists()), None)
    described = _read_json(directory / TOKENIZER_FILE)
    if found is not None:
        vocabulary = Vocabulary.load(found)
    elif "model" in described:
        vocabulary = _from_tokenizer_file(directory / TOKENIZER_FILE, described)
    else:
        raise UserError(f"{directory}: holds no {VOCABULARY_FILE} and no {TOKENIZER_FILE}; put the vocabulary there")
    return vocabulary, _casing(_read_json(directory / CASING_FILE), described)


def has_vocabulary(directory: Path | str) -> bool:
    """Whether `read_vocabulary` would find one."""
    return any((Path(directory) / place).exists() for place in PLACES) or (
        "model" in _read_json(Path(directory) / TOKENIZER_FILE)
    )


def _casing(config: dict[str, Any], described: dict[str, Any]) -> bool | None:
    """The first that says: ours, Hugging Face's two, KerasHub's."""
    said = (
        config.get("lowercase"),
        config.get("do_lower_case"),
        (described.get("normalizer") or {}).get("lowercase"),
        (described.get("config") or {}).get("lowercase"),
    )
    return next((value for value in said if isinstance(value, bool)), None)


def _from_tokenizer_file(file: Path, described: dict[str, Any]) -> Vocabulary:
    try:
        kind, ids = described["model"]["type"], dict(described["model"]["vocab"])
        ids |= {token["content"]: token["id"] for token in described.get("added_tokens") or []}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file}: is not of the form that Hugging Face writes ({error!r}); copy it again") from None
    if kind != "WordPiece":
        raise UserError(f"{file}: is a {kind} tokenizer; BERT has a WordPiece vocabulary")
    tokens = sorted(ids, key=ids.__getitem__)
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise UserError(f"{file}: its ids are not 0 to {len(tokens) - 1}, each once; copy it again")
    return Vocabulary(tuple(tokens), origin=str(file))


def _read_json(file: Path) -> dict[str, Any]:
    """What the file says; nothing if it is not there."""
    if not file.exists():
        return {}
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{file}: is not readable JSON ({error}); mend or delete it") from None
    if not isinstance(values, dict):
        raise UserError(f"{file}: should hold a JSON object like {{}}; mend or delete it")
    return values
