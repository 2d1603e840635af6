"""A model to ask."""

from pathlib import Path

import pytest

import keras_bert_scratch as kbs


@pytest.fixture
def model(small, tokenizer) -> Path:
    """A classifier and all that belongs to it, without training."""
    spec = kbs.Spec("classification", ("text",), 32, ("no", "yes"))
    kbs.FineTuned(kbs.BertTextClassifier(kbs.BertBackbone(small), 2), tokenizer, spec).save("model")
    return Path("model")
