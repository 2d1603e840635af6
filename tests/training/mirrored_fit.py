"""`fit` on two virtual devices and on one, which take a process of their own: prints JSON by the name of the test.

What one device does is computed eagerly: what it gives is the same, and compiling it takes seconds.
"""

import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_bert_scratch as kbs

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import distribution

CONFIG = kbs.BertConfig(
    vocab_size=50, num_layers=1, hidden_size=16, num_heads=2, hidden_dropout=0.0, attention_dropout=0.0
)
IDS = np.random.default_rng(0).integers(5, 50, (12, 7)).astype("int32")
INPUTS = {"token_ids": IDS, "segment_ids": 0 * IDS, "padding_mask": np.ones_like(IDS)}
LABELS = np.random.default_rng(1).integers(0, 3, 12)


def compiled(strategy: object, optimizer: object, **options: object) -> keras.Model:
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = kbs.BertTextClassifier(kbs.BertBackbone(CONFIG), num_classes=3)
        model.compile(optimizer() if isinstance(optimizer, type) else optimizer, **options)
    return model


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def cases(mirrored: tf.distribute.Strategy, one: tf.distribute.Strategy, *names: str) -> dict[str, dict[str, float]]:
    """Some of what `benchmarks/distribution.py` measures in processes of their own."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            case = distribution.CASES[name]
            np.savez(f"{folder}/mirrored-{name}.npz", **distribution.trained(case, "ours", mirrored))
            with eagerly():
                np.savez(f"{folder}/one-{name}.npz", **distribution.trained(case, "ours", one))
        return {
            name: distribution.compare(Path(folder, f"one-{name}"), Path(folder, f"mirrored-{name}")) for name in names
        }


def remainder(strategy: object, steps_per_execution: int) -> dict[str, float]:
    """Six batches, perhaps in executions of four: updates, and the results of `fit` and `evaluate`."""
    model = compiled(strategy, kbs.BertAdamW, steps_per_execution=steps_per_execution)
    fitted = model.fit(INPUTS, LABELS, batch_size=2, shuffle=False, verbose=0).history
    found = model.evaluate(INPUTS, LABELS, batch_size=2, verbose=0, return_dict=True)
    updates = int(model.optimizer.iterations.numpy())
    return {"updates": updates, **found, **{f"fit_{name}": values[0] for name, values in fitted.items()}}


def uneven(strategy: object) -> dict[str, float]:
    """Keras's step on four rows, then one, so that the second device has two and none; all of it again to validate.

    The weights do not move.
    """
    model = compiled(strategy, keras.optimizers.Adam)
    model.optimizer.learning_rate = 0.0
    x, y = {name: values[:5] for name, values in INPUTS.items()}, LABELS[:5]
    history = model.fit(x, y, batch_size=4, validation_data=(x, y), shuffle=False, verbose=0).history
    return {"updates": int(model.optimizer.iterations.numpy()), **{name: values[0] for name, values in history.items()}}


def said_of_optimizer_outside(strategy: object) -> str:
    try:
        compiled(strategy, kbs.BertAdamW()).fit(INPUTS, LABELS, verbose=0)
    except kbs.UserError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    mirrored, one = kbs.make_strategy("mirrored", virtual_devices=2), kbs.make_strategy("none")
    results = {
        "cases": cases(mirrored, one, "clipping", "float16, overflow on one replica"),
        "remainder": [remainder(mirrored, 4)],
        "uneven": [uneven(mirrored)],
        "outside": said_of_optimizer_outside(mirrored),
    }
    with eagerly():
        results["remainder"].append(remainder(one, 1))
        results["uneven"].append(uneven(one))
    print(json.dumps(results))
