"""README.md is true: links and paths exist, the reading is as long as it says, and numbers match the results."""

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
MADE = "docs/reference"  # built by `make docs`
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


NUMBER = re.compile(r"(?<![\w.])(\d[\d,]*(?:\.\d+)?)( million)?")


def numbers(text: str) -> list[tuple[float, float]]:
    """Each number, and half a unit of its last digit."""
    found = ((match[1].replace(",", ""), 1e6 if match[2] else 1.0) for match in NUMBER.finditer(text))
    return [(float(digits) * unit, 0.5 * unit * 10.0 ** -len(digits.partition(".")[2])) for digits, unit in found]


def sections_of(text: str) -> list[str]:
    return re.split(r"^(?=## )", text, flags=re.MULTILINE)


RESULTS = sections_of((ROOT / "benchmarks/RESULTS.md").read_text(encoding="utf-8"))


def test_the_table_of_numbers_is_of_the_results():
    """Each number occurs, perhaps with more digits or in thousands, in a section that names its script."""
    lines = re.findall(r"^\|(.+)\| `(\w+\.py)` \|$", README, re.MULTILINE)
    rows = [([cell.strip() for cell in cells.split("|")], script) for cells, script in lines]
    assert len(rows) > 20
    for (what, ours, peer, ratio, _), script in rows:
        measured = [value for section in RESULTS if script in section for value, _ in numbers(section)]
        for value, half in numbers(f"{ours}; {peer}"):
            near = (abs(one / unit - value) <= 1.001 * half for one in measured for unit in (1.0, 1e3))
            assert any(near), (what, value)
        if ratio:
            (one, _), (other, _) = numbers(ours)[0], numbers(peer)[0]
            assert float(ratio) in (pytest.approx(one / other, rel=0.05), pytest.approx(other / one, rel=0.05)), what


def test_the_figures_of_the_demo_are_of_the_results():
    """Each number of the section, and of the table at the top with its text, occurs in the section on the demo."""
    (results,) = (section for section in RESULTS if section.startswith("## Demo\n"))
    (section,) = (section for section in sections_of(README) if section.startswith("## The demo\n"))
    top = re.search(r"the demo itself takes.+?\n\n\|.+?\n\n", README, re.DOTALL)[0]
    claimed = re.sub(r"`[^`]*`|\]\([^)]*\)", "", f"{top}\n{section}")  # without commands and links
    measured = [value for value, _ in numbers(results)]
    found = {value: any(abs(one - value) <= 1.001 * half for one in measured) for value, half in numbers(claimed)}
    assert len(found) > 20
    assert [value for value in found if not found[value]] == []
    with_deviation = re.findall(r"\d+\.\d% ± \d\.\d", claimed)
    assert len(with_deviation) >= 4
    assert [one for one in with_deviation if one not in " ".join(results.split())] == []
