"""README.zh.md is README.md in Chinese: everything except the prose is the same, section by section."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def sections(name: str) -> list[str]:
    """The text before the first heading, then that from each heading to the next; comments in code are no headings."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = [(match.start(), match.end()) for match in BLOCK.finditer(text)]
    starts = [
        match.start()
        for match in HEADING.finditer(text)
        if not any(start < match.start() < end for start, end in blocks)
    ]
    return [text[start:end] for start, end in zip([0, *starts], [*starts, len(text)], strict=True)]


ENGLISH, CHINESE = sections("README.md"), sections("README.zh.md")
BOTH = pytest.mark.parametrize(("english", "chinese"), list(zip(ENGLISH, CHINESE, strict=False)))


def titles(found: list[str]) -> list[str]:
    return [HEADING.match(section)[2] for section in found[1:]]


def anchor(title: str) -> str:
    """The anchor that GitHub derives from a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def prose(section: str) -> str:
    return LINK.sub("]", BLOCK.sub("", section))


def test_headings_have_the_same_levels():
    levels = [[HEADING.match(section)[1] for section in found[1:]] for found in (ENGLISH, CHINESE)]
    assert levels[0] == levels[1]
    assert len(levels[0]) > 10


def test_it_is_chinese():
    for title, section in zip(titles(CHINESE)[1:], CHINESE[2:], strict=True):
        assert re.search(r"[一-鿿]", title), title
        words = re.sub(r"`[^`]*`", "", prose(section))
        assert len(re.findall(r"[一-鿿]", words)) > len(re.findall(r"\b[a-z]+\b", words)), title


@BOTH
def test_code_is_the_same(english, chinese):
    assert BLOCK.findall(english) == BLOCK.findall(chinese)


@BOTH
def test_numbers_are_the_same(english, chinese):
    found = [Counter(NUMBER.findall(prose(section))) for section in (english, chinese)]
    assert found[0] == found[1]


@BOTH
def test_names_in_backticks_are_the_same(english, chinese):
    found = [Counter(re.findall(r"`[^`]+`", " ".join(prose(section).split()))) for section in (english, chinese)]
    assert found[0] == found[1]


@BOTH
def test_links_are_the_same(english, chinese):
    translated = {
        f"#{anchor(one)}": f"#{anchor(other)}" for one, other in zip(titles(ENGLISH), titles(CHINESE), strict=True)
    } | {"README.zh.md": "README.md"}
    found = Counter(LINK.findall(english)), Counter(LINK.findall(chinese))
    assert Counter(translated.get(target, target) for target in found[0].elements()) == found[1]


@BOTH
def test_tables_have_the_same_rows(english, chinese):
    rows = [
        [line.count("|") for line in prose(section).splitlines() if line.startswith("|")]
        for section in (english, chinese)
    ]
    assert rows[0] == rows[1]
