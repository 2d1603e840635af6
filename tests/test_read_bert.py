"""docs/read-bert.md links to the code that it names: ranges, sums and exercises are compared with the files."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from definitions import ROOT, definitions_of

PAGE = (ROOT / "docs" / "read-bert.md").read_text(encoding="utf-8")
READING, _, EXERCISES = PAGE.partition("\n## Exercises\n")
# Title, minutes and text of each stop.
STOPS = re.findall(r"^### \d+\. (.+?) \((\d+) minutes\)\n(.+?)(?=^##|\Z)", READING, re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(\.\./(?P<file>keras_bert_scratch/[^)#]+\.py)#L(?P<first>\d+)-L(?P<last>\d+)\)")
SCREEN = 60  # lines
EACH_EXERCISE = [re.sub(r"\s+", " ", text) for text in re.split(r"\n(?=\d\. )", EXERCISES)[1:]]
CHANGE = re.compile(r"\]\(\.\./(\S+?)\) change `(.+?)` to `(.+?)`")


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


@pytest.mark.parametrize("exercise", EACH_EXERCISE, ids=lambda text: text.partition("**")[0])
def test_an_exercise_can_be_done(exercise):
    changes = CHANGE.findall(exercise)
    assert changes
    for file, before, _ in changes:
        assert (ROOT / file).read_text(encoding="utf-8").count(before) == 1, before
    tests = re.findall(r"tests/\S+\.py", exercise)
    known = {name for file in tests for name in definitions_of(ROOT / file)}
    assert set(re.findall(r"`(test_\w+)`", exercise)) <= known


@pytest.mark.slow
@pytest.mark.parametrize(
    "exercise", [text for text in EACH_EXERCISE if "-m pytest" in text], ids=lambda text: text.partition("**")[0]
)
def test_an_exercise_makes_the_tests_fail_that_it_names(exercise, tmp_path):
    """All cases of the named tests fail, and all other tests of its command pass, with its change in a copy."""
    shutil.copytree(ROOT / "keras_bert_scratch", tmp_path / "keras_bert_scratch")
    [(file, before, after)] = CHANGE.findall(exercise)
    changed = tmp_path / file
    changed.write_text(changed.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    arguments = shlex.split(re.search(r"-m pytest (.+?) ```", exercise)[1])
    tests = [ROOT / argument if argument.startswith("tests/") else argument for argument in arguments]
    pytest_here = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider"]
    # Python's first place to look for the package is the folder in which it starts.
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([*pytest_here, "--junitxml=done.xml", *tests], cwd=tmp_path, env=environment, capture_output=True)
    cases = ElementTree.parse(tmp_path / "done.xml").iter("testcase")
    ended = [(case.get("name").partition("[")[0], {child.tag for child in case}) for case in cases]
    failed, passed = ({name for name, how in ended if ("failure" in how) is fails} for fails in (True, False))
    assert failed == set(re.findall(r"`(test_\w+)`", exercise))
    assert passed
    assert not failed & passed
    assert not any("error" in how for _, how in ended)
