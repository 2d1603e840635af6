"""Every private name of Keras or TensorFlow that the package uses has a row here, and a guard where it is used."""

import ast
import importlib
import inspect
from pathlib import Path

import keras
import pytest
from keras.src.callbacks.monitor_callback import MonitorCallback
from tensorflow.python.eager import context

import keras_bert_scratch as kbs
from keras_bert_scratch.training.random_state import seeded

PACKAGE = Path(kbs.__file__).parent
PRIVATE_MODULES = ("keras.src", "tensorflow.python")

# Imported from private modules.
IMPORTED = {
    ("keras.src.backend.common.global_state", "get_global_attribute"): "training/random_state.py",
    ("keras.src.backend.common.global_state", "set_global_attribute"): "training/random_state.py",
    ("keras.src.random.seed_generator", "GLOBAL_SEED_GENERATOR"): "training/random_state.py",
    ("keras.src.utils.rng_utils", "GLOBAL_RANDOM_SEED"): "training/random_state.py",
    ("tensorflow.python.eager.context", "context"): "training/random_state.py",
    ("keras.src.trainers.compile_utils", "MetricsList"): "models/trainable.py",
}
# Attributes of their objects, and the code that shows that the objects have them.
ATTRIBUTES = {
    "_seed": ("training/random_state.py", context.Context.__init__),
    "_rng": ("training/random_state.py", context.Context._set_global_seed),
    "_maybe_symbolic_build": ("models/trainable.py", keras.Model.fit),
    "_direction": ("models/trainable.py", MonitorCallback._set_monitor_op),
}
# Ours, or Python's own.
NOT_PRIVATE_TO_OTHERS = {"_replace", "_exit"}


@pytest.mark.parametrize(("module", "name"), IMPORTED)
def test_private_modules_have_what_is_imported(module, name):
    assert hasattr(importlib.import_module(module), name), f"{IMPORTED[module, name]} imports it"


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_private_attributes_are_theirs(name):
    file, shown_by = ATTRIBUTES[name]
    assert f".{name}" in inspect.getsource(inspect.unwrap(shown_by)) or f'"{name}"' in inspect.getsource(shown_by), file


def parsed() -> dict[str, ast.Module]:
    return {str(file.relative_to(PACKAGE)): ast.parse(file.read_text()) for file in sorted(PACKAGE.rglob("*.py"))}


def test_no_other_private_module_is_imported():
    found = set()
    for file, tree in parsed().items():
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
        found |= {(name, file) for name in names if name.startswith(PRIVATE_MODULES)}
    listed = {(f"{module}.{name}", file) for (module, name), file in IMPORTED.items()}
    listed |= {(module, file) for (module, _), file in IMPORTED.items()}
    assert found <= listed


def test_no_other_private_attribute_is_read_or_set():
    """Of any object except `self` and `cls`, unless our own code defines the name."""
    ours, found = set(NOT_PRIVATE_TO_OTHERS), set()
    trees = parsed()
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name not in ATTRIBUTES:
                ours.add(node.name)
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
                if not own and node.attr not in ours:
                    found.add((node.attr, file))
    assert found <= {(name, file) for name, (file, _) in ATTRIBUTES.items()}


# --- guards at run time


@pytest.mark.parametrize(
    ("owner", "name"), [row for row, file in IMPORTED.items() if file == "training/random_state.py"]
)
def test_seeds_that_are_kept_elsewhere_are_named(owner, name, monkeypatch):
    monkeypatch.delattr(importlib.import_module(owner), name)
    with (
        pytest.raises(kbs.UserError, match=rf"keras .*, tensorflow .*constraints\.txt.*{name}"),
        seeded(1),
    ):
        pass


@pytest.mark.parametrize("name", ["_seed", "_rng"])
def test_a_context_without_its_seed_is_named(name, monkeypatch):
    keras.utils.set_random_seed(1)
    monkeypatch.delattr(context.context(), name)
    with pytest.raises(kbs.UserError, match=rf"tensorflow .*constraints\.txt.*{name}"), seeded(1):
        pass
