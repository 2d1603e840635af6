"""Executes notebooks and stores them with their outputs: `python notebooks/execute.py notebooks/*.ipynb`."""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def digest_of(notebook: nbformat.NotebookNode) -> str:
    """Returns a hash of all code but the first cell, which installs: outputs with another hash are of other code."""
    _, *code = (cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256("\n".join(code).encode()).hexdigest()


def execute(file: Path) -> None:
    """Runs the notebook from top to bottom, in an empty folder, and replaces the file."""
    notebook = nbformat.read(file, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        # With execution times, or arbitrary splits of printed text, every run would write a different file.
        how = {"timeout": None, "record_timing": False, "coalesce_streams": True}
        NotebookClient(notebook, **how, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        if "outputs" in cell:  # warnings and logs are left out: they depend on the machine
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata |= {"language_info": {"name": "python"}, "executed": digest_of(notebook)}
    nbformat.write(notebook, file)


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    for name in sys.argv[1:]:
        execute(Path(name))
