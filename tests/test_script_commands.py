"""Commands of benchmarks/, experiments/ and recipes/, in pages and docstrings: the script and its flags are there.

Without running or importing the scripts: what they need is not all in the extra `test`.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "experiments", "recipes")
SCRIPTS = [file for folder in FOLDERS for file in sorted((ROOT / folder).glob("*.py")) if "typer." in file.read_text()]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *(file for folder in FOLDERS for file in (ROOT / folder).glob("*.md"))]
PASSES_ON = "recipes/pretraining.py"  # to `keras-bert pretrain`; tests/test_pretraining_recipes.py has the options
COMMAND = re.compile(rf"(?:python|torchrun)[^\n`]*? ((?:{'|'.join(FOLDERS)})/\w+\.py)((?:[^\n`]|(?<=\\)\n)*)")


def commands_in(file: Path) -> list[tuple[str, set[str]]]:
    """The script and the flags of each command in the file."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        # Lines of a usage that go on have a deeper indentation than their first.
        text = re.sub(r"\n {8,}", " ", ast.get_docstring(ast.parse(text), clean=False) or "")
    return [(script, set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest))) for script, rest in COMMAND.findall(text)]


def flags_of(script: Path) -> set[str]:
    """The flags that Typer makes of the arguments of a script's functions, and those that have names of their own."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    arguments = [one for function in functions for one in (*function.args.args, *function.args.kwonlyargs)]
    options = [one for one in arguments if one.annotation and "typer.Option" in ast.unparse(one.annotation)]
    named = {flag for one in options for flag in re.findall(r"'(--[a-z/-]+)'", ast.unparse(one.annotation))}
    named |= {part for flag in named for part in flag.split("/")}
    names = {one.arg.replace("_", "-"): "bool" in ast.unparse(one.annotation) for one in options}
    return named | {f"--{name}" for name in names} | {f"--no-{name}" for name, switch in names.items() if switch}


@pytest.mark.parametrize("file", [*PAGES, *SCRIPTS], ids=lambda file: str(file.relative_to(ROOT)))
def test_scripts_and_their_flags_are_there(file):
    for script, flags in commands_in(file):
        assert (ROOT / script).is_file(), script
        if script != PASSES_ON:
            assert flags <= flags_of(ROOT / script), (script, flags - flags_of(ROOT / script))


def test_commands_are_found():
    found = {str(file.relative_to(ROOT)): len(commands_in(file)) for file in (*PAGES, *SCRIPTS)}
    assert found["benchmarks/RESULTS.md"] > 30
    assert [script for script in map(str, SCRIPTS) if not found[str(Path(script).relative_to(ROOT))]] == []
