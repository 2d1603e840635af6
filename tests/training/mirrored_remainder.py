"""Six batches in executions of four, on two virtual devices and on one: prints updates and results of both as JSON."""

import json

import keras
import numpy as np

import keras_bert_scratch as kbs

CONFIG = kbs.BertConfig(
    vocab_size=50,
    num_layers=1,
    hidden_size=16,
    num_heads=2,
    max_position_embeddings=8,
    hidden_dropout=0.0,
    attention_dropout=0.0,
)


def results(strategy: object, steps_per_execution: int) -> dict[str, float]:
    """Of `fit` and `evaluate` from the same weights on the same batches."""
    rng = np.random.default_rng(0)
    ids = rng.integers(5, 50, (12, 7)).astype("int32")
    inputs, labels = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": 0 * ids + 1}, rng.integers(0, 3, 12)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = kbs.BertTextClassifier(kbs.BertBackbone(CONFIG), num_classes=3)
        model.compile(kbs.BertAdamW(1e-3), steps_per_execution=steps_per_execution)
    fitted = model.fit(inputs, labels, batch_size=2, shuffle=False, verbose=0).history
    found = model.evaluate(inputs, labels, batch_size=2, verbose=0, return_dict=True)
    updates = int(model.optimizer.iterations.numpy())
    return {"updates": updates, **found, **{f"fit_{name}": values[0] for name, values in fitted.items()}}


if __name__ == "__main__":
    mirrored = kbs.make_strategy("mirrored", virtual_devices=2)
    print(json.dumps([results(mirrored, 4), results(kbs.make_strategy("none"), 1)]))
