"""A figure of the attention weights of a text: a matrix for every layer and head."""

from __future__ import annotations

from typing import Any

from keras_bert_scratch.attention.maps import AttentionMaps
from keras_bert_scratch.figures import beginning, finished, new_figure

TITLE_WIDTH = 120  # maximum width of the tokens, in columns of a terminal
TICKS = (0.0, 0.1, 0.25, 0.5, 1.0)


def figure_of(maps: AttentionMaps, model: str) -> Any:
    """A matplotlib figure of the matrices, layers from the top, heads from the left.

    Args:
        maps: AttentionMaps. What is drawn; its tokens are in the title.
        model: str. Its name, for the title.
    """
    from matplotlib.colors import PowerNorm

    layers, heads = maps.weights.shape[:2]
    figure = new_figure(max(6.0, 1.8 + 0.8 * heads), max(3.0, 1.8 + 0.8 * layers))
    grid = figure.subplots(layers, heads, squeeze=False)
    for layer, row in enumerate(grid):
        for head, axes in enumerate(row):
            image = axes.imshow(maps.weights[layer, head], cmap="Blues", norm=PowerNorm(0.5, 0.0, 1.0))
            axes.set_xticks([])
            axes.set_yticks([])
            if layer == 0:
                axes.set_title(f"{head + 1}", fontsize=8)
            if head == 0:
                axes.set_ylabel(f"{layer + 1}", fontsize=8)
    figure.colorbar(image, ax=grid, ticks=TICKS, shrink=0.8, label="attention")
    figure.supxlabel("head (rows: queries, columns: keys)", fontsize=9)
    figure.supylabel("layer", fontsize=9)
    more = f" ({maps.truncated:,} more truncated)" if maps.truncated else ""
    return finished(figure, f"{model}\n{beginning(' '.join(maps.tokens), TITLE_WIDTH)}{more}")
