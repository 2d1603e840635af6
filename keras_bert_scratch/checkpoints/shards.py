"""Shards: the files that a model's weights are divided among, according to their index."""

from __future__ import annotations

from pathlib import Path

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath


def shards_of(index: AnyPath) -> list[str]:
    """The names of the shards that an index in JSON names in its `weight_map`; they lie beside it.

    Args:
        index: path. Hugging Face's or KerasHub's index, which maps each tensor or layer to a file, or to several.

    Raises:
        UserError: the index is damaged.

    Example:
        >>> atomic.write_json("index.json", {"weight_map": {"a": "1.h5", "b": ["1.h5", "2.h5"]}})
        >>> shards_of(Path("index.json"))
        ['1.h5', '2.h5']
    """
    weight_map = atomic.read_json(index).get("weight_map")
    places = weight_map.values() if isinstance(weight_map, dict) else ()
    names = [name for place in places for name in (place if isinstance(place, list) else [place])]
    if not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"{index}: its weight_map should give the file of each tensor; copy it again")
    return sorted({Path(name).name for name in names})
