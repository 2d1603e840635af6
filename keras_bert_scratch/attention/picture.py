"""A picture of the attention of a text: a matrix for every layer and head."""

from __future__ import annotations

from typing import Any

from keras_bert_scratch.attention.maps import AttentionMaps
from keras_bert_scratch.figures import finished, new_figure


def figure_of(maps: AttentionMaps, title: str) -> Any:
    """A matplotlib figure of the matrices, layers from the top, heads from the left.

    Args:
        maps: AttentionMaps. What is drawn.
        title: str.
    """
    layers, heads = maps.weights.shape[:2]
    figure = new_figure(max(4.0, 1.0 + 0.8 * heads), 1.0 + 0.8 * layers)
    grid = figure.subplots(layers, heads, squeeze=False)
    for layer, row in enumerate(grid):
        for head, axes in enumerate(row):
            axes.imshow(maps.weights[layer, head] ** 0.5, cmap="Blues", vmin=0.0, vmax=1.0)
            axes.set_xticks([])
            axes.set_yticks([])
            if layer == 0:
                axes.set_title(f"{head + 1}", fontsize=8)
            if head == 0:
                axes.set_ylabel(f"{layer + 1}", fontsize=8)
    figure.supxlabel("head", fontsize=9)
    figure.supylabel("layer", fontsize=9)
    return finished(figure, title)
