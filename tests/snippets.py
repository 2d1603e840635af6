"""What the documents tell a reader to type: their code blocks, fenced or indented, as commands and as Python."""

import dataclasses
import re
import shlex
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "reference" not in path.parts),
    *(ROOT / folder / "README.md" for folder in ("tfrecords", "recipes", "deploy", "experiments", "notebooks")),
    ROOT / "experiments" / "RESULTS.md",
]
PROGRAMS = ("keras-bert", "python", "make", "pytest", "pip", "git", "curl", "cat")
INSTALLED = ".venv/bin/"  # where a clone has its installed programs
PYTHON = re.compile(r"import |from \w+ import|(\w+ = )?kbs\.")
FILE = re.compile(r"# (keras_bert_scratch/[\w/]+\.py)\n")
CONTINUED = "\0"  # stands for the line break of a continued line


@dataclasses.dataclass(frozen=True)
class Snippet:
    """A command, or a block of Python, or a block of something else.

    Args:
        document: str. Path of the document in the repository.
        line: int. Its line in the document.
        kind: str. `"command"`, `"python"`, `"file"` (Python whose first line names its file) or `"other"`.
        text: str. A command without its comment, or the whole block.
    """

    document: str
    line: int
    kind: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words of a command, as a shell splits it."""
        return shlex.split(self.text)

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text}"


def snippets_of(document: Path) -> list[Snippet]:
    """The snippets of a document, in order."""
    name = document.relative_to(ROOT).as_posix()
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(document.read_text(encoding="utf-8")):
        if token.type not in ("fence", "code_block"):
            continue
        first = token.map[0] + 1 + (token.type == "fence")
        if token.info == "python" or (not token.info and PYTHON.match(token.content)):
            kind = "file" if FILE.match(token.content) else "python"
            found.append(Snippet(name, first, kind, token.content))
        elif token.info in ("", "bash") and token.content.split()[0].removeprefix(INSTALLED) in PROGRAMS:
            found += [Snippet(name, first + number, kind, line) for number, kind, line in _lines(token.content)]
        else:
            found.append(Snippet(name, first, "other", token.content))
    return found


def _lines(block: str) -> list[tuple[int, str, str]]:
    """The lines of a block that a reader types: number, kind, text; continued lines joined, comments left out."""
    found = []
    number = 0
    for line in block.replace("\\\n", CONTINUED).splitlines():
        if PYTHON.match(line):
            found.append((number, "python", line))
        elif words := shlex.split(line.replace(CONTINUED, " "), comments=True):
            found.append((number, "command", shlex.join(words).removeprefix(INSTALLED)))
        number += 1 + line.count(CONTINUED)
    return found
