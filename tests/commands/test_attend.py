"""`keras-bert attend`: the page, in a real headless browser, and the picture."""

import itertools
import math
import os
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from commands.calls import keras_bert, refused
from fast_and_slow import slow_but
from headless_browser import WIDTHS, chromium, watched_page
from matplotlib.image import imread

import keras_bert_scratch as kbs
from keras_bert_scratch.attention.maps import AttentionMaps
from keras_bert_scratch.attention.page import write_page

# Folder for screenshots of the page that people can look at; by default none are saved.
PICTURES = os.environ.get("KERAS_BERT_PICTURES")
TEXT = "The heron sleeps </script><b>$x$ 北京"


@pytest.fixture(scope="module")
def model(config, tokenizer, tmp_path_factory) -> Path:
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("model") / "_".join(["a_name_without_a_blank_that_a_phone_has_no_room_for"] * 3)
    backbone = kbs.BertBackbone(config.replace(initializer_range=1.0))
    kbs.BertTextClassifier(backbone, num_classes=2).save_pretrained(folder, tokenizer)
    return folder


@pytest.fixture(scope="module")
def written(model, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("attention") / "attention.html"
    result = keras_bert("attend", str(model), TEXT, "--pair", "An otter wakes.", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert f"{out}: written, and attention.png" in result.output
    return out


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(params=slow_but(["light"], ["light", "dark"]))
def page(request, written, browser):
    """The written page; an error in it, or a request to any host, fails the test."""
    page, seen = watched_page(browser, request.param)
    page.goto(written.as_uri())
    yield page
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"attend-{request.param}.png"), full_page=True)
    page.close()
    assert not seen.faults
    assert all(url.startswith(("file:", "data:")) for url in seen.asked)


@pytest.fixture(scope="module")
def maps(model):
    return kbs.attention_maps(model, TEXT, "An otter wakes.")


def as_told(weights) -> np.ndarray:
    """The weights as the page stores them, in 16 bits."""
    return np.round(weights.astype("float64") * 65535) / 65535


def strengths(canvas) -> np.ndarray:
    """The weights that a canvas shows: the opacity of a cell is the square root of its weight."""
    pixels = "one.getContext('2d').getImageData(0, 0, one.width, one.height).data"
    alpha = np.array(canvas.evaluate(f"one => Array.from({pixels})"))[3::4]
    return (alpha.reshape(math.isqrt(len(alpha)), -1) / 255) ** 2


WIDTH_OF_OPTIONS = """one => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
    canvas.font = getComputedStyle(one).font;
    return [Math.max(...[...one.options].map(option => canvas.measureText(option.text).width)), one.clientWidth];
}"""


def contrast(element, background: str) -> float:
    """The contrast of its text with a colour of the page, as WCAG 2.1 defines it."""
    drawn = """(one, background) => {
        one.style.outlineColor = background;
        const canvas = new OffscreenCanvas(1, 1).getContext("2d");
        return ["color", "outlineColor"].map(part => {
            canvas.fillStyle = getComputedStyle(one)[part];
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
        });
    }"""
    channels = np.array(element.evaluate(drawn, background)) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    dark, light = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (light + 0.05) / (dark + 0.05)


def test_the_page_can_be_walked_through_by_keyboard(page, maps):
    assert page.locator("#looks button").all_text_contents() == list(maps.tokens)
    for layer, name, of_head in (
        ("Layer 1", "head 2", maps.weights[0, 1]),
        ("Layer 2", "head 1", maps.weights[1, 0]),
        ("Layer 1", "average of the heads", maps.averages[0]),
        ("Layer 2", "rollout up to this layer", maps.rollout[1]),
    ):
        page.get_by_role("combobox", name="Layer").select_option(layer.lower())
        page.get_by_role("combobox", name="Head").select_option(name)
        says = page.locator("#says")
        assert says.inner_text() == f"{layer}, {name}."
        shown(page, of_head, slice(None))
        page.locator("#looks button").nth(1).focus()
        page.keyboard.press("Enter")
        told = as_told(of_head)[1]
        sentence = f"attends most to “{maps.tokens[told.argmax()]}” {100 * told.max():.1f}%"
        assert sentence in says.inner_text()
        shown(page, of_head, slice(1, 2))
        page.keyboard.press("Enter")
        assert says.inner_text() == f"{layer}, {name}."
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.get_by_role("button", name="layer 2, head 1").focus()
    page.keyboard.press("Space")
    assert page.get_by_role("combobox", name="Head").input_value() == "0"
    assert page.get_by_role("combobox", name="Layer").input_value() == "layer 2"
    assert says.inner_text() == "Layer 2, head 1."
    box = says.bounding_box()
    assert 0 <= box["y"] <= 801 - box["height"]  # on the screen of 800 pixels: the page scrolls to it


def test_many_buttons_are_one_stop_of_tab(page, maps):
    def focused() -> str:
        return page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent")

    page.get_by_role("combobox", name="Head").focus()
    for key, reached in (
        ("Tab", maps.tokens[0]),
        ("ArrowDown", maps.tokens[1]),
        ("ArrowUp", maps.tokens[0]),
        ("ArrowUp", maps.tokens[0]),  # the first token has none above it
        ("Tab", "All layers and heads"),
        ("Tab", "layer 1, head 1"),
        ("ArrowRight", "layer 1, head 2"),
        ("ArrowDown", "layer 2, head 2"),
        ("Tab", "Entropy"),
        ("Shift+Tab", "layer 2, head 2"),
    ):
        page.keyboard.press(key)
        assert focused() == reached


def shown(page, weights, looking: slice) -> None:
    """Lines, colours and numbers show the weights of the query tokens `looking`."""
    chosen = as_told(weights)[looking]
    opacities = [float(line.get_attribute("stroke-opacity")) for line in page.locator("#lines line").all()]
    np.testing.assert_allclose(sorted(opacities), np.sort(chosen[chosen >= 0.01]), atol=1e-3)
    seen = page.locator("#seen li")
    strength = [float(at) for at in seen.evaluate_all("all => all.map(one => one.style.getPropertyValue('--weight'))")]
    np.testing.assert_allclose(strength, chosen.mean(axis=0), atol=2e-3)
    numbers = [f"{100 * weight:.1f}%" for weight in chosen[0]] if len(chosen) == 1 else [""] * len(strength)
    assert seen.locator("span").all_text_contents() == numbers
    np.testing.assert_allclose(strengths(page.locator("#matrix")), weights, atol=0.01)


def test_each_small_matrix_is_that_of_its_head(page, maps):
    layers, heads = maps.weights.shape[:2]
    assert page.locator("#model button").count() == layers * heads
    for layer, head in np.ndindex(layers, heads):
        button = page.get_by_role("button", name=f"layer {layer + 1}, head {head + 1}")
        np.testing.assert_allclose(strengths(button.locator("canvas")), maps.weights[layer, head], atol=0.01)
        cell = page.locator("#widths tr").nth(1 + layer).locator("td").nth(head)
        assert float(cell.inner_text()) == pytest.approx(maps.entropy[layer, head], abs=0.0051)


def test_the_page_can_be_read_on_a_phone_and_a_wide_screen_in_dark_and_light(page):
    assert "width=device-width" in page.locator("meta[name=viewport]").get_attribute("content")
    for width, scheme in itertools.product(WIDTHS.values(), ("light", "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        for part, behind in (
            ("#about", "--paper"),
            ("#says", "--paper"),
            ("#looks button.second", "--paper"),
            ("#seen li", "--seen"),
            ("#seen li.second", "--seen"),
        ):
            assert contrast(page.locator(part).first, f"var({behind})") >= 4.5, (part, scheme)
        cell = page.locator("#widths td").first
        most = cell.evaluate("one => (one.style.setProperty('--weight', 1), getComputedStyle(one).backgroundColor)")
        assert contrast(cell, most) >= 4.5, scheme
        for choice in page.locator("select").all():  # the longest option, and an arrow of 2rem
            needed, there = choice.evaluate(WIDTH_OF_OPTIONS)
            assert needed + 32 <= there, (width, scheme)
        lines, last = (page.locator(part).last.bounding_box() for part in ("#lines", "#looks li"))
        assert lines["y"] + lines["height"] == pytest.approx(last["y"] + last["height"], abs=1)  # lines end at tokens


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 390])
def test_long_tokens_fit_on_a_phone(browser, tmp_path, width, scheme):
    tokens = ("[CLS]", "internationalizations", "donaudampfschifffahrtsgesellschaft", "##s", "[SEP]")
    weights = np.full((2, 2, 5, 5), 0.2, "float32")
    write_page(AttentionMaps(tokens, (0, 0, 0, 1, 1), weights), "model", tmp_path / "long.html")
    page, seen = watched_page(browser, scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto((tmp_path / "long.html").as_uri())
    page.locator("#looks button").nth(1).click()  # the numbers need room too
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"attend-long-{width}-{scheme}.png"))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    lines, tokens, seen_tokens = (
        page.locator(part).first.bounding_box() for part in ("#between", "#looks", "#seen bdi")
    )
    assert 48 <= lines["width"] <= tokens["width"]
    assert seen_tokens["width"] >= 32
    page.close()
    assert not seen.faults


def test_the_page_counts_the_tokens_that_it_does_not_show(model, browser, tmp_path, caplog):
    keras_bert("attend", str(model), "The heron sleeps. " * 9, "--length", "16", "--out", "page.html")
    (shown,) = re.findall(r"the text has (\d+) tokens; only 16 are shown", caplog.text)
    page, seen = watched_page(browser, "light")
    page.goto((tmp_path / "page.html").as_uri())
    assert f": 16 tokens, {int(shown) - 16} more truncated, 2 layers" in page.locator("#about").inner_text()
    page.close()
    assert not seen.faults


def test_the_picture_is_there(written):
    assert imread(written.with_suffix(".png")).std() > 0.05


def test_a_picture_that_fails_leaves_no_page(model, monkeypatch):
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **named: 1 / 0)
    assert isinstance(keras_bert("attend", model, "a", "--out", "page.html").exception, ZeroDivisionError)
    assert not list(Path().iterdir())


def test_refused(model, written):
    refused("attend", model, "a", "--out", "page.png", saying="--out: is a web page; give it a name that ends in .html")
    refused("attend", model, "a", "--out", written, saying="attention.html: exists already")
    refused("attend", model, " ", "--out", "page.html", saying="TEXT: is empty; give a sentence")
    refused("attend", model, "a", "--pair", "\u200b", "--out", "page.html", saying="--pair: is empty; give a sentence")
    refused(
        "attend",
        model,
        "a [SEP] b",
        "--out",
        "page.html",
        saying="TEXT: contains .SEP.; special tokens are added to TEXT and --pair",
    )
    refused(
        "attend", model, "a", "--out", "page.html", "--length", "65", saying="65 tokens are more than the 64 positions"
    )
    refused("attend", "none", "a", "--out", "page.html", saying="none: no such folder; check the path")
    assert not Path("page.html").exists()
