"""Fixtures for small tasks: tables in memory, a tokenizer of single letters, a finished run."""

import json
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.run import FineTuning, finetune

# Without bias correction, the first steps from random weights are so large that some seeds learn nothing.
QUICK = {"batch_size": 8, "max_length": 32, "learning_rate": 3e-3, "bias_correction": True}


def tuned(config, tokenizer, data, out="run", dev=None, epochs=1.0, **changes) -> kbs.FineTuned:
    names = ("task_options", "seed", "seeds", "options", "on_bad_row", "header_names", "task")
    arguments = {name: changes.pop(name) for name in names if name in changes}
    how = FineTuning(**{**QUICK, "epochs": epochs, **changes})
    return finetune(
        arguments.pop("task", "classification"), config, data, out, dev, how, tokenizer=tokenizer, **arguments
    )


def run_file(run) -> dict:
    return json.loads((Path(run) / "run.json").read_text())


@pytest.fixture(scope="session")
def sentences(documents) -> list[str]:
    """Sentences about a heron or an otter, 72 of them."""
    found = [sentence for document in documents for sentence in document]
    return [sentence for sentence in found if "heron" in sentence or "otter" in sentence][:72]


@pytest.fixture(scope="session")
def animals(sentences) -> dict[str, list[str]]:
    """A task that a small network can learn: is the sentence about a heron or about an otter?"""
    return {"text": sentences, "label": ["otter" if "otter" in text else "heron" for text in sentences]}


@pytest.fixture(scope="session")
def few(animals) -> dict[str, list[str]]:
    """Two batches of `animals`: too few to learn the task, enough to test the code around training."""
    return {name: values[:16] for name, values in animals.items()}


@pytest.fixture(scope="session")
def letters() -> kbs.BertTokenizer:
    """A tokenizer with a piece for each letter."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters))
    return kbs.BertTokenizer(kbs.Vocabulary(tokens), lowercase=True)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, small, tokenizer, animals) -> Path:
    return tuned(small, tokenizer, animals, tmp_path_factory.mktemp("tuned") / "run", animals, epochs=8).path
