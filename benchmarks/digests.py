"""Digests of what must stay the same to the bit: tokens, records, batches, converted weights, training losses.

    python benchmarks/digests.py

Run it before and after a refactoring and compare the lines. Tokens, records, batches and weights are the same on every
machine; losses only on the same one, since matrix products sum in another order on another processor.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
import tensorflow as tf

import keras_bert_scratch as kbs

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
ANIMALS = ("heron", "otter", "badger", "falcon", "lizard", "beaver", "weasel", "magpie")
PLACES = ("river", "meadow", "harbour", "orchard", "canyon", "quarry", "lagoon", "thicket")
DEEDS = ("watches", "crosses", "circles", "leaves", "guards", "explores", "remembers", "avoids")
ODD_TEXTS = (
    "Déjà vu, naïve café — ÉCLAIR!",
    "北京 is the capital; ΟΔΟΣ, straße.",
    "a\u200bb\ufeff c\x00d \u0301x",
    "½ ² U.S.A.",
    "",
)
STEPS = 12


def sentences(number: int) -> list[str]:
    """Returns a document of six sentences about one animal and one place."""
    animal, place = ANIMALS[number % 8], PLACES[number // 8 % 8]
    return [f"Day {day}: the {animal} {DEEDS[(number + day) % 8]} the old {place} before dawn." for day in range(6)]


def digest(parts: Iterable[bytes]) -> str:
    """Returns the first 16 hexadecimal digits of the SHA-256 of all parts."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()[:16]


def arrays(structure: Any) -> Iterator[bytes]:
    """Yields dtype, shape and bytes of every array of a batch."""
    for array in keras.tree.flatten(structure):
        array = np.ascontiguousarray(array)
        yield f"{array.dtype}{array.shape}".encode()
        yield array.tobytes()


def weights(path: Path, name: str) -> Iterator[bytes]:
    """Yields names and bytes of all weights of the model in the folder `path`, loaded as the class `name`."""
    model = getattr(kbs, name).from_pretrained(path)
    for variable in sorted(model.variables, key=lambda variable: variable.path):
        if "seed" not in variable.path:
            yield variable.path.encode()
            yield from arrays(keras.ops.convert_to_numpy(variable))


def losses(model: Any, batches: tf.data.Dataset, **options: Any) -> list[str]:
    """Trains, and returns the loss after each step, exactly."""
    found = []

    def note(batch: int, logs: dict[str, float]) -> None:
        found.append(float(logs["loss"]).hex())

    model.compile(kbs.BertAdamW(kbs.LinearWarmupDecay(peak=1e-3, steps=2 * STEPS, warmup=0.25)), **options)
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    model.fit(batches, steps_per_epoch=STEPS, shuffle=False, verbose=0, callbacks=[callback])
    return found


def pretraining_losses(records: Any, rules: Any, dtype: str, **options: Any) -> list[str]:
    """Returns losses of a small pretrainer with dropout."""
    keras.utils.set_random_seed(3)
    config = kbs.BertConfig(vocab_size=records.vocab_size, num_layers=2, hidden_size=32, num_heads=2)
    backbone = kbs.BertBackbone(config, dtype=dtype, packed=rules.packing)
    return losses(kbs.BertPretrainer(backbone), records.batches(8, 48, 5, 0, rules), **options)


def classification_losses(**options: Any) -> list[str]:
    """Returns losses of a small classifier with dropout on fixed rows."""
    keras.utils.set_random_seed(4)
    draws = np.random.default_rng(0)
    token_ids = draws.integers(5, 90, (8 * STEPS, 24)).astype("int32")
    mask = (np.arange(24) < draws.integers(3, 25, (8 * STEPS, 1))).astype("int32")
    inputs = {"token_ids": token_ids * mask, "segment_ids": 0 * mask, "padding_mask": mask}
    labels = draws.integers(0, 3, 8 * STEPS).astype("int32")
    config = kbs.BertConfig(vocab_size=90, num_layers=2, hidden_size=32, num_heads=2, max_position_embeddings=24)
    model = kbs.BertTextClassifier(kbs.BertBackbone(config), num_classes=3)
    return losses(model, tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(8), **options)


def main() -> None:
    """Prints a line for each digest."""

    def show(what: str, parts: Iterable[bytes]) -> None:
        print(f"{what:<56}{digest(parts)}", flush=True)

    corpus = [sentences(number) for number in range(64)]
    Path("text.txt").write_text("\n\n".join("\n".join(document) for document in corpus), encoding="utf-8")
    vocabulary = kbs.learn_vocabulary((sentence for document in corpus for sentence in document), size=150)
    show("vocabulary, learned", ["\n".join(vocabulary.tokens).encode()])
    for lowercase in (True, False):
        tokenizer = kbs.BertTokenizer(vocabulary, lowercase=lowercase)
        texts = [*ODD_TEXTS, *(sentence for document in corpus for sentence in document)]
        ids = tokenizer.tokenize(texts)
        show(f"tokens, lowercase={lowercase}", arrays([ids.flat_values.numpy(), ids.row_splits.numpy()]))
    tokenizer = kbs.BertTokenizer(vocabulary)

    kbs.build_records(["text.txt"], tokenizer, "records", num_shards=3)
    show("records, documents", (file.read_bytes() for file in sorted(Path("records").glob("*.tfrecord"))))
    from keras_bert_scratch.data.google.writer import build_google_examples

    build_google_examples(["text.txt"], tokenizer, "google", num_shards=2, max_length=48, dupe_factor=2)
    show("records, google", (file.read_bytes() for file in sorted(Path("google").glob("*.tfrecord"))))

    records, google = kbs.PretrainingRecords("records"), kbs.open_records("google")
    plain, packed = kbs.ExampleRules(), kbs.ExampleRules(packing=True)
    words = kbs.ExampleRules(pairs="order", masking=kbs.MaskingRule(unit="words"))
    single = kbs.ExampleRules(pairs="none", masking=kbs.MaskingRule(unit="ngrams"), static_masks=True)
    for what, rules in (("next", plain), ("packed", packed), ("order, words", words), ("none, ngrams", single)):
        for step in (0, 1234):
            batches = records.batches(8, 48, 7, step, rules).take(3).as_numpy_iterator()
            show(f"batches, {what}, from step {step}", (part for batch in batches for part in arrays(batch)))
    batches = google.batches(8, 48, 7, 5).take(3).as_numpy_iterator()
    show("batches, google", (part for batch in batches for part in arrays(batch)))

    for folder, name in (
        ("huggingface/BertForPreTraining", "BertPretrainer"),
        ("huggingface/BertForSequenceClassification", "BertTextClassifier"),
        ("huggingface/BertForQuestionAnswering", "BertQuestionAnswerer"),
        ("huggingface_tf/classification", "BertTextClassifier"),
        ("google", "BertPretrainer"),
        ("model_garden/pretrainer_checkpoint", "BertPretrainer"),
    ):
        show(f"weights, {folder}", weights(GOLDEN / folder, name))
        from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint

        checkpoint = read_checkpoint(GOLDEN / folder)
        out = Path("converted") / folder.replace("/", "-")
        write_checkpoint(checkpoint, out, "huggingface")
        show("  as model.safetensors", [(out / "model.safetensors").read_bytes()])

    for what, found in (
        ("pretraining", pretraining_losses(records, plain, "float32")),
        ("pretraining, packed, accumulated", pretraining_losses(records, packed, "float32", accumulate=2)),
        ("pretraining, bfloat16", pretraining_losses(records, plain, "mixed_bfloat16")),
        ("classification", classification_losses()),
    ):
        show(f"losses, {what}", [json.dumps(found).encode()])
        print(f"  last: {float.fromhex(found[-1]):.6f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        main()
