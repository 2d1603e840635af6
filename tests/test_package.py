import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import keras_bert_scratch as kbs

ROOT = Path(__file__).parents[1]


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, keras_bert_scratch.commands.main\n"
        "print(sorted({'tensorflow', 'keras', 'numpy', 'matplotlib', 'pandas', 'huggingface_hub'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_public_name_is_there():
    for name in kbs.__all__:
        assert getattr(kbs, name) is not None
    assert set(kbs.__all__) <= set(dir(kbs))
    with pytest.raises(AttributeError, match="no attribute 'BertOracle'"):
        _ = kbs.BertOracle


def test_type_checkers_see_the_same_names():
    """`__init__` names everything twice: for type checkers, and for the import at first use."""
    lines = (ROOT / "keras_bert_scratch" / "__init__.py").read_text().splitlines()
    typed = {line.split()[-1] for line in lines if line.startswith("    from keras_bert_scratch.")}
    assert typed == set(kbs.__all__) - {"__version__"}
    assert (ROOT / "keras_bert_scratch" / "py.typed").exists()


def test_constraints_pin_every_dependency():
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {name.split(">")[0].split("[")[0].lower() for name in wanted} - {"keras_bert_scratch"}
    assert not names - pinned
    assert "://" not in (ROOT / "constraints.txt").read_text()
