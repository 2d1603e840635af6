"""docs/paper-to-code.md: every sentence is listed, with code and tests that exist, or with why it has no test."""

import re

import pytest
from definitions import ROOT, definitions_of

PAGE = (ROOT / "docs" / "paper-to-code.md").read_text(encoding="utf-8")
# The number of sentences in each section; an item of the list in A.1 counts as one, the list in A.3 as part of one.
SENTENCES = {
    "3 BERT": 8,
    "3, Model architecture": 6,
    "3, Input and output representations": 13,
    "3.1 Pre-training BERT": 3,
    "3.1, Task 1: masked LM": 13,
    "3.1, Task 2: next sentence prediction": 7,
    "3.1, Pre-training data": 4,
    "3.2 Fine-tuning BERT": 10,
    "A.1 Illustration of the pre-training tasks": 12,
    "A.2 Pre-training procedure": 16,
    "A.3 Fine-tuning procedure": 5,
}
WITHOUT_A_TEST = {"announcement", "motivation", "experiment", "not measured here", "not tested"}
LINK = re.compile(r"\[`(?P<name>[\w.]+)`\]\(\.\./(?P<file>[^)]+)\)")


def rows_of(title: str) -> list[list[str]]:
    """Number, paraphrase, code, test and difference of each sentence of a section."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (\d+ \|.+) \|$", section, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def links(cell: str) -> str:
    """The links of a cell and nothing else."""
    return ", ".join(link[0] for link in LINK.finditer(cell))


@pytest.mark.parametrize("title", SENTENCES)
def test_a_section_has_all_its_sentences(title):
    rows = rows_of(title)
    assert [row[0] for row in rows] == [str(number) for number in range(1, SENTENCES[title] + 1)]
    for number, text, code, tests, _ in rows:
        assert text, number
        assert code == links(code), number
        assert tests in WITHOUT_A_TEST or (code and tests == links(tests)), number
        assert "keras_bert_scratch/" not in tests, number


def test_there_are_no_other_sections_and_the_sums_are_right():
    assert re.findall(r"^## (.+)$", PAGE, re.MULTILINE) == list(SENTENCES)
    rows = [row for title in SENTENCES for row in rows_of(title)]
    tested = sum("](" in row[3] for row in rows)
    assert f"**{len(rows)} sentences: {tested} tested, {len(rows) - tested} that no test can or does check**" in PAGE


def test_what_is_named_is_there():
    named = {(link["file"], link["name"]) for link in LINK.finditer(PAGE)}
    assert len(named) > 100
    missing = {f"{file} has no {name} any more" for file, name in named if name not in definitions_of(ROOT / file)}
    assert not missing
