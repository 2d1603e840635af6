from collections.abc import Iterator
from pathlib import Path

import pytest
from serving.every_task import fine_tuned
from serving.served import Address, running

import keras_bert_scratch as kbs

SERVED = ("classification", "pairs", "regression", "ner", "qa", "fill-mask", "embed")


@pytest.fixture(scope="session")
def served_models(small, tokenizer, tmp_path_factory) -> dict[str, tuple[kbs.FineTuned, Path]]:
    """By task, a model and its SavedModel; classification has a version folder and files for LiteRT."""
    folder, found = tmp_path_factory.mktemp("served"), {}
    for name in SERVED:
        tuned, path = fine_tuned(name, small, tokenizer), folder / name
        versioned = name == "classification"
        variants, place = (["litert", "litert-int8"], path / "1") if versioned else ([], path)
        kbs.export_saved_model(tuned, place, warm_up=False, variants=variants, attention=name in ("pairs", "ner"))
        found[name] = tuned, path
    return found


@pytest.fixture(scope="session")
def server(served_models) -> Iterator[Address]:
    """A server of all these models."""
    with running({name: path for name, (_, path) in served_models.items()}, warm_up=False) as address:
        yield address
