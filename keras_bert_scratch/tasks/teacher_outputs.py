"""A teacher's outputs for texts, without dropout: computed once, kept in the user's cache by content digest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.filesystem import cache_folder
from keras_bert_scratch.progress import ProgressBar
from keras_bert_scratch.tasks.data.columns import as_tensors
from keras_bert_scratch.tasks.data.length_bucketing import sorted_batches
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tensor_file import read_tensors, write_tensors

ROWS, TOKENS, CHOICES = "rows", "tokens", "choices"  # what each entry of the logits belongs to
BATCH_SIZE = 64
FOLDER = "teacher_outputs"


@dataclasses.dataclass(frozen=True, eq=False)
class TeacherOutputs:
    """A teacher's outputs for the windows of the texts, concatenated.

    Args:
        values: mapping. By the name of the output, float32 `(n, ...)`: one entry for each window, or for each of
            its tokens or choices.
        sizes: int64 `(windows,)`. Number of entries of each window.
    """

    values: Mapping[str, np.ndarray]
    sizes: np.ndarray

    def averaged_with(self, others: Sequence[TeacherOutputs]) -> TeacherOutputs:
        """The mean of the logits of several teachers, whose entries must correspond."""
        everyone = [self, *others]
        means = {
            name: np.mean([one.values[name] for one in everyone], axis=0, dtype=np.float32) for name in self.values
        }
        return TeacherOutputs(means, self.sizes)

    def ragged(self) -> dict[str, tf.RaggedTensor]:
        """Ragged tensors by output, with a row for each window."""
        return {
            name: tf.RaggedTensor.from_row_lengths(values, self.sizes, validate=False)
            for name, values in self.values.items()
        }


def teacher_outputs(teacher: FineTuned, raw: Mapping[str, Sequence[Any]], entries: str) -> TeacherOutputs:
    """The teacher's outputs for some texts, from the cache if they are there.

    Args:
        teacher: FineTuned. The model, its tokenizer and its spec.
        raw: columns of texts.
        entries: str. What each entry of the outputs belongs to: `"rows"`, `"tokens"` or `"choices"`.
    """
    digest = hashlib.sha256(teacher.digest.encode())
    digest.update(json.dumps([entries, {name: list(values) for name, values in raw.items()}]).encode())
    file = cache_folder() / FOLDER / f"{digest.hexdigest()}.h5"
    if file.exists():
        held = read_tensors(file)
        sizes = held.pop("sizes")
        return TeacherOutputs({name.removeprefix("values/"): values for name, values in held.items()}, sizes)
    computed = _computed(teacher, raw, entries)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(file, {"sizes": computed.sizes, **{f"values/{name}": v for name, v in computed.values.items()}})
    return computed


def _computed(teacher: FineTuned, raw: Mapping[str, Sequence[Any]], entries: str) -> TeacherOutputs:
    num_tokens, windows = teacher.count_tokens(raw)
    first = np.cumsum(windows) - windows
    longest = np.maximum.reduceat(num_tokens, first) if len(windows) else num_tokens

    @tf.function(reduce_retracing=True, autograph=False)
    def ask(some: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        features = teacher.task.features(teacher.spec, teacher.tokenizer, some)
        outputs = teacher.task.call_model(teacher.model, features.inputs)
        return outputs if isinstance(outputs, dict) else {"logits": outputs}, features.inputs["padding_mask"]

    of_windows: dict[int, dict[str, np.ndarray]] = {}
    with ProgressBar("running the teacher", "rows") as bar:
        count = bar.counter(len(windows))
        for rows in sorted_batches(longest, BATCH_SIZE, windows):
            outputs, mask = ask(as_tensors(raw, rows))
            there = _there(mask.numpy().astype(bool), entries)
            numbers = np.concatenate([np.arange(first[row], first[row] + windows[row]) for row in rows])
            arrays = {name: np.asarray(values, np.float32) for name, values in outputs.items()}
            if entries == ROWS:
                arrays = {name: values[:, None] for name, values in arrays.items()}
            for at, number in enumerate(numbers.tolist()):
                of_windows[number] = {name: values[at][there[at]] for name, values in arrays.items()}
            count(len(rows))
    parts = [of_windows[number] for number in range(len(of_windows))]
    names = list(parts[0])
    return TeacherOutputs(
        {name: np.concatenate([part[name] for part in parts]) for name in names},
        np.array([len(part[names[0]]) for part in parts], np.int64),
    )


def _there(mask: np.ndarray, entries: str) -> np.ndarray:
    """Which entries of each window exist, bool `(windows, entries)`."""
    if entries == ROWS:
        return np.ones((len(mask), 1), bool)
    return mask.any(axis=-1) if entries == CHOICES else mask
