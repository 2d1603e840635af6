"""A self-contained HTML page to explore the attention weights of a text."""

from __future__ import annotations

import base64
import json
from importlib import resources

import numpy as np

from keras_bert_scratch import atomic
from keras_bert_scratch.attention.maps import AttentionMaps
from keras_bert_scratch.filesystem import AnyPath

SLOT = "{{DATA}}"
STEPS = 65535  # of a weight from 0 to 1, in 16 bits: a page of 12 layers of 12 heads with 64 tokens has 1.7 MB


def write_page(maps: AttentionMaps, model: str, out: AnyPath | str) -> None:
    """Writes the page; it needs no network, no server and no other file.

    Args:
        maps: AttentionMaps. What the page shows.
        model: str. What the page calls the model.
        out: path. The file to write; an existing file is replaced.

    Raises:
        UserError: `out` cannot be written.
    """
    data = {
        "model": model,
        "tokens": maps.tokens,
        "segments": maps.segments,
        "truncated": maps.truncated,
        "layers": maps.weights.shape[0],
        "heads": maps.weights.shape[1],
        "entropy": maps.entropy.round(4).tolist(),
        "weights": _packed(maps.weights),
        "averages": _packed(maps.averages),
        "rollout": _packed(maps.rollout),
    }
    # A text may hold "</script>", which would end the data.
    text = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    template = resources.files("keras_bert_scratch.attention").joinpath("page.html").read_text("utf-8")
    atomic.write_text(out, template.replace(SLOT, text))


def _packed(weights: np.ndarray) -> str:
    return base64.b64encode((weights * STEPS).round().astype("<u2").tobytes()).decode()
