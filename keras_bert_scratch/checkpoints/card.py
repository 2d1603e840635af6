"""The card of a model that may be uploaded to a hub: `README.md`, with the metadata that a hub reads at its top.

A card is replaced only if it is unchanged since it was written here. One that a person wrote or changed is kept: the
last line of our cards holds a digest of the text above it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from keras_bert_scratch.checkpoints.architectures import ARCHITECTURES
from keras_bert_scratch.checkpoints.checkpoint import Checkpoint
from keras_bert_scratch.file_set import current_file
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.hub.address import repository_of
from keras_bert_scratch.transfer import read_text
from keras_bert_scratch.version import WRITTEN_BY

CARD_FILE = "README.md"
_MARK = re.compile(r"<!-- written by keras_bert_scratch \S+; as long as this line fits \(([0-9a-f]{16})\), .*-->\n")
LIBRARY, TRANSFORMERS = "keras_bert_scratch", "transformers"

# Our metrics, and the hub's names of them.
METRICS = {
    "accuracy": "accuracy",
    "f1": "f1",
    "f1_macro": "f1",
    "f1_micro": "f1",
    "matthews": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "exact_match": "exact_match",
    "bleu": "bleu",
    "chrf": "chrf",
    "perplexity": "perplexity",
}
TEXT_COLUMNS = ("text", "text_pair", "question", "context", "source")

LIMIT = (
    "The model answers every input; its quality on text unlike its training data is unknown. It has the biases of its "
    "training data and of its pretraining text: measure it on your own data, by group, before it decides anything "
    "about people."
)


def is_ours(path: AnyPath | str) -> bool:
    """Whether the folder `path` has no card, or one that is unchanged since it was written here."""
    file = current_file(path, CARD_FILE)
    if not file.exists():
        return True
    try:
        text, mark = _split(read_text(file))
    except UnicodeDecodeError:
        return False
    return mark is not None and mark[1] == _digest(text)


def card_of(checkpoint: Checkpoint, library: str) -> str:
    """The text of the card, in Markdown.

    Args:
        checkpoint: Checkpoint. The model; only the shapes of its weights are read.
        library: str. `LIBRARY` or `TRANSFORMERS`: the library whose format the model is in.
    """
    parts = (_metadata, _about, _use, _training, _limits)
    text = "".join(f"{line}\n" for part in parts for line in part(checkpoint, library))
    return (
        f"{text}\n<!-- written by {WRITTEN_BY}; as long as this line fits ({_digest(text)}), a new save replaces the "
        f"file; an edited file is kept -->\n"
    )


def _split(text: str) -> tuple[str, re.Match[str] | None]:
    mark = next(iter(_MARK.finditer(text)), None)
    return (text[: mark.start() - 1] if mark and mark.end() == len(text) else text), mark


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _metadata(checkpoint: Checkpoint, library: str) -> Iterator[str]:
    """The metadata as YAML; its strings are written as JSON, which is valid YAML."""
    settings, results = checkpoint.run.get("settings", {}), checkpoint.run.get("results", {})
    spec = _spec(checkpoint)
    tags = ["bert", "keras", "tensorflow", *([spec["task"]] if spec else [])]
    start = settings.get("start")
    base = repository_of(start) if isinstance(start, str) else None
    metrics = sorted({METRICS[name] for name in results.get("dev") or {} if name in METRICS})
    pipeline = ARCHITECTURES[checkpoint.architecture].pipeline
    if checkpoint.embedding is not None:
        pipeline = "sentence-similarity"
    yield "---"
    yield f"library_name: {library}"
    if pipeline:
        yield f"pipeline_tag: {pipeline}"
    if base:
        yield f"base_model: {json.dumps(base)}"
    for name, values in (("tags", dict.fromkeys(tags)), ("metrics", metrics)):
        if values:
            yield f"{name}:"
            yield from (f"- {json.dumps(value)}" for value in values)
    yield "---"


def _about(checkpoint: Checkpoint, library: str) -> Iterator[str]:
    config, spec = checkpoint.config, _spec(checkpoint)
    yield f"# BERT: {spec['task'] if spec else checkpoint.architecture}\n"
    yield f"A BERT (Devlin et al. 2019) in the format of {library}.\n"
    yield "| | |\n|---|---|"
    rules = checkpoint.rules
    facts = {
        "Class": _class_name(checkpoint, library),
        "Network": f"{config.num_layers} layers of {config.hidden_size}, {config.num_heads} heads, "
        f"{checkpoint.num_parameters:,} parameters",
        "Longest text": f"{(spec or {}).get('max_length', config.max_position_embeddings)} tokens",
        "Reads": ", ".join(spec["columns"]) if spec else "",
        "Labels": ", ".join(checkpoint.label_names),
        "Vocabulary": checkpoint.vocabulary is not None
        and f"{len(checkpoint.vocabulary):,} tokens, {'un' * bool(rules and rules.lowercase)}cased",
        "Embeds by": checkpoint.embedding and checkpoint.embedding.described,
    }
    yield from (f"| {name} | {cell(value)} |" for name, value in facts.items() if value)


def _use(checkpoint: Checkpoint, library: str) -> Iterator[str]:
    spec, name = _spec(checkpoint), _class_name(checkpoint, library)
    has_vocabulary = checkpoint.vocabulary is not None
    yield "\n## Use\n"
    if library == TRANSFORMERS:
        yield "```python"
        yield f"from transformers import {'AutoTokenizer, ' * has_vocabulary}{name}\n"
        yield 'folder = "."  # or OWNER/NAME on the hub'
        if has_vocabulary:
            yield "tokenizer = AutoTokenizer.from_pretrained(folder)"
        yield f"model = {name}.from_pretrained(folder)"
        yield "```\n"
        yield "With keras_bert_scratch, on TensorFlow and Keras 3:\n"
    yield "```python"
    yield "import keras_bert_scratch as kbs\n"
    yield 'folder = "."  # or hf://OWNER/NAME on the hub'
    if has_vocabulary:
        yield "tokenizer = kbs.BertTokenizer.load(folder)"
    yield f"model = kbs.{checkpoint.architecture}.from_pretrained(folder)"
    if spec and has_vocabulary and set(spec["columns"]) <= set(TEXT_COLUMNS):
        row = ", ".join(f'"{column}": ["Your text."]' for column in spec["columns"])
        yield f"print(kbs.predict(folder, {{{row}}}))"
    yield "```"


def _training(checkpoint: Checkpoint, library: str) -> Iterator[str]:
    if checkpoint.run:
        yield from training_section(checkpoint.run)


def _limits(checkpoint: Checkpoint, library: str) -> Iterator[str]:
    yield "\n## Limits\n"
    yield f"- {LIMIT}"
    yield (
        "- To be filled in by the publisher: what it is for, on which text and in which language it was trained, "
        "what it gets wrong; `language:` and `license:` go into the lines at the top."
    )


def training_section(run: Mapping[str, Any]) -> Iterator[str]:
    """The section on how a model was trained, from the `run.json` of its training."""
    settings, results = run["settings"], run["results"]
    yield "\n## Training\n"
    command = f"Command: `{' '.join(run['starts'][0]['command'])}`. " if run.get("starts") else ""
    yield f"{command}Started {run['started']}, ended {run['ended']}.\n"
    start = settings.get("start")
    told = {
        "start": start if isinstance(start, str) else None,
        "commit": settings.get("start_commit"),
        "digest of the training data": settings.get("examples"),
        "seed": settings.get("seed"),
        "steps": results.get("steps"),
    }
    if any(value is not None for value in told.values()):
        yield "; ".join(f"{name}: `{value}`" for name, value in told.items() if value is not None) + ".\n"
    if dev := results.get("dev"):
        yield "Measured on held-out data:\n"
        yield "| metric | value |\n|---|---|"
        yield from (f"| {name} | {cell(json.dumps(value))} |" for name, value in dev.items())


def cell(text: str) -> str:
    """A text, escaped for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _class_name(checkpoint: Checkpoint, library: str) -> str:
    theirs = ARCHITECTURES[checkpoint.architecture].huggingface
    return theirs if library == TRANSFORMERS else checkpoint.architecture


def _spec(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """The content of `task.json`, or `None` if there is no readable one."""
    try:
        found = json.loads(checkpoint.task or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) and "task" in found and isinstance(found.get("columns"), list) else None
