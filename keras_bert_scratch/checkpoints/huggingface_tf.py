"""`tf_model.h5`, the weights that Hugging Face's TensorFlow classes wrote up to transformers 4."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from keras_bert_scratch import tensor_file

# From the file's names to torch's, applied in this order: remove the layer group and the model name in front and ":0"
# at the end, write the number of a block as torch does, and so on.
REPLACEMENTS = (
    (r"^[^/]+/[^/]+/", ""),
    (r":0$", ""),
    (r"/layer_\._(\d+)/", r"/layer/\1/"),
    (r"^(mlm|nsp)___cls/", "cls/"),
    (r"_embeddings/embeddings$", "_embeddings/weight"),
    (r"/(kernel|gamma)$", "/weight"),
    (r"/beta$", "/bias"),
    (r"/", "."),
)
# A masked-LM head stores a second copy of the embedding table that it shares, under its own group.
SECOND_COPY = re.compile(r"^mlm___cls/[^/]+/bert/")


def read_tensors(file: Path) -> dict[str, np.ndarray]:
    """The tensors by torch's names, with their matrices transposed as in torch."""
    held = tensor_file.read_tensors(file)
    return {
        _torch_name(name): tensor.T if name.endswith("/kernel:0") else tensor
        for name, tensor in held.items()
        if not SECOND_COPY.match(name)
    }


def _torch_name(name: str) -> str:
    for pattern, replacement in REPLACEMENTS:
        name = re.sub(pattern, replacement, name)
    return name
