"""The number of sequences of a row, which a server limits, is what the model reads to answer it."""

import numpy as np
import pytest
from fast_and_slow import slow_but
from serving.every_task import LONG, fine_tuned

from keras_bert_scratch.tasks.data.columns import as_tensors

ROWS = {
    "classification": {"text": LONG},
    "ner": {"text": LONG},
    "choice": {"context": "An otter", "choices": ["crosses", "sleeps", LONG, ""]},
    "fill-mask": {"text": "An [MASK] crosses [MASK] [MASK] before [MASK]"},
    "fill-mask without a mask": {"text": "An otter crosses the river"},
}


class Counting:
    """A model that counts the sequences that it reads."""

    def __init__(self, model):
        self.model, self.output, self.sequences = model, model.output, 0

    def __call__(self, inputs, **options):
        ids = inputs["token_ids"]
        self.sequences += int(np.prod(ids.shape[:-1]))
        return self.model(inputs, **options)


@pytest.mark.parametrize("name", slow_but(["choice", "fill-mask"], ROWS))
def test_all_sequences_of_a_row_are_counted(small, tokenizer, eagerly, name):
    tuned, row = fine_tuned(name.removesuffix(" without a mask"), small, tokenizer), ROWS[name]
    raw = as_tensors({column: [value] for column, value in row.items()})
    model, features = Counting(tuned.model), tuned.task.features(tuned.spec, tokenizer, raw)
    tuned.task.predict(tuned.spec, model, features)
    assert model.sequences > (name != "classification")
    assert tuned.task.num_sequences(tuned.spec, features).numpy().tolist() == [model.sequences]
