"""What all pictures share: title, file, and fonts that have the characters."""

import warnings
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

import keras_bert_scratch as kbs
from keras_bert_scratch import figures

PNG = b"\x89PNG\r\n\x1a\n"
CHINESE = "北京 $x$"


def figure(title: str = "runs"):
    made = figures.new_figure(3.0, 2.0)
    made.subplots().set_ylabel("loss")
    return figures.finished(made, title)


def a_font(file: Path, family: str, characters: str) -> None:
    """A font that has a box for each of the characters."""
    pen = TTGlyphPen(None)
    for move, point in (("moveTo", (0, 0)), ("lineTo", (0, 700)), ("lineTo", (500, 700)), ("lineTo", (500, 0))):
        getattr(pen, move)(point)
    pen.closePath()
    names = [".notdef", *(f"uni{ord(character):04X}" for character in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(character): name for character, name in zip(characters, names[1:], strict=True)})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(file)


@pytest.fixture
def no_font(monkeypatch):
    """A machine that has only matplotlib's own fonts; fonts that a test adds are forgotten afterwards."""
    own = [font for font in font_manager.fontManager.ttflist if "mpl-data" in font.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda *args, **kwargs: [])
    yield monkeypatch
    font_manager.fontManager._findfont_cached.cache_clear()


def test_a_title_is_broken_where_the_figure_ends_and_dollars_are_dollars():
    made = figure("$\\frac$ of a run whose name is longer than three inches are wide")
    made.canvas.draw()
    box = made._suptitle.get_window_extent()
    assert made._suptitle.get_text().startswith("$\\frac$ of a run")
    assert made.bbox.x0 <= box.x0
    assert box.x1 <= made.bbox.x1


def test_a_picture_is_a_png_in_a_free_place():
    figures.write(figure(), "loss.png")
    assert Path("loss.png").read_bytes().startswith(PNG)
    with pytest.raises(kbs.UserError, match=r"loss\.png: exists already"):
        figures.check_name("loss.png")
    with pytest.raises(kbs.UserError, match=r"`out`: is a PNG, so give it a name that ends in \.png, not 'a\.pdf'"):
        figures.check_name("a.pdf", "out")


def test_where_no_font_has_a_character_one_line_says_so(no_font, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.write(figure(CHINESE), "loss.png")
    [line] = caplog.messages
    assert line.startswith(
        "no installed font has 京 北, so boxes are drawn; install one that has them, such as Noto Sans CJK"
    )


def test_plain_text_needs_no_other_font(no_font, caplog):
    assert figure("Été, ελληνικά, русский").axes[0].yaxis.label.get_fontfamily() == ["sans-serif"]
    assert not caplog.messages


def test_a_font_that_was_installed_since_is_found_and_the_plain_one_preferred(no_font, caplog, tmp_path):
    for family, characters in (("A Display", "北京"), ("Noto Sans Test", "北"), ("Zed", "北京")):
        a_font(tmp_path / f"{family}.ttf", family, characters)
    no_font.setattr(
        font_manager, "findSystemFonts", lambda *args, **kwargs: [str(file) for file in sorted(tmp_path.glob("*.ttf"))]
    )
    made = figure(CHINESE)
    assert made._suptitle.get_fontfamily() == ["sans-serif", "Noto Sans Test", "A Display"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.canvas.draw()
    assert not caplog.messages
