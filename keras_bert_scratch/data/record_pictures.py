"""A figure of records: the lengths of texts and rows, and what is masked."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_bert_scratch.data.pretraining.masking import REPLACEMENTS
from keras_bert_scratch.data.record_sample import RecordSample
from keras_bert_scratch.figures import PLAIN, SHADES, finished, new_figure

STYLES = ("-", "--")
BINS = 32
MOST_TOKENS = 12
ROOM_FOR_LEGEND = 1.25


def figure_of(sample: RecordSample, title: str) -> Any:
    """A matplotlib figure of what `sample_records` returned.

    Args:
        sample: RecordSample.
        title: str. Which records; the number of rows is added.
    """
    figure = new_figure(12.0, 6.4)
    (texts, rows, counts), (positions, shown, tokens) = figure.subplots(2, 3)
    _draw_texts(texts, sample)
    _draw_rows(rows, sample)
    _draw_counts(counts, sample)
    _draw_positions(positions, sample)
    _draw_shown(shown, sample)
    _draw_tokens(tokens, sample)
    for axes in (texts, rows, counts, positions):
        axes.grid(alpha=0.3)
        axes.set_ylim(0.0, ROOM_FOR_LEGEND * axes.get_ylim()[1])
    row = f"{len(sample.masks_per_row):,} rows of {sample.max_length} positions"
    return finished(figure, f"{title}: {row}, as training at this length reads them (a smaller corpus is repeated)")


def _draw_texts(axes: Any, sample: RecordSample) -> None:
    """On a log2 scale, because the lengths of documents differ by orders of magnitude."""
    longest = max(lengths.max() for lengths in sample.texts.values())
    edges = np.geomspace(1.0, max(2.0, longest + 1.0), BINS + 1)
    for (what, lengths), style, colour in zip(sample.texts.items(), STYLES, SHADES[:0:-1], strict=False):
        label = f"{len(lengths):,} {what}, median {np.median(lengths):,.0f}"
        axes.hist(lengths, edges, weights=_shares(lengths), histtype="step", linestyle=style, color=colour, label=label)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_title("tokens per text, first shard", fontsize=10)
    axes.set_xlabel("tokens")
    axes.set_ylabel("fraction of texts")
    axes.legend(fontsize=8)


def _draw_rows(axes: Any, sample: RecordSample) -> None:
    edges = np.linspace(0.0, sample.max_length + 1.0, min(BINS, sample.max_length + 1) + 1)
    for (what, lengths), style, colour in zip(sample.rows.items(), STYLES, SHADES[:0:-1], strict=False):
        label = f"{what}: {sample.padding(what):.1%} padding"
        axes.hist(lengths, edges, weights=_shares(lengths), histtype="step", linestyle=style, color=colour, label=label)
    axes.set_title("tokens per row; the rest is padding", fontsize=10)
    axes.set_xlabel("tokens")
    axes.set_ylabel("fraction of rows")
    axes.legend(fontsize=8, loc="upper left")


def _draw_counts(axes: Any, sample: RecordSample) -> None:
    share = np.bincount(sample.masks_per_row) / len(sample.masks_per_row)
    axes.bar(np.arange(len(share)), share, color=SHADES[1])
    axes.set_title(f"masked tokens per row, {sample.masks_per_row.mean():.1f} on average", fontsize=10)
    axes.set_xlabel("masked tokens")
    axes.set_ylabel("fraction of rows")


def _draw_positions(axes: Any, sample: RecordSample) -> None:
    axes.plot(sample.masked_fraction, color=SHADES[2], linewidth=1.2)
    axes.set_title("fraction of masked tokens at each position", fontsize=10)
    axes.set_xlabel("position in the row")
    axes.set_ylabel("fraction of non-special tokens")


def _draw_shown(axes: Any, sample: RecordSample) -> None:
    total = max(1, sum(sample.shown_as.values()))
    shares = [count / total for count in sample.shown_as.values()]
    at = np.arange(len(shares))
    axes.bar(at, shares, color=SHADES[1], label="counted")
    axes.plot(at, REPLACEMENTS, linestyle="", marker="D", color="black", label="the paper's rule")
    for place, share in zip(at, shares, strict=True):
        axes.text(place, share + 0.03, f"{share:.1%}", ha="center", fontsize=9)
    axes.set_xticks(at, sample.shown_as, **PLAIN)
    axes.set_ylim(0.0, 1.0)
    axes.set_title(f"replacement of {total:,} masked tokens", fontsize=10)
    axes.set_ylabel("fraction of masked tokens")
    axes.legend(fontsize=8)


def _draw_tokens(axes: Any, sample: RecordSample) -> None:
    """Each token's share of the masked tokens, and of all tokens: a rule without preferences makes both equal."""
    names = list(sample.masked_tokens)[:MOST_TOKENS]
    at = np.arange(len(names))
    masked, there = (
        [100.0 * counts[name] / max(1, sum(counts.values())) for name in names]
        for counts in (sample.masked_tokens, sample.all_tokens)
    )
    axes.barh(at, masked, color=SHADES[1], label="of masked tokens")
    axes.plot(there, at, linestyle="", marker="D", color="black", markersize=4, label="of all tokens")
    axes.set_yticks(at, names, fontsize=8, **PLAIN)
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first on top
    axes.set_xlabel("percent")
    axes.set_title("tokens masked most often", fontsize=10)
    axes.legend(fontsize=8, loc="lower right")


def _shares(values: np.ndarray) -> np.ndarray:
    """Equal weights, one per value, that sum to 1."""
    return np.full(len(values), 1.0 / max(1, len(values)))
