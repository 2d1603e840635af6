"""`keras-bert attend`: the page in a real browser without its window, and the picture."""

import os
from pathlib import Path

import pytest
from commands.calls import keras_bert, refused
from fast_and_slow import slow_but
from headless_browser import chromium, watched_page
from matplotlib.image import imread

import keras_bert_scratch as kbs

# Where to leave pictures of the page for people to look at; nowhere by default.
PICTURES = os.environ.get("KERAS_BERT_PICTURES")
TEXT = "The heron sleeps </script><b>$x$ 北京"


@pytest.fixture(scope="module")
def model(config, tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
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


@pytest.fixture(params=slow_but(["light"], ["light", "dark"]))
def page(request, written):
    """What goes wrong in the page, and what it asks of any host, fails the test."""
    with chromium() as browser:
        page, seen = watched_page(browser, request.param)
        page.goto(written.as_uri())
        yield page
        if PICTURES:
            page.screenshot(path=str(Path(PICTURES) / f"attend-{request.param}.png"), full_page=True)
    assert not seen.faults
    assert all(url.startswith(("file:", "data:")) for url in seen.asked)


def test_the_page_can_be_walked_through_by_keyboard(page, model):
    from keras_bert_scratch.attention.maps import attention_maps

    maps = attention_maps(model, TEXT, "An otter wakes.")
    assert page.locator("#looks button").all_text_contents() == list(maps.tokens)
    assert page.locator("#model button").count() == maps.weights.shape[0] * maps.weights.shape[1]
    for layer, name, of_head in (
        ("layer 1", "head 2", maps.weights[0, 1]),
        ("layer 2", "head 1", maps.weights[1, 0]),
        ("layer 1", "average of the heads", maps.averages[0]),
        ("layer 2", "rollout up to it", maps.rollout[1]),
    ):
        page.get_by_role("combobox", name="Layer").select_option(layer)
        page.get_by_role("combobox", name="Of it").select_option(name)
        page.locator("#looks button").nth(1).focus()
        page.keyboard.press("Enter")
        best = of_head[1].argmax()
        assert (
            f"looks most at “{maps.tokens[best]}” {100 * of_head[1].max():.1f}%" in page.locator("#says").inner_text()
        )
        page.keyboard.press("Enter")
        assert page.locator("#says").inner_text() == ""
    page.get_by_role("button", name="layer 2, head 1").focus()
    page.keyboard.press("Space")
    assert page.get_by_role("combobox", name="Of it").input_value() == "0"
    assert page.get_by_role("combobox", name="Layer").input_value() == "layer 2"
    assert f"{maps.entropy[1, 1]:.2f}" in page.locator("#widths tr").nth(2).inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    lines, last = (page.locator(part).last.bounding_box() for part in ("#lines", "#looks li"))
    assert lines["y"] + lines["height"] == pytest.approx(last["y"] + last["height"], abs=1)  # lines end at their tokens


def test_the_picture_is_there(written):
    assert imread(written.with_suffix(".png")).std() > 0.05


def test_refused(model, written):
    refused("attend", model, "a", "--out", "page.png", saying="--out: is a page, so give it a name that ends in .html")
    refused("attend", model, "a", "--out", written, saying="attention.html: exists already")
    refused("attend", model, " ", "--out", "page.html", saying="TEXT: is empty; give a sentence")
    refused(
        "attend",
        model,
        "a [SEP] b",
        "--out",
        "page.html",
        saying="TEXT: has .SEP., which is put around TEXT and --pair",
    )
    refused(
        "attend", model, "a", "--out", "page.html", "--length", "65", saying="65 tokens are more than the 64 positions"
    )
    refused("attend", "none", "a", "--out", "page.html", saying="none: no such folder; check the path")
    assert not Path("page.html").exists()
