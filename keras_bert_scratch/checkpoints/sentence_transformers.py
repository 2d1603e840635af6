"""How a model of sentence-transformers embeds texts: `modules.json` and the files that it names."""

from __future__ import annotations

import json

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints.checkpoint import Embedding
from keras_bert_scratch.checkpoints.config_fields import (
    NORMALIZE_CONFIG,
    POOLING_CONFIG,
    PROMPTS_CONFIG,
    TRANSFORMER_CONFIG,
)
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.json_fields import UnsupportedSettingError
from keras_bert_scratch.transfer import read_text

MODULES_FILE = "modules.json"
TRANSFORMER_FILE = "sentence_bert_config.json"
TOKENIZER_FILE = "tokenizer_config.json"
PROMPTS_FILE = "config_sentence_transformers.json"
POOLING_FOLDER = "1_Pooling"
# Their modules that are supported, in this order; the last may be absent.
FOLLOWED = ("Transformer", "Pooling", "Normalize")
# One of them is true; newer files have a name in `pooling_mode` instead.
POOLING_MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}

SUBJECT = "its embedding method"
NO_LIMIT = 1 << 31


def read_embedding(path: AnyPath, lowercase: bool | None) -> tuple[Embedding | None, list[str]]:
    """How texts are embedded according to the folder `path` (`None` without `modules.json`), and notes.

    Args:
        path: the model's folder.
        lowercase: whether its vocabulary is uncased.

    Raises:
        UnsupportedSettingError: it embeds in a way that is not supported here; the message names it.
        UserError: a file is damaged.
    """
    if not (path / MODULES_FILE).exists():
        return None, []
    modules = _modules(path / MODULES_FILE)
    names = [name for name, _ in modules]
    if names not in ([*FOLLOWED], [*FOLLOWED[:2]]):
        raise UnsupportedSettingError(
            f"{path / MODULES_FILE}: has the modules {', '.join(names)}, but only {', '.join(FOLLOWED)} are "
            f"supported; {SUBJECT} cannot be used here"
        )
    transformer, pooling, *normalize = (path / folder if folder else path for _, folder in modules)
    notes, found = [], {}
    for file, fields in (
        (transformer / TRANSFORMER_FILE, TRANSFORMER_CONFIG),
        (pooling / "config.json", POOLING_CONFIG),
        *((folder / "config.json", NORMALIZE_CONFIG) for folder in normalize),
        (path / PROMPTS_FILE, PROMPTS_CONFIG),
    ):
        values = atomic.read_json(file) if file.exists() else {}
        notes += fields.check(file, values, SUBJECT)
        found |= values
    if found.get("do_lower_case") and lowercase is False:
        raise UnsupportedSettingError(
            f"{transformer / TRANSFORMER_FILE}: do_lower_case is true for a cased vocabulary; {SUBJECT} cannot be "
            f"used here"
        )
    named = found.get("pooling_mode") or [ours for theirs, ours in POOLING_MODES.items() if found.get(theirs)]
    named = [named] if isinstance(named, str) else named
    if len(named) != 1 or named[0] not in POOLING_MODES.values():
        raise UnsupportedSettingError(
            f"{pooling / 'config.json'}: its pooling is {' and '.join(map(str, named)) or 'none'}, but only one "
            f"of {', '.join(POOLING_MODES.values())} is supported; {SUBJECT} cannot be used here"
        )
    length = found.get("max_seq_length")
    if length is None and (path / TOKENIZER_FILE).exists():
        length = atomic.read_json(path / TOKENIZER_FILE).get("model_max_length")
    if length is not None and (isinstance(length, bool) or not isinstance(length, (int, float)) or length < 3):
        raise UserError(f"{path}: its max_seq_length or model_max_length is {length!r}; copy its files again")
    # Without a limit, their tokenizer stores about 1e30.
    return Embedding(named[0], bool(normalize), max_length=length and int(min(length, NO_LIMIT))), notes


def write_embedding(path: AnyPath, embedding: Embedding, config: BertConfig) -> list[str]:
    """Writes the files into the folder `path`; returns a note if they cannot express this embedding."""
    if embedding.pooling not in POOLING_MODES.values() or embedding.layer_numbers != (-1,):
        return [f"its embedding method is left out, as sentence-transformers cannot express it: {embedding.described}"]
    names = FOLLOWED if embedding.normalize else FOLLOWED[:2]
    folders = ["", POOLING_FOLDER, "2_Normalize"]
    modules = [
        {"idx": number, "name": str(number), "path": folder, "type": f"sentence_transformers.models.{name}"}
        for number, (name, folder) in enumerate(zip(names, folders, strict=False))
    ]
    modes = {theirs: ours == embedding.pooling for theirs, ours in POOLING_MODES.items()}
    length = embedding.max_length or config.max_position_embeddings
    atomic.write_json(path / MODULES_FILE, modules)
    atomic.write_json(path / POOLING_FOLDER / "config.json", {"word_embedding_dimension": config.hidden_size, **modes})
    atomic.write_json(path / TRANSFORMER_FILE, {"max_seq_length": length, "do_lower_case": False})
    return []


def _modules(file: AnyPath) -> list[tuple[str, str]]:
    """The class and the folder of each module."""
    try:
        return [(module["type"].rpartition(".")[2], module["path"]) for module in json.loads(read_text(file))]
    except UserError:  # a hub refuses the file
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{file}: is not a list of modules with type and path ({error!r}); copy it again") from None
