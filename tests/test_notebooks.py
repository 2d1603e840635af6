"""The notebooks run from top to bottom, at a small size."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SMALL = {
    "01_pretrain_finetune_serve.ipynb": """
share = 0.02
vocab_size = 2000
preset = "bert-tiny"
pretraining_steps = 20
labelled_reviews = 64
finetuning_epochs = 1
max_length = 32
batch_size = 16
folder = Path("notebook_demo")
""",
}


def test_every_notebook_is_tested():
    assert {file.name for file in NOTEBOOKS.glob("*.ipynb")} == SMALL.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_notebook_runs(name, tmp_path):
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    named = {line.split(" = ")[0] for line in parameters.source.splitlines() if " = " in line}
    assert named == {line.split(" = ")[0] for line in SMALL[name].split("\n") if line}
    parameters.source = SMALL[name]
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 3
    assert (tmp_path / "notebook_demo" / "saved_model" / "saved_model.pb").exists()


@pytest.mark.parametrize("name", SMALL)
def test_notebook_is_committed_without_output(name):
    """Outputs would carry pieces of the text, which is not ours."""
    cells = nbformat.read(NOTEBOOKS / name, as_version=4).cells
    assert not any(cell.get("outputs") for cell in cells)
