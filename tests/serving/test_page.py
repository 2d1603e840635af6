"""The page for trying a model, in a real headless browser."""

import os
import shutil
import time
from pathlib import Path

import pytest
from fast_and_slow import slow_but
from headless_browser import chromium, watched_page
from serving.served import running

# Folder for screenshots of each task that people can look at; by default none are saved.
PICTURES = os.environ.get("KERAS_BERT_PICTURES")

ASKED = {
    "classification": ({"text": "The heron <b>sleeps</b>."}, "meter"),
    "pairs": ({"text": "The heron", "text_pair": "sleeps"}, "meter"),
    "regression": ({"text": "The heron"}, "text=Score:"),
    "ner": ({"text": "😀 The heron and the otter cross the river 北京."}, "mark"),
    "qa": ({"question": "Who crosses?", "context": "😀 The otter crosses the river before dawn."}, "text=Best spans"),
    "fill-mask": ({"text": "The [MASK] crosses the [MASK]."}, "text=[MASK] 2"),
    "embed": ({"text": "The heron"}, ".strip"),
}


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(params=slow_but(["light"], ["light", "dark"]))
def page(request, browser):
    """An empty page, on a phone in light and on a wide screen in dark; `page.seen` has its errors and requests."""
    page, page.seen = watched_page(browser, request.param)
    yield page
    page.close()


def picture(page, name):
    if PICTURES:
        scheme = "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
        page.screenshot(path=str(Path(PICTURES) / f"{name}-{scheme}.png"), full_page=True)


@pytest.mark.slow
def test_every_model_can_be_tried_by_keyboard(server, page):
    page.goto(server.http + "/")
    for name, (columns, shown) in ASKED.items():
        page.get_by_label("Model").select_option(name)
        for column, text in columns.items():
            page.get_by_label(column, exact=True).fill(text)
        page.keyboard.press("Control+Enter")
        page.locator("#answer").get_by_text("Server response").wait_for()
        assert page.locator(f"#answer >> {shown}").count(), name
        assert page.evaluate("document.activeElement.id") == "answer"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name  # no scrolling sideways
        picture(page, name)
    assert page.seen.faults == []
    assert {url.split("/")[2] for url in page.seen.asked} == {server.http.split("/")[2]}


def test_marks_stand_where_the_server_says(server, page):
    """Offsets count characters, also after one that JavaScript counts as two."""
    text = ASKED["ner"][0]["text"]
    answer = server.post("/v1/models/ner:predict", {"instances": [text]}).json()["predictions"][0]
    page.goto(server.http + "/?model=ner")
    page.get_by_label("text", exact=True).fill(text)
    page.get_by_role("button", name="Run").click()
    page.locator("#answer mark").first.wait_for()
    types = answer["types"][: answer["num_entities"]]
    found = page.locator("#answer mark").all_inner_texts()
    expected = [entity + kind for entity, kind in zip(answer["entities"], types, strict=False)]
    assert [one.replace("\n", "").replace(" ", "") for one in found] == [one.replace(" ", "") for one in expected]


def test_attention_is_shown_by_token_layer_and_head(server, page):
    asked = {"text": "The heron", "text_pair": "sleeps"}
    body = {"signature_name": "attention", "instances": [asked]}
    found = server.post("/v1/models/pairs:predict", body).json()["predictions"][0]
    page.goto(server.http + "/?model=pairs")
    for column, text in asked.items():
        page.get_by_label(column, exact=True).fill(text)
    page.keyboard.press("Control+Enter")
    page.locator(".tokens button").first.wait_for()
    assert page.locator(".tokens button").all_inner_texts() == found["tokens"][: found["num_tokens"]]
    page.get_by_label("Layer").select_option("layer 1")
    page.get_by_label("Head").select_option("head 2")
    page.locator(".tokens button").nth(1).focus()
    shown = page.evaluate("[...document.querySelectorAll('.tokens button')].map(one => one.title)")
    assert shown == [f"{100 * weight:.1f}%" for weight in found["attention"][0][1][1][: found["num_tokens"]]]
    picture(page, "attention")


def test_labels_are_those_of_the_version_that_answers(served_models, page, tmp_path):
    """Also if it has replaced the version that the page listed first."""
    first = served_models["classification"][1] / "1"
    shutil.copytree(first, tmp_path / "m/1")
    with running({"m": tmp_path / "m"}, warm_up=False, engine="litert", poll_seconds=0.1) as address:
        page.goto(address.http + "/")
        page.get_by_text("version 1").wait_for()
        shutil.copytree(first, tmp_path / "new")
        task = tmp_path / "new/task.json"
        task.write_text(task.read_text().replace('"no"', '"never"'))
        (tmp_path / "new").rename(tmp_path / "m/2")
        deadline = time.monotonic() + 30
        while address.get("/v1/models/m/versions/2").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        page.get_by_label("text", exact=True).fill("The heron")
        page.get_by_role("button", name="Run").click()
        page.locator("#answer meter").first.wait_for()
        shown = page.locator("#answer .bars > span:nth-child(3n + 1)").all_inner_texts()
        assert sorted(shown) == ["never", "perhaps", "yes"]
        assert page.get_by_text("version 2").count()


def test_what_is_wrong_is_shown_and_a_token_asked_for(served_models, page):
    _, path = served_models["classification"]
    with running({"m": path}, warm_up=False, engine="litert", token="secret") as address:
        page.goto(address.http + "/")
        page.get_by_text("give the server's token").wait_for()
        page.get_by_label("Server token").fill("secret")
        page.get_by_role("button", name="Run").click()
        page.get_by_label("text", exact=True).fill("The heron")
        page.get_by_role("button", name="Run").click()
        page.locator("#answer meter").first.wait_for()
        picture(page, "token")
        assert page.locator("#answer meter").count() == 3
