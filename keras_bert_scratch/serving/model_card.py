"""The card of an exported model: what it is for, how to ask it, where it comes from, and what it cannot do."""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_bert_scratch.checkpoints.card import LIMIT, cell, origin
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
    "token_count": "how many tokens the row has with the special ones, before anything is cut off",
    "truncated": "whether something was cut off, so that the model has read only a part of the row",
    "classes": "the labels, the same in each row",
    "outputs": "the score",
    "attention": "of each layer and head, how much each token (row) looks at each other (column)",
}
MEANS = {
    SIGNATURE: "Strings of UTF-8, a row for each.",
    SERVE_EXAMPLES: "The same from serialized `tf.train.Example`, whose features have the names of the columns.",
    CLASSIFY: "The same for TensorFlow Serving's method of this name.",
    REGRESS: "The same for TensorFlow Serving's method of this name.",
    ATTENTION: "The same columns, for people who want to see who looks at whom; of a long text the first window.",
    SERVE_IDS: (
        "Tokens that somebody else made: `token_ids` that begin with `[CLS]`, `segment_ids` (0 for the first text, 1 "
        "for the second) and `padding_mask` (1 for tokens, 0 behind them)."
    ),
}


def model_card(
    tuned: FineTuned, endpoints: Mapping[str, Any], run: Mapping[str, Any], variants: Sequence[Measured]
) -> str:
    """The text of the card, in Markdown.

    Args:
        tuned: FineTuned. The exported model.
        endpoints: concrete functions, by signature.
        run: what the `run.json` of the training says; empty where there was none.
        variants: how they compare, the SavedModel first; may be none.
    """
    told = origin(run) if run else ()
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
        "Letters": "upper and lower case alike" if rules.lowercase else "upper and lower case are told apart",
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
    yield "Rows come first in every input and output. Lists are padded to the longest and have their number beside."
    known = {"tokens": "the tokens of the row", "num_tokens": "how many there are", **COMMON, **tuned.task.outputs}
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
    return f"how many {name.removeprefix('num_')} count" if name.startswith("num_") else "text"


def _line(name: str, tensor: Any, means: str) -> str:
    shape = ", ".join("rows" if not axis else str(size or "any") for axis, size in enumerate(tensor.shape))
    return f"| {name} | {tensor.dtype.name} | ({shape}) | {means} |"


def _compared(variants: Sequence[Measured]) -> Iterator[str]:
    if not variants:
        return
    yield "\n## Variants\n"
    yield (
        "Files of the network alone in the folder `variants`, from tokens to its outputs, for other engines. "
        "Milliseconds of the network, rows x tokens, of other engines on one thread, of TensorFlow on all processors; "
        "metrics on the data that the export was given.\n"
    )
    names = list(variants[0].row)
    yield f"| | {' | '.join(names)} |"
    yield "|---" * (1 + len(names)) + "|"
    yield from (f"| {one.name} | {' | '.join(str(one.row[name]) for name in names)} |" for one in variants)


def _limits(tuned: FineTuned) -> Iterator[str]:
    yield "\n## Limits\n"
    yield f"- {LIMIT}"
    yield "- Characters that are not in the vocabulary are read as `[UNK]`."
    if not tuned.task.is_windowed(tuned.spec):
        yield f"- Of a row of more than {tuned.spec.max_length} tokens the rest is not read; `truncated` says so."
