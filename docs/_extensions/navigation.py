"""The site's navigation is the list in docs/README.md; a missing document causes a warning, and so an error."""

from __future__ import annotations

import posixpath
import re
import shutil
from pathlib import Path
from typing import Any

from reference import PAGES

INDEX = "docs/README"
SECTION = re.compile(r"^## (.+)\n((?:(?!^## ).*\n)*)", re.MULTILINE)
ENTRY = re.compile(r"^- \[(.+?)\]\((\S+?)\)", re.MULTILINE)


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", add_navigation)
    app.connect("build-finished", add_index)
    return {"parallel_read_safe": True}


def add_navigation(app: Any, document: str, source: list[str]) -> None:
    """Adds a table of contents for each section of docs/README.md to the first page."""
    if document != app.config.root_doc:
        return
    text = Path(app.srcdir, f"{INDEX}.md").read_text(encoding="utf-8")
    sections = {title: ENTRY.findall(entries) for title, entries in SECTION.findall(text)}
    reference = [(title, f"reference/{page}") for page, title in PAGES.items()]
    trees = [_tree("", [("Documents", "README")])]
    for title, entries in sections.items():
        trees += [_tree("Reference", reference)] if title == "Explanation" else []
        trees.append(_tree(title, entries))
    source[0] += "\n\n".join(["", *trees])


def _tree(caption: str, entries: list[tuple[str, str]]) -> str:
    folder = posixpath.dirname(INDEX)
    targets = [(title, posixpath.normpath(posixpath.join(folder, target))) for title, target in entries]
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    lines = [f"{title} </{target.rpartition('.')[0] or target}>" for title, target in targets]
    return "\n".join(["```{toctree}", *options, "", *lines, "```"])


def add_index(app: Any, exception: Exception | None) -> None:
    """Adds index.html, which a browser looks for in a folder."""
    if exception is None:
        shutil.copy(Path(app.outdir, f"{app.config.root_doc}.html"), Path(app.outdir, "index.html"))
