"""The built site, as a browser loads it from the disk: `make docs` builds it and runs this test."""

import re
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

import pytest
from headless_browser import chromium, watched_page

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import VERBS

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src"}  # what a browser loads by itself


class Page(HTMLParser):
    """The addresses that a page links to or loads, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        of_tag = dict(attributes)
        self.anchors |= {of_tag.get("id"), of_tag.get("name")}
        if tag == "a" and of_tag.get("href"):
            self.links.append(of_tag["href"])
        if of_tag.get(LOADED.get(tag)):
            self.loaded.append(of_tag[LOADED[tag]])


@pytest.fixture(scope="module")
def pages() -> dict[Path, Page]:
    found = {path: Page(path) for path in SITE.rglob("*.html")}
    assert len(found) > 30, "run it by 'make docs'"
    return found


def test_links_and_anchors_lead_somewhere(pages):
    dead = []
    for path, page in pages.items():
        for address in (*page.links, *page.loaded):
            parts = urllib.parse.urlsplit(address)
            if parts.scheme in ("http", "https", "mailto"):
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else set()
            if not target.exists() or (parts.fragment and urllib.parse.unquote(parts.fragment) not in anchors):
                dead.append(f"{path.relative_to(SITE)}: {address}")
    assert not dead


def test_nothing_is_loaded_from_elsewhere(pages):
    assert not [
        (path, address) for path, page in pages.items() for address in page.loaded if re.match(r"(\w+:)?//", address)
    ]
    assert not [
        path for path in SITE.rglob("*.css") if re.search(r"(@import|url\()\s*['\"]?(https?:)?//", path.read_text())
    ]


def test_every_public_name_and_command_has_its_entry(pages):
    anchors = set().union(*(page.anchors for path, page in pages.items() if path.parent.name == "reference"))
    names = {f"keras_bert_scratch.{name}" for name in kbs.__all__ if name != "__version__"}
    verbs = {module.__name__.rpartition(".")[2] for module in VERBS}
    assert not (names | verbs) - anchors


def test_every_document_is_a_page():
    documents = [path for pattern in ("*.md", "docs/**/*.md", "notebooks/*.ipynb") for path in ROOT.glob(pattern)]
    missing = [path for path in documents if not (SITE / path.relative_to(ROOT)).with_suffix(".html").exists()]
    assert [path.name for path in missing] == []


def test_search_finds_without_a_server():
    with chromium() as browser:
        page, seen = watched_page(browser, "dark")
        page.goto((SITE / "index.html").as_uri())
        page.get_by_placeholder("Search").first.fill("masking rule")
        page.keyboard.press("Enter")
        page.wait_for_selector("#search-results li:has-text('MaskingRule')")  # results come one by one
        assert not seen.faults
        assert {address.partition(":")[0] for address in seen.asked} == {"file"}
