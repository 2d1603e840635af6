"""`fit` on two virtual devices and on one, in a separate process: prints results as JSON, by the name of the test.

The single device runs eagerly: the results are the same, and tracing would take seconds.
"""

import contextlib
import gc
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.tensor_file import read_tensors
from keras_bert_scratch.training.run_directory import read_run

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import distribution

gc.disable()  # a collection visits all objects of TensorFlow, and this process is short
distribution.LAYERS = 1

CONFIG = kbs.BertConfig(
    vocab_size=50, num_layers=1, hidden_size=16, num_heads=2, hidden_dropout=0.0, attention_dropout=0.0
)
WORDS = kbs.Vocabulary(
    ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", *(f"word{number}" for number in range(44)))
)
IDS = np.random.default_rng(0).integers(5, 50, (12, 7)).astype("int32")
INPUTS = {"token_ids": IDS, "segment_ids": 0 * IDS, "padding_mask": np.ones_like(IDS)}
LABELS = np.random.default_rng(1).integers(0, 3, 12)


def compiled(strategy: object, optimizer: Callable[[], object] | object, **options: object) -> keras.Model:
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = kbs.BertTextClassifier(kbs.BertBackbone(CONFIG), num_classes=3)
        model.compile(optimizer() if callable(optimizer) else optimizer, **options)
    return model


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def cases(mirrored: tf.distribute.Strategy, one: tf.distribute.Strategy, *names: str) -> dict[str, dict[str, float]]:
    """Some cases of `benchmarks/distribution.py`, all in this process."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            case = distribution.CASES[name]
            np.savez(f"{folder}/mirrored-{name}.npz", **distribution.trained(case, "ours", mirrored))
            with eagerly():
                np.savez(f"{folder}/one-{name}.npz", **distribution.trained(case, "ours", one))
        return {
            name: distribution.compare(Path(folder, f"one-{name}"), Path(folder, f"mirrored-{name}")) for name in names
        }


def clipped() -> kbs.BertAdamW:
    return kbs.BertAdamW(1e-3, global_clipnorm=0.05)


def remainder(strategy: object, steps_per_execution: int) -> tuple[dict[str, float], list[np.ndarray]]:
    """Six batches, in executions of one or more: updates and results of `fit` and `evaluate`, and the weights."""
    model = compiled(strategy, clipped, steps_per_execution=steps_per_execution)
    fitted = model.fit(INPUTS, LABELS, batch_size=2, shuffle=False, verbose=0).history
    found = model.evaluate(INPUTS, LABELS, batch_size=2, verbose=0, return_dict=True)
    updates = int(model.optimizer.iterations.numpy())
    results = {"updates": updates, **found, **{f"fit_{name}": values[0] for name, values in fitted.items()}}
    return results, model.get_weights()


def uneven(strategy: object) -> dict[str, float]:
    """Keras's step on four rows, then on one: the second device gets two and none. Then validation on the same rows.

    The weights do not change.
    """
    model = compiled(strategy, keras.optimizers.Adam)
    model.optimizer.learning_rate = 0.0
    x, y = {name: values[:5] for name, values in INPUTS.items()}, LABELS[:5]
    history = model.fit(x, y, batch_size=4, validation_data=(x, y), shuffle=False, verbose=0).history
    return {"updates": int(model.optimizer.iterations.numpy()), **{name: values[0] for name, values in history.items()}}


def tuned(strategy: object, pretrained: Path, out: Path) -> tuple[dict[str, object], list[np.ndarray]]:
    """Three steps of fine-tuning on texts of different lengths, evaluated on the same texts: results and weights."""
    texts = ["play " * number for number in range(1, 25)]
    table = {"text": texts, "label": ["even", "odd"] * 12}
    how = kbs.FineTuning(epochs=1, batch_size=8, max_length=16, learning_rate=1e-3)
    run = kbs.finetune("classification", pretrained, table, out, table, how, strategy=strategy)
    assert read_run(out)["starts"][0]["replicas"] == strategy.num_replicas_in_sync
    return run.results, list(read_tensors(out / "model.weights.h5").values())


def translated(strategy: object, out: Path) -> tuple[dict[str, object], list[np.ndarray]]:
    """An epoch of a translator on uneven texts; with a token budget, batches differ in their number of rows."""
    texts = [" ".join(f"word{number % 40}" for number in range(size)) for size in range(1, 25)]
    how = kbs.FineTuning(epochs=1, batch_tokens=128, max_length=16, learning_rate=1e-3)
    rows, tokenizer = {"source": texts, "target": texts[::-1]}, kbs.BertTokenizer(WORDS)
    run = kbs.finetune("translation", CONFIG, rows, out, how=how, strategy=strategy, tokenizer=tokenizer)
    return {"steps": run.results["steps"]}, list(read_tensors(out / "model.weights.h5").values())


def distilled(strategy: object, teacher: Path, out: Path) -> tuple[dict[str, object], list[np.ndarray]]:
    """Distillation that also matches hidden states and attention."""
    texts, how = ["play " * number for number in range(1, 17)], kbs.FineTuning(epochs=1, batch_size=8, max_length=16)
    soft = kbs.Distillation(hidden=((1, 1),), attention=((1, 1),))
    run = kbs.distill(teacher, CONFIG, {"text": texts}, out, how=how, distillation=soft, strategy=strategy)
    return {"steps": run.results["steps"]}, list(read_tensors(out / "model.weights.h5").values())


def one_way(strategy: object, records: Path, out: Path) -> tuple[dict[str, object], list[np.ndarray]]:
    """Some steps of a right-to-left model, in packed rows."""
    rules = kbs.ExampleRules("none", packing=True, objective="right-to-left")
    training = kbs.TrainingOptions(steps=5, learning_rate=1e-3)
    run = kbs.pretrain(
        kbs.PretrainingRecords(records), CONFIG, out, rules=rules, training=training, batch_size=4, max_length=16,
        strategy=strategy,
    )  # fmt: skip
    return {"steps": run.results["steps"]}, list(read_tensors(out / "model.weights.h5").values())


def largest_difference(some: Iterable[np.ndarray], others: Iterable[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(some, others, strict=True))


def said_of_optimizer_outside(strategy: object) -> str:
    try:
        compiled(strategy, kbs.BertAdamW()).fit(INPUTS, LABELS, verbose=0)
    except kbs.UserError as error:
        return str(error)
    return ""


def runs(
    strategy: object, given: Path, out: Path, steps_per_execution: int
) -> dict[str, tuple[dict, list[np.ndarray]]]:
    """The results and weights of each kind of run, by the name of its test."""
    return {
        "remainder": remainder(strategy, steps_per_execution),
        "tuned": tuned(strategy, given / "pretrained", out / "tuned"),
        "translated": translated(strategy, out / "translated"),
        "distilled": distilled(strategy, given / "teacher", out / "distilled"),
        "one-way": one_way(strategy, given / "records", out / "one-way"),
    }


def make_given(folder: Path) -> None:
    """What the runs start from: a pretrained model, a teacher, records."""
    backbone, tokenizer = kbs.BertBackbone(CONFIG), kbs.BertTokenizer(WORDS)
    kbs.BertPretrainer(backbone).save_pretrained(folder / "pretrained", tokenizer)
    spec = kbs.Spec("classification", ("text",), 16, ("even", "odd"))
    kbs.FineTuned(kbs.BertTextClassifier(backbone, num_classes=2), tokenizer, spec).save(folder / "teacher")
    lines = [" ".join(f"word{(3 * line + number) % 40}" for number in range(line % 7 + 2)) for line in range(60)]
    (folder / "text.txt").write_text("\n".join(lines))
    kbs.build_records([folder / "text.txt"], tokenizer, folder / "records")


if __name__ == "__main__":
    mirrored, one = kbs.make_strategy("mirrored", virtual_devices=2), kbs.make_strategy("none")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_given(folder)
        several = runs(mirrored, folder, folder / "several", 4)
        results = {
            "cases": cases(mirrored, one, "float16, overflow on one replica"),
            "uneven": [uneven(mirrored)],
            "outside": said_of_optimizer_outside(mirrored),
        }
        with eagerly():
            alone = runs(one, folder, folder / "alone", 1)
            results["uneven"].append(uneven(one))
    for name, (found, weights) in several.items():
        expected, expected_weights = alone[name]
        results[name] = [found, expected, largest_difference(weights, expected_weights)]
    print(json.dumps(results))
