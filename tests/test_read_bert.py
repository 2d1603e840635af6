"""docs/read-bert.md links to the code that it names: ranges, sums and exercises are compared with the files."""

import re

import pytest
from definitions import ROOT, definitions_of

PAGE = (ROOT / "docs" / "read-bert.md").read_text(encoding="utf-8")
READING, _, EXERCISES = PAGE.partition("\n## Exercises\n")
# Title, minutes and text of each stop.
STOPS = re.findall(r"^### \d+\. (.+?) \((\d+) minutes\)\n(.+?)(?=^##|\Z)", READING, re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(\.\./(?P<file>keras_bert_scratch/[^)#]+\.py)#L(?P<first>\d+)-L(?P<last>\d+)\)")
SCREEN = 60  # lines


def ranges(text: str) -> list[tuple[str, int, int]]:
    """File, first and last line of each link."""
    return [(link["file"], int(link["first"]), int(link["last"])) for link in LINK.finditer(text)]


def link_to(file: str, names: list[str]) -> str:
    """The link to the definitions from the first of these names to the last, as the page writes it."""
    known = definitions_of(ROOT / file)
    first, last = known[names[0]][0], known[names[-1]][1]
    named = " to ".join(f"`{name}`" for name in names)
    return f"[{file.partition('/')[2]}, {named}, lines {first} to {last}](../{file}#L{first}-L{last})"


@pytest.mark.parametrize("link", LINK.finditer(PAGE), ids=lambda link: f"{link['file']}#L{link['first']}")
def test_a_range_is_that_of_its_definitions(link):
    names = re.findall(r"`([\w.]+)`", link[0])
    unknown = set(names) - definitions_of(ROOT / link["file"]).keys()
    assert not unknown, f"{link['file']} has no {min(unknown)} any more; name in docs/read-bert.md what there is now"
    assert link[0] == link_to(link["file"], names), f"write in docs/read-bert.md: {link_to(link['file'], names)}"


def test_the_sums_are_what_the_page_claims():
    assert PAGE.count(".py#") == len(LINK.findall(PAGE)), "a range that is written in another way"
    minutes, found = sum(int(minutes) for _, minutes, _ in STOPS), ranges(READING)
    lines = [(file, line) for file, first, last in found for line in range(first, last + 1)]
    assert len(lines) == len(set(lines)), "a line is read twice"
    claim = f"**{len(STOPS)} stops, {len(lines):,} lines, {minutes} minutes.**"
    assert claim in PAGE, f"write in docs/read-bert.md: {claim}"
    assert abs(len(lines) - 2300) <= 200, "about 2,300 lines, as README.md says: an evening"


def test_stops_are_numbered_and_say_what_to_look_for():
    assert re.findall(r"^### (\d+)\.", READING, re.MULTILINE) == [str(number) for number in range(1, len(STOPS) + 1)]
    for title, _, text in STOPS:
        assert ranges(text), title
        assert "\nLook for: " in text, title
        assert "\nPaper: " in text, title


def test_each_link_opens_one_screen():
    long = [(file, first, last) for file, first, last in ranges(READING) if last - first + 1 > SCREEN]
    assert not long, "make the code simpler, not the page longer"


@pytest.mark.parametrize("title", ["Attention", "The masking rule", "The training step"])
def test_what_is_berts_own_is_a_single_screen(title):
    [text] = [text for name, _, text in STOPS if name == f"**{title}**"]
    assert len(ranges(text)) == 1


@pytest.mark.parametrize("exercise", re.split(r"\n(?=\d\. )", EXERCISES)[1:], ids=lambda text: text.partition("**")[0])
def test_an_exercise_can_be_done(exercise):
    exercise = re.sub(r"\s+", " ", exercise)
    changes = re.findall(r"\]\(\.\./(\S+?)\) change `(.+?)` to `(.+?)`", exercise)
    assert changes
    for file, before, _ in changes:
        assert (ROOT / file).read_text(encoding="utf-8").count(before) == 1, before
    tests = re.findall(r"tests/\S+\.py", exercise)
    known = {name for file in tests for name in definitions_of(ROOT / file)}
    assert set(re.findall(r"`(test_\w+)`", exercise)) <= known
