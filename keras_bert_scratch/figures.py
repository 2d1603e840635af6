"""Figures: what all plots share: an empty figure, fonts that have the characters of its texts, and the PNG file.

Nothing here changes matplotlib's global settings or uses its window system: a caller's own figures are not affected.
"""

from __future__ import annotations

import contextlib
import logging
import unicodedata
import warnings
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text as Line

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

DOTS_PER_INCH = 120
COLUMNS_PER_INCH = 10  # of a title; a Chinese character takes two columns, as on a terminal
PLAIN = {"parse_math": False}  # the name of a label or a file may contain a dollar sign
TITLE_SIZE = 10
# From dark to light, distinguishable in greyscale and by colour-blind readers (Okabe and Ito, 2008, without yellow).
COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
SHADES = ("#9ecae1", "#4292c6", "#08306b")  # for up to three related series, light to dark
# If several installed fonts have the needed characters, these plain text fonts are preferred.
PREFERRED = ("noto sans", "source han sans", "wenquanyi", "pingfang", "hiragino", "microsoft yahei", "simhei", "arial")
PLACEHOLDERS = "last resort"  # a font that comes with matplotlib and has a box for each script
SHOWN_CHARACTERS = 8
CHOSEN = "✓"  # marks what the answer consists of
NONE_CHOSEN = "no candidate is the answer: each is below its threshold"
LEAST_SEEN = 0.1  # shorter bars are hardly visible if a full bar stands for 1

log = logging.getLogger(__name__)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, its size in inches, for files and notebooks."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def whole_bar(probabilities: Collection[float], exclusive: bool) -> float:
    """The probability that a bar of full length stands for: 1, or the largest probability if all are small.

    If none of the answers needs to be right, it is always 1: a long bar would suggest that one is likely.
    """
    most = max(probabilities, default=1.0)
    return most if exclusive and 0.0 < most < LEAST_SEEN else 1.0


def beginning(text: str, width: int) -> str:
    """As much of a text as `width` columns of a terminal hold, with `…` if it is cut.

    Example:
        >>> beginning("An otter wakes.", 9), beginning("水獭醒来。", 9), beginning("A heron.", 9)
        ('An otter …', '水獭醒来 …', 'A heron.')
    """
    return text if cell_len(text) <= width else f"{set_cell_size(text, width).rstrip()} …"


def finished(figure: Figure, title: str) -> Figure:
    """Adds the title, wrapped to the figure's width, and fonts that have all characters; returns the figure."""
    width = int(figure.get_size_inches()[0] * COLUMNS_PER_INCH)
    lines = [line for part in title.splitlines() for line in Line(part).wrap(Console(), width, overflow="fold")]
    figure.suptitle("\n".join(line.plain.strip() for line in lines), fontsize=TITLE_SIZE, **PLAIN)
    _choose_fonts(figure)
    return figure


def cut_at_the_edge(figure: Figure, texts: Iterable[Text]) -> None:
    """Cuts the ends of `texts` of a finished figure that are wider than the figure."""
    with _without_glyph_warnings():
        figure.draw_without_rendering()
        for text in texts:
            while len(shown := text.get_text().removesuffix(" …")) > 1 and text.get_window_extent().x1 > figure.bbox.x1:
                text.set_text(f"{shown[:-1].rstrip()} …")


def check_name(picture: AnyPath | str, argument: str = "picture") -> None:
    """Raises `UserError` unless the name of `picture` ends in `.png` and nothing exists at this path."""
    if path_of(picture).suffix.lower() != ".png":
        raise UserError(f"`{argument}`: is a PNG, so give it a name that ends in .png, not {path_of(picture).name!r}")
    atomic.check_is_free(picture)


def write(figure: Figure, picture: AnyPath | str) -> None:
    """Writes the figure as a PNG; raises `UserError` if it cannot be written."""
    with atomic.write(picture) as temporary, _without_glyph_warnings():
        figure.savefig(temporary, dpi=DOTS_PER_INCH, format="png")


@contextlib.contextmanager
def _without_glyph_warnings() -> Iterator[None]:
    """Suppresses matplotlib's warning for each character that no font has: `_choose_fonts` has logged them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph ")
        yield


def _choose_fonts(figure: Figure) -> None:
    """Adds installed fonts for characters that the default font lacks; logs one warning if some are still missing."""
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if text.get_text()]
    wanted = {character for text in texts for character in text.get_text() if not character.isspace()}
    own = texts[0].get_fontfamily()
    lacking = {ord(character) for character in wanted} - _characters_of(_file_of(own))
    if not lacking:
        return
    families = []
    for family, file in _installed():
        if found := lacking & _characters_of(file):
            families.append(family)
            lacking -= found
        if not lacking:
            break
    for text in texts:
        text.set_fontfamily([*own, *families])
    if lacking:
        shown = " ".join(map(chr, sorted(lacking)[:SHOWN_CHARACTERS])) + " …" * (len(lacking) > SHOWN_CHARACTERS)
        log.warning(
            "no installed font has %s, so boxes are drawn; install one that has them, %s", shown, _advice(lacking)
        )


def _advice(lacking: set[int]) -> str:
    """A font to install for the missing characters, for the log message."""
    if any("CJK" in unicodedata.name(chr(code), "") for code in lacking):
        return "such as Noto Sans CJK (on Debian and Ubuntu the package fonts-noto-cjk)"
    return "such as Noto Sans for their script"


def _installed() -> list[tuple[str, Path]]:
    """Family and file of all upright fonts of normal weight, including those installed since matplotlib's last scan."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    for file in font_manager.findSystemFonts():
        if file not in known:
            with contextlib.suppress(Exception):  # a font that matplotlib cannot read, such as a bitmap font
                manager.addfont(file)
    fonts = {
        entry.name: Path(entry.fname)
        for entry in manager.ttflist
        if entry.style == "normal" and entry.weight in (400, "normal", "regular")
    }

    def rank(name: str) -> tuple[int, str]:
        places = (number for number, start in enumerate(PREFERRED) if name.lower().startswith(start))
        return next(places, len(PREFERRED)), name

    return [(name, fonts[name]) for name in sorted(fonts, key=rank) if not name.lower().startswith(PLACEHOLDERS)]


def _file_of(families: list[str]) -> Path:
    from matplotlib import font_manager

    return Path(font_manager.findfont(font_manager.FontProperties(family=families)))


def _characters_of(file: Path) -> set[int]:
    """The code points that a font has; empty if the font cannot be read."""
    from matplotlib import font_manager

    try:
        return set(font_manager.get_font(file).get_charmap())
    except (OSError, RuntimeError):
        return set()
