"""README.md says what is so: its links lead somewhere, and the reading list is as long as it says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PATTERNS = (
    "*.md",
    "docs/**/*.md",
    "tfrecords/*.md",
    "recipes/*.md",
    "deploy/*.md",
    "benchmarks/*.md",
    "experiments/*.md",
)
MADE = "docs/reference"  # by `make docs`
DOCUMENTS = [
    path
    for pattern in PATTERNS
    for path in sorted(ROOT.glob(pattern))
    if not path.relative_to(ROOT).as_posix().startswith(MADE)
]
FOLDERS = "keras_bert_scratch|experiments|tests|docs|benchmarks|recipes|tfrecords|deploy|notebooks"


def headings(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_no_line_is_longer_than_125_characters():
    assert [line for line in README.splitlines() if len(line) > 125] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if re.match("[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in headings(file.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_in_backticks_are_there(document):
    for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", document.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


def test_the_reading_is_as_long_as_it_says():
    stops, lines = re.search(r"\*\*(\d+) stops, ([\d,]+) lines", (ROOT / "docs" / "read-bert.md").read_text()).groups()
    claims = re.findall(r"about ([\d,]+) lines", README)
    assert len(claims) == 2
    for claim in claims:
        assert int(lines.replace(",", "")) == pytest.approx(int(claim.replace(",", "")), rel=0.05)
    assert f"lines in {stops} stops" in README
