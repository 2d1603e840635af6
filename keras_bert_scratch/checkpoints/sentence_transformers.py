"""How a model of sentence-transformers embeds texts: `modules.json` and the files that it names."""

from __future__ import annotations

import json

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints.checkpoint import Embedding
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.json_fields import Fields, SettingRefused
from keras_bert_scratch.transfer import read_text

MODULES_FILE = "modules.json"
TRANSFORMER_FILE = "sentence_bert_config.json"
PROMPTS_FILE = "config_sentence_transformers.json"
POOLING_FOLDER = "1_Pooling"
# Their modules that are followed, in this order; the last may be absent.
FOLLOWED = ("Transformer", "Pooling", "Normalize")
POOLING_MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}

TRANSFORMER_CONFIG = Fields(obeyed=("max_seq_length", "do_lower_case"), refused={}, without_effect=())
POOLING_CONFIG = Fields(
    obeyed=tuple(POOLING_MODES),
    refused={
        "pooling_mode_mean_sqrt_len_tokens": (False,),
        "pooling_mode_weightedmean_tokens": (False,),
        "pooling_mode_lasttoken": (False,),
    },
    # The size is the model's; a prompt is left out of the mean, but there is none.
    without_effect=("word_embedding_dimension", "include_prompt"),
)
PROMPTS_CONFIG = Fields(
    obeyed=(),
    refused={"default_prompt_name": (None,)},
    without_effect=("__version__", "model_type", "prompts", "similarity_fn_name"),
)
SUBJECT = "how it embeds texts"


def read_embedding(path: AnyPath, lowercase: bool | None) -> tuple[Embedding | None, list[str]]:
    """What the folder `path` says about embedding texts, or `None` without `modules.json`; and notes.

    Args:
        path: the model's folder.
        lowercase: whether its vocabulary is uncased.

    Raises:
        SettingRefused: it embeds in a way that is not supported here, by name.
        UserError: a file is damaged.
    """
    if not (path / MODULES_FILE).exists():
        return None, []
    modules = _modules(path / MODULES_FILE)
    names = [name for name, _ in modules]
    if names not in ([*FOLLOWED], [*FOLLOWED[:2]]):
        raise SettingRefused(
            f"{path / MODULES_FILE}: has the modules {', '.join(names)}, and only {', '.join(FOLLOWED)} are "
            f"supported; {SUBJECT} cannot be followed here"
        )
    transformer, pooling = (_module_folder(path, folder) for _, folder in modules[:2])
    notes, found = [], {}
    for file, fields in (
        (transformer / TRANSFORMER_FILE, TRANSFORMER_CONFIG),
        (pooling / "config.json", POOLING_CONFIG),
        (path / PROMPTS_FILE, PROMPTS_CONFIG),
    ):
        values = atomic.read_json(file) if file.exists() else {}
        notes += fields.check(file, values, SUBJECT)
        found |= values
    if found.get("do_lower_case") and lowercase is False:
        raise SettingRefused(
            f"{transformer / TRANSFORMER_FILE}: do_lower_case is true for a cased vocabulary; {SUBJECT} cannot be "
            f"followed here"
        )
    poolings = [ours for theirs, ours in POOLING_MODES.items() if found.get(theirs)]
    if len(poolings) != 1:
        raise SettingRefused(
            f"{pooling / 'config.json'}: takes {' and '.join(poolings) or 'none'} of the tokens, and only one of "
            f"{', '.join(POOLING_MODES.values())} is supported; {SUBJECT} cannot be followed here"
        )
    length = found.get("max_seq_length")
    if length is not None and (type(length) is not int or length < 3):
        raise UserError(f"{transformer / TRANSFORMER_FILE}: max_seq_length is {length!r}; copy it again")
    return Embedding(poolings[0], len(modules) == len(FOLLOWED), max_length=length), notes


def write_embedding(path: AnyPath, embedding: Embedding, config: BertConfig) -> list[str]:
    """Writes the files into the folder `path`; returns a note where they cannot hold it."""
    if embedding.pooling not in POOLING_MODES.values() or embedding.layer_numbers != (-1,):
        return [f"how it embeds texts is left out, as sentence-transformers cannot: {embedding.described}"]
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
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{file}: is no list of modules with type and path ({error!r}); copy it again") from None


def _module_folder(path: AnyPath, folder: str) -> AnyPath:
    return path / folder if folder else path
