"""Every example in a docstring runs and prints what the docstring shows; errors that users can cause are documented."""

import ast
import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import keras_bert_scratch as kbs

MODULES = [
    module.name
    for module in pkgutil.walk_packages(kbs.__path__, "keras_bert_scratch.")
    if not module.name.endswith("__main__")
]


def test_there_are_examples_for_all_that_is_public():
    for name in set(kbs.__all__) - {"__version__"}:
        assert ">>>" in getattr(kbs, name).__doc__, name


def described_functions(definition: ast.stmt) -> Iterator[tuple[ast.FunctionDef, str]]:
    """A function, or a class's constructor and public methods, each with the docstring that describes it."""
    if isinstance(definition, ast.FunctionDef):
        yield definition, ast.get_docstring(definition) or ""
    elif isinstance(definition, ast.ClassDef):
        for method in definition.body:
            if isinstance(method, ast.FunctionDef):
                constructs = method.name in ("__init__", "__post_init__")
                if constructs or not method.name.startswith("_"):
                    yield method, ast.get_docstring(definition if constructs else method) or ""


def raises_user_error(function: ast.FunctionDef) -> bool:
    """Whether it makes a `UserError` itself, or calls a function `check_...`; these raise it."""
    called = [ast.unparse(node.func).rpartition(".")[2] for node in ast.walk(function) if isinstance(node, ast.Call)]
    return any(name == "UserError" or name.startswith("check_") for name in called)


def test_errors_that_users_can_cause_are_documented():
    raising = {}
    for name in set(kbs.__all__) - {"__version__"}:
        [definition] = ast.parse(inspect.getsource(getattr(kbs, name))).body
        for function, docstring in described_functions(definition):
            if raises_user_error(function):
                raising[name, function.name] = docstring
    assert len(raising) > 40
    assert not sorted(where for where, docstring in raising.items() if "Raises" not in docstring)


@pytest.mark.usefixtures("eagerly")  # other tests check that graphs give the same results
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    public = {public: getattr(kbs, public) for public in kbs.__all__}
    result = doctest.testmod(module, extraglobs=public, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
