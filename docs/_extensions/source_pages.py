"""Code files and folders that documents link to become pages of the site."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

LANGUAGES = {".py": "python", ".sh": "bash", ".yaml": "yaml", ".json": "json", ".cc": "cpp"}
LINES = re.compile(r"\]\(([^)\s#]+)#(L\d+)(?:-L\d+)?\)")
FOLDER = "source"
wanted: set[Path] = set()


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", keep_lines)
    app.add_transform(LinksToSource)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": False}


def keep_lines(app: Any, document: str, source: list[str]) -> None:
    """Stores the first line number of a link to code, as in `masking.py#L20-L41`, in the link's title."""
    source[0] = LINES.sub(r'](\1 "\2")', source[0])


class LinksToSource(SphinxTransform):
    """Links to files and folders of the repository lead to their pages."""

    default_priority = 5

    def apply(self, **kwargs: Any) -> None:
        """Called by Sphinx for each document."""
        for kind in (addnodes.download_reference, addnodes.pending_xref):
            for node in list(self.document.findall(kind)):
                if node.get("reftype") != "myst" or node.get("refdomain"):
                    continue
                _, path = self.env.relfn2path(node["reftarget"], self.env.docname)
                if Path(path).exists():
                    wanted.add(Path(path))
                    line = re.fullmatch(r"L(\d+)", node.get("reftitle", ""))
                    uri = self.app.builder.get_relative_uri(self.env.docname, _page(self.app, Path(path)))
                    uri += f"#L-{line[1]}" if line else ""
                    node.replace_self(nodes.reference("", "", *node.children, internal=True, refuri=uri))


def pages(app: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yields the pages: the text of a file, or the list of a folder."""
    for path in sorted(wanted | {file for folder in wanted for file in _files(folder)}):
        name = path.relative_to(app.srcdir).as_posix()
        if path.is_dir():
            here = _page(app, path)
            links = ((app.builder.get_relative_uri(here, _page(app, file)), file.name) for file in _files(path))
            body = "".join(f'<li><a href="{uri}">{html.escape(name)}</a></li>' for uri, name in links)
            body = f"<ul>{body}</ul>"
        else:
            language = LANGUAGES.get(path.suffix, "none")
            body = app.builder.highlighter.highlight_block(path.read_text(encoding="utf-8"), language, linespans="L")
        yield _page(app, path), {"title": name, "body": f"<h1>{html.escape(name)}</h1>{body}"}, "page.html"


def _files(folder: Path) -> list[Path]:
    """Returns the files that a folder's page lists."""
    return sorted(path for path in folder.iterdir() if path.suffix in LANGUAGES) if folder.is_dir() else []


def _page(app: Any, path: Path) -> str:
    return f"{FOLDER}/{path.relative_to(app.srcdir).as_posix()}"
