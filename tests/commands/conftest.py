"""A model for the tests of the commands."""

from pathlib import Path

import pytest

import keras_bert_scratch as kbs


@pytest.fixture
def model(small, tokenizer) -> Path:
    """An untrained classifier, saved with its tokenizer and task."""
    spec = kbs.Spec("classification", ("text",), 32, ("no", "yes"))
    kbs.FineTuned(kbs.BertTextClassifier(kbs.BertBackbone(small), 2), tokenizer, spec).save("model")
    return Path("model")
