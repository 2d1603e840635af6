"""A picture of the attention of a text: a matrix for every layer and head."""

from __future__ import annotations

from typing import Any

from keras_bert_scratch import atomic
from keras_bert_scratch.attention.maps import AttentionMaps
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.tasks.pictures import DOTS_PER_INCH, PLAIN


def draw_attention(maps: AttentionMaps, title: str, picture: AnyPath | str) -> None:
    """Draws the matrices, layers from the top, heads from the left.

    Args:
        maps: AttentionMaps. What is drawn.
        title: str.
        picture: path. The PNG; must not exist yet.

    Raises:
        UserError: something is there, or the disk refuses it.
    """
    with atomic.write(picture) as temporary:
        figure_of(maps, title).savefig(temporary, dpi=DOTS_PER_INCH, format="png")


def figure_of(maps: AttentionMaps, title: str) -> Any:
    """The same as matplotlib's figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers, heads = maps.weights.shape[:2]
    figure = Figure(figsize=(max(4.0, 1.0 + 0.8 * heads), 1.0 + 0.8 * layers), layout="constrained")
    FigureCanvasAgg(figure)
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
    figure.suptitle(title, fontsize=9, **PLAIN)
    return figure
