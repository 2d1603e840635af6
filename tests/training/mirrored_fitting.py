"""Keras's step on uneven batches of two virtual devices, and an optimizer made outside their scope: prints JSON."""

import json

import keras
import numpy as np

import keras_bert_scratch as kbs

CONFIG = kbs.BertConfig(
    vocab_size=50, num_layers=1, hidden_size=16, num_heads=2, hidden_dropout=0.0, attention_dropout=0.0
)
IDS = np.random.default_rng(0).integers(5, 50, (6, 7)).astype("int32")
INPUTS = {"token_ids": IDS, "segment_ids": 0 * IDS, "padding_mask": np.ones_like(IDS)}
LABELS = np.array([0, 1, 2, 0, 1, 2])


def fitted(strategy: object) -> dict[str, float]:
    """Updates, and the results of weights that have not moved."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = kbs.BertTextClassifier(kbs.BertBackbone(CONFIG), num_classes=3)
        model.compile(keras.optimizers.Adam(0.0))
    # Four rows, then one, so that the second device has two and none; all of it again to validate.
    x, y = {name: values[:5] for name, values in INPUTS.items()}, LABELS[:5]
    history = model.fit(x, y, batch_size=4, validation_data=(x, y), shuffle=False, verbose=0).history
    return {"updates": int(model.optimizer.iterations.numpy()), **{name: values[0] for name, values in history.items()}}


def said_of_optimizer_outside(strategy: object) -> str:
    optimizer = kbs.BertAdamW()
    with strategy.scope():
        model = kbs.BertTextClassifier(kbs.BertBackbone(CONFIG), num_classes=3)
        model.compile(optimizer)
    try:
        model.fit(INPUTS, LABELS, verbose=0)
    except kbs.UserError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    mirrored = kbs.make_strategy("mirrored", virtual_devices=2)
    several, one = fitted(mirrored), fitted(kbs.make_strategy("none"))
    print(json.dumps([several, one, said_of_optimizer_outside(mirrored)]))
