"""What the tests of the experiments share: the folder on Python's path, text, and task files."""

import importlib
import json
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
STUDIES = ("bidirectional", "size", "masking", "when_it_pays", "features", "students")


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    """As when Python runs a script: its folder is on the import path."""
    monkeypatch.syspath_prepend(EXPERIMENTS)


@pytest.fixture
def study():
    return importlib.import_module("study")


@pytest.fixture
def hidden_words():
    return importlib.import_module("hidden_words")


@pytest.fixture
def text(documents):
    """A folder with text to learn from and held-out text."""
    for part, chosen in (("train", documents[:40]), ("held_out", documents[40:])):
        Path("text", part).mkdir(parents=True)
        Path("text", part, "a.txt").write_text("\n\n".join("\n".join(document) for document in chosen))
    return Path("text")


@pytest.fixture
def task_files():
    """Files in the publishers' formats, with a few rows that we wrote."""
    for folder in ("SST-2", "wnut17", "squad", "conll2003"):
        Path("tasks", folder).mkdir(parents=True)
    for part in ("train", "dev"):
        rows = "".join(f"the {kind} film number {number}\t{number % 2}\n" for number in range(20) for kind in ("good",))
        Path("tasks/SST-2", f"{part}.tsv").write_text("sentence\tlabel\n" + rows)
        Path("tasks/wnut17", f"{part}.conll").write_text("Anna\tB-person\nlives\tO\nhere\tO\n\n" * 20)
        context = "Anna lives in Bern. She is a baker."
        questions = [
            {"id": f"q{number}", "question": "Where does Anna live?", "answers": [{"text": "Bern", "answer_start": 14}]}
            for number in range(8)
        ]
        page = {"title": "Anna", "paragraphs": [{"context": context, "qas": questions}]}
        Path("tasks/squad", f"{part}.json").write_text(json.dumps({"version": "1.1", "data": [page]}))
    for part in ("train", "valid"):
        Path("tasks/conll2003", f"{part}.txt").write_text("Anna NNP I-NP B-PER\nlives VBZ I-VP O\n\n" * 20)
    return Path("tasks")
