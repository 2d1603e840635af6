"""Executes notebooks and writes them back with what they show: `python notebooks/execute.py notebooks/*.ipynb`."""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def digest_of(notebook: nbformat.NotebookNode) -> str:
    """A hash of the code, without the first cell, which installs: outputs under another hash are of other code."""
    _, *code = (cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256("\n".join(code).encode()).hexdigest()


def execute(file: Path) -> None:
    """Runs the notebook from top to bottom, in an empty folder, and replaces the file."""
    notebook = nbformat.read(file, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        # Times of execution, or where a printed text was cut, would make a new file of every run.
        how = {"timeout": None, "record_timing": False, "coalesce_streams": True}
        NotebookClient(notebook, **how, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        if "outputs" in cell:  # without warnings and logs, which are of this machine
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata |= {"language_info": {"name": "python"}, "executed": digest_of(notebook)}
    nbformat.write(notebook, file)


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    for name in sys.argv[1:]:
        execute(Path(name))
