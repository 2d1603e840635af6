"""A real headless browser, and the errors in its pages."""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

WIDTHS = {"light": 390, "dark": 1100}  # a phone's screen, and a wide one


@dataclasses.dataclass
class Seen:
    """What a page did: its errors, and the addresses that it requested."""

    faults: list[str] = dataclasses.field(default_factory=list)
    asked: list[str] = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """The browser; without one the test is skipped."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def watched_page(browser: Any, scheme: str) -> tuple[Any, Seen]:
    """An empty page in light or dark, and a record of its errors and requests from now on."""
    page, seen = browser.new_page(viewport={"width": WIDTHS[scheme], "height": 800}, color_scheme=scheme), Seen()
    page.on("pageerror", lambda error: seen.faults.append(str(error)))
    page.on("console", lambda message: seen.faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: seen.asked.append(request.url))
    return page, seen
