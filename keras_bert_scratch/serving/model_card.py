"""The model card of an exported model: task, signatures, training and limits."""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_bert_scratch.checkpoints.card import LIMIT, cell, training_section
from keras_bert_scratch.serving.signatures import (
    ATTENTION,
    CLASSIFY,
    IDS,
    OF_EXAMPLES,
    REGRESS,
    SERVE_EXAMPLES,
    SERVE_IDS,
    SIGNATURE,
)
from keras_bert_scratch.serving.variants import Measured
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.version import VERSION

COMMON = {
    "token_count": "number of tokens in the row, special tokens included, before truncation",
    "truncated": "whether the row was truncated, so that the model read only a part of it",
    "classes": "the labels, the same in each row",
    "outputs": "the score",
    "attention": "for each layer and head, the attention weight from each token (row) to each token (column)",
}
MEANS = {
    SIGNATURE: "UTF-8 strings, one for each row.",
    SERVE_EXAMPLES: "The same for serialized `tf.train.Example`, whose features have the names of the columns.",
    CLASSIFY: "The same for TensorFlow Serving's method of this name.",
    REGRESS: "The same for TensorFlow Serving's method of this name.",
    ATTENTION: "The same columns; returns attention weights, for a row in several windows those of the first window.",
    SERVE_IDS: (
        "Rows that are already tokenized: `token_ids` that begin with `[CLS]`, `segment_ids` (0 for the first text, 1 "
        "for the second) and `padding_mask` (1 for tokens, 0 for the padding after them)."
    ),
}


def model_card(
    tuned: FineTuned, endpoints: Mapping[str, Any], run: Mapping[str, Any], variants: Sequence[Measured]
) -> str:
    """Returns the card in Markdown.

    Args:
        tuned: FineTuned. The exported model.
        endpoints: concrete functions, by signature.
        run: the content of the training's `run.json`; empty without one.
        variants: the measurements, the SavedModel's first; may be empty.
    """
    told = training_section(run) if run else ()
    parts = (_about(tuned), _signatures(tuned, endpoints), _compared(variants), told, _limits(tuned))
    return "\n".join(line for part in parts for line in part)


def _about(tuned: FineTuned) -> Iterator[str]:
    spec, config, rules = tuned.spec, tuned.model.backbone.config, tuned.tokenizer.rules
    yield f"# {spec.task}\n"
    yield f"{inspect.getdoc(type(tuned.task)).splitlines()[0]}\n"
    yield "| | |\n|---|---|"
    facts = {
        "Reads": ", ".join(spec.columns),
        **({"Labels": ", ".join(spec.labels)} if spec.labels else {}),
        "Longest row": f"{spec.max_length} tokens",
        "Rows are padded to": _lengths(spec.row_lengths),
        "Casing": "uncased: letters are lowercased" if rules.lowercase else "cased: upper and lower case differ",
        "Vocabulary": f"{len(tuned.tokenizer.vocabulary)} tokens, `assets/vocab.txt`",
        "Network": f"{type(tuned.model).__name__}, layers: {config.num_layers} of {config.hidden_size}, "
        f"{tuned.model.count_params():,} parameters, products in {tuned.model.compute_dtype}",
        "Options": ", ".join(f"{name} {json.dumps(value)}" for name, value in spec.options.items()) or "none",
        "Digest of weights and settings": f"`{tuned.digest}`",
        "Made with": f"keras_bert_scratch {VERSION}, keras {keras.__version__}, tensorflow {tf.__version__}",
    }
    yield from (f"| {name} | {cell(value)} |" for name, value in facts.items())


def _lengths(lengths: tuple[int, ...]) -> str:
    steps = {longer - shorter for shorter, longer in itertools.pairwise(lengths[:-1])}
    if len(lengths) > 3 and steps == {lengths[0]}:
        return f"{lengths[0]}, {lengths[1]}, {lengths[2]}... {lengths[-1]} tokens"
    return f"{', '.join(map(str, lengths))} tokens"


def _signatures(tuned: FineTuned, endpoints: Mapping[str, Any]) -> Iterator[str]:
    yield "\n## Signatures\n"
    yield "The first axis of every input and output is the row. Lists are padded to the longest and come with a count."
    known = {"tokens": "the tokens of the row", "num_tokens": "number of these tokens", **COMMON, **tuned.task.outputs}
    for name, endpoint in endpoints.items():
        yield f"\n### {name}\n"
        yield MEANS.get(name, MEANS[SIGNATURE]) + "\n"
        yield "| | type | shape | |\n|---|---|---|---|"
        for spec in endpoint.structured_input_signature[0]:
            yield _line(f"in: {spec.name}", spec, _input(spec.name))
        for output, tensor in endpoint.structured_outputs.items():
            yield _line(f"out: {output}", tensor, known.get(output, ""))


def _input(name: str) -> str:
    if name in (*OF_EXAMPLES.values(), *IDS):
        return ""
    return f"number of {name.removeprefix('num_')}, without padding" if name.startswith("num_") else "text"


def _line(name: str, tensor: Any, means: str) -> str:
    shape = ", ".join("rows" if not axis else str(size or "any") for axis, size in enumerate(tensor.shape))
    return f"| {name} | {tensor.dtype.name} | ({shape}) | {means} |"


def _compared(variants: Sequence[Measured]) -> Iterator[str]:
    if not variants:
        return
    yield "\n## Variants\n"
    yield (
        "Files for other engines in the folder `variants`; each holds only the network, from tokens to its outputs. "
        "Times are milliseconds of the network alone, by rows x tokens: other engines on one thread, TensorFlow on all "
        "processors. Metrics are of the data given at export.\n"
    )
    names = list(variants[0].row)
    yield f"| | {' | '.join(names)} |"
    yield "|---" * (1 + len(names)) + "|"
    yield from (f"| {one.name} | {' | '.join(str(one.row[name]) for name in names)} |" for one in variants)


def _limits(tuned: FineTuned) -> Iterator[str]:
    yield "\n## Limits\n"
    yield f"- {LIMIT}"
    yield "- A word that cannot be split into tokens of the vocabulary is read as `[UNK]`."
    if not tuned.task.is_windowed(tuned.spec):
        yield f"- A row of more than {tuned.spec.max_length} tokens is truncated, and `truncated` is true."
