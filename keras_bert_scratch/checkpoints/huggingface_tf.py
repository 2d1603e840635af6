"""`tf_model.h5`, the weights that Hugging Face's TensorFlow classes wrote up to transformers 4."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from keras_bert_scratch import tensor_file
from keras_bert_scratch.checkpoints.names import Rules, renamed

# Theirs to torch's, of which the file's names are a variant: layer group and model name before, ":0" behind.
TORCHS_NAMES: Rules = (
    (r"^[^/]+/[^/]+/", ""),
    (r":0$", ""),
    (r"/layer_\._(\d+)/", r"/layer/\1/"),
    (r"^(mlm|nsp)___cls/", "cls/"),
    (r"_embeddings/embeddings$", "_embeddings/weight"),
    (r"/(kernel|gamma)$", "/weight"),
    (r"/beta$", "/bias"),
    (r"/", "."),
)
# A masked-language head holds the embedding table that it shares once more, under its own group.
SECOND_COPY = re.compile(r"^mlm___cls/[^/]+/bert/")


def read_tensors(file: Path) -> dict[str, np.ndarray]:
    """The tensors by torch's names, their matrices turned as torch has them."""
    held = tensor_file.read_tensors(file)
    return {
        renamed(name, TORCHS_NAMES): tensor.T if name.endswith("/kernel:0") else tensor
        for name, tensor in held.items()
        if not SECOND_COPY.match(name)
    }
