"""The word rules in `tokenizer_config.json` and `tokenizer.json`, and which of these files decides.

Hugging Face's tokenizers of BERT take their rules from `tokenizer_config.json` and from defaults in their code, its
generic classes from `tokenizer.json`. So do we, except that a vocabulary is not lower-cased if no file says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.json_fields import UnsupportedSettingError
from keras_bert_scratch.text import tokenizer_fields as fields

RULES_FILE = "tokenizer_config.json"
# Hugging Face stores tokens and rules here; KerasHub has only the rules in a file of this name.
TOKENIZER_FILE = "tokenizer.json"
# The default of both libraries; KerasHub counts bytes.
OTHERS_MAX_WORD_LENGTH = 100
# Our names of the rules, and the names in these files.
CONFIG_RULES = {
    "lowercase": ("lowercase", "do_lower_case"),
    "strip_accents": ("strip_accents",),
    "tokenize_chinese_chars": ("tokenize_chinese_chars",),
    "max_word_length": ("max_word_length",),
}
NORMALIZER_RULES = {
    "lowercase": ("lowercase",),
    "strip_accents": ("strip_accents",),
    "tokenize_chinese_chars": ("handle_chinese_chars",),
}
KERAS_RULES = {"lowercase": ("lowercase",), "strip_accents": ("strip_accents",)}


def rules_in(
    directory: AnyPath | str, config: Mapping[str, Any], described: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The arguments of `WordRules` that the two files specify, and notes.

    Args:
        directory: the folder of the files, for messages.
        config: the content of `tokenizer_config.json`; empty if there is none.
        described: that of `tokenizer.json`, Hugging Face's or KerasHub's.

    Raises:
        UnsupportedSettingError: a setting is not supported by our tokenizer; names it.

    Example:
        >>> rules_in("model", {"do_lower_case": True}, {})
        ({'lowercase': True, 'max_word_length': 100}, [])
    """
    notes = fields.TOKENIZER_CONFIG.check(f"{directory}/{RULES_FILE}", config, fields.SUBJECT)
    found, more_notes = _described_rules(f"{directory}/{TOKENIZER_FILE}", described)
    notes += more_notes
    told = renamed(config, CONFIG_RULES)
    rules, ignored, by, instead_of = found | told, found, RULES_FILE, TOKENIZER_FILE
    tokenizer_class = config.get("tokenizer_class")
    if tokenizer_class in fields.GENERIC_CLASSES:
        _check_parts(f"{directory}/{TOKENIZER_FILE}", described, tokenizer_class)
        rules, ignored, by, instead_of = found, told, TOKENIZER_FILE, RULES_FILE
    elif "model" in described:
        rules = {name: found[name] for name in ("lowercase", "max_word_length") if name in found} | told
        if "lowercase" not in told and found.get("lowercase") is False:
            notes.append(
                f"{directory}: {RULES_FILE} does not set do_lower_case; texts are not lower-cased, as {TOKENIZER_FILE} "
                f"says, although Hugging Face would lower-case texts; set do_lower_case in {RULES_FILE}"
            )
    used = {"strip_accents": rules.get("lowercase"), "tokenize_chinese_chars": True, **rules}
    notes += [
        f"{directory}: {instead_of} has {name}={value}, but by {by} it is {used.get(name)}; the latter is used, as in "
        f"Hugging Face"
        for name, value in ignored.items()
        if used.get(name) != value
    ]
    if {"do_lower_case", "tokenizer_class"} & config.keys():
        rules.setdefault("max_word_length", OTHERS_MAX_WORD_LENGTH)
    return rules, notes + _note_on_pairs(directory, config)


def renamed(values: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The rules among a file's values, by our names; `null` counts as absent."""
    found = {ours: next((values[name] for name in theirs if name in values), None) for ours, theirs in names.items()}
    return {ours: value for ours, value in found.items() if value is not None}


def _described_rules(file: str, described: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The rules in Hugging Face's or KerasHub's `tokenizer.json`, and notes."""

    def part(name: str, of: Mapping[str, Any]) -> Mapping[str, Any]:
        value = of.get(name) or {}
        if not isinstance(value, dict):
            raise UserError(f"{file}: {name} must be a JSON object; copy the file again")
        return value

    if "model" in described:
        model, normalizer = part("model", described), part("normalizer", described)
        notes = fields.TOKENIZER_JSON.check(file, described, fields.SUBJECT)
        notes += fields.WORDPIECE.check(f"{file}: model", model, fields.SUBJECT)
        notes += fields.NORMALIZER.check(f"{file}: normalizer", normalizer, fields.SUBJECT)
        for name, known in (("pre_tokenizer", fields.PRE_TOKENIZER), ("post_processor", fields.POST_PROCESSOR)):
            notes += known.check(f"{file}: {name}", part(name, described), fields.SUBJECT)
        longest = model.get("max_input_chars_per_word", OTHERS_MAX_WORD_LENGTH)
        return {**renamed(normalizer, NORMALIZER_RULES), "max_word_length": longest}, notes
    if "config" in described:
        config = part("config", described)
        notes = fields.KERAS_OBJECT.check(file, described, fields.SUBJECT)
        notes += fields.KERAS_TOKENIZER.check(f"{file}: config", config, fields.SUBJECT)
        return {**renamed(config, KERAS_RULES), "max_word_length": OTHERS_MAX_WORD_LENGTH}, notes
    return {}, []


def _check_parts(file: str, described: Mapping[str, Any], tokenizer_class: str) -> None:
    """Raises if a part is missing that this class does not replace by BERT's: it then does nothing in its place."""
    for name in ("normalizer", "pre_tokenizer", "post_processor"):
        if not described.get(name):
            raise UnsupportedSettingError(
                f"{file}: {name} is missing or null, so a {tokenizer_class} has none, and only BERT's is supported; "
                f"{fields.SUBJECT} cannot be used here; if it is BERT's, set tokenizer_class to BertTokenizer in "
                f"{RULES_FILE}"
            )


def _note_on_pairs(directory: AnyPath | str, config: Mapping[str, Any]) -> list[str]:
    """A note if Hugging Face gives the model no segments, which it then takes as 0."""
    inputs = config.get("model_input_names")
    without = config.get("tokenizer_class") in fields.CLASSES_WITHOUT_SEGMENTS
    if isinstance(inputs, list):
        without = "token_type_ids" not in inputs
    if not without:
        return []
    return [
        f"{directory}: by {RULES_FILE}, Hugging Face gives both texts of a pair segment 0; here the second has segment "
        f"1, so that outputs for pairs differ"
    ]
