"""Every example in a docstring runs and prints what the docstring shows."""

import doctest
import importlib
import pkgutil

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


@pytest.mark.usefixtures("eagerly")  # other tests check that graphs give the same results
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    public = {public: getattr(kbs, public) for public in kbs.__all__}
    result = doctest.testmod(module, extraglobs=public, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
