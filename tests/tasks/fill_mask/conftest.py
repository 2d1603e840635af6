"""Fixtures: the small masked-language model; every test runs eagerly."""

import pytest
from tasks.small_masked_model import TOKENS, masked_model

import keras_bert_scratch as kbs


@pytest.fixture(scope="module", autouse=True)
def _eagerly(eager_functions):
    with eager_functions():
        yield


@pytest.fixture(scope="module")
def letters() -> kbs.BertTokenizer:
    return kbs.BertTokenizer(kbs.Vocabulary(TOKENS), lowercase=True)


@pytest.fixture(scope="module")
def model(letters) -> kbs.FineTuned:
    return masked_model(letters)
