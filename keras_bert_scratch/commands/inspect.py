"""`keras-bert inspect`: tell what a folder or file is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

EXAMPLE = "keras-bert inspect demo/records"


def inspect(path: Annotated[Path, typer.Argument(help="A run, model, records, SavedModel or vocabulary.")]) -> None:
    """Tell what a run, a model, records, a SavedModel or a vocabulary is."""
    from keras_bert_scratch.commands.tables import print_results
    from keras_bert_scratch.errors import UserError

    if not path.exists():
        raise UserError(f"{path}: no such file or folder; check the path")
    if path.is_file():
        what, facts = _vocabulary(path)
    elif (path / "manifest.json").exists():
        what, facts = _records(path)
    elif (path / "saved_model.pb").exists():
        what, facts = _saved_model(path)
    elif (path / "run.json").exists() or (path / "config.json").exists():
        what, facts = _run_or_model(path)
    else:
        raise UserError(f"{path}: is no run, model, records or SavedModel; give a folder that is")
    print_results(f"{path}: {what}", facts)


def _vocabulary(path: Path) -> tuple[str, dict[str, Any]]:
    from keras_bert_scratch.text.vocabulary import Vocabulary

    vocabulary = Vocabulary.load(path)
    continuations = sum(token.startswith("##") for token in vocabulary.tokens)
    casing = "cased" if vocabulary.looks_cased else "uncased"
    return f"{casing} vocabulary", {"tokens": len(vocabulary), "of these ##continuations": continuations}


def _records(path: Path) -> tuple[str, dict[str, Any]]:
    from keras_bert_scratch.data.records import Manifest

    manifest = Manifest.load(path)
    counts = {what: manifest.total(what) for what in ("documents", "sentences", "tokens", "bytes")}
    sizes = {"shards": len(manifest.shards), "vocabulary size": manifest.vocab_size}
    per_token = {"bytes per token": round(counts["bytes"] / counts["tokens"], 3)}
    return f"{'un' * manifest.lowercase}cased records", {**counts, **sizes, **per_token}


def _saved_model(path: Path) -> tuple[str, dict[str, Any]]:
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return "SavedModel; 'saved_model_cli show --all --dir' lists its signatures", {"bytes": size}


def _run_or_model(path: Path) -> tuple[str, dict[str, Any]]:
    from keras_bert_scratch.models.directory import WEIGHTS_FILE, load_model, read_description
    from keras_bert_scratch.training.run_directory import read_run

    what, facts = "model", {}
    if run := read_run(path):
        what = f"{run['status']} {run['settings'].get('task', 'training')} run of {run['started']}"
        facts = run.get("results", {})
    if (path / WEIGHTS_FILE).exists():
        arguments = read_description(path)["arguments"]
        sizes = arguments.get("backbone", arguments)["config"]
        model = load_model(path)
        what = f"{type(model).__name__}, {what}"
        shape = {name: sizes[name] for name in ("num_layers", "hidden_size", "num_heads", "vocab_size")}
        facts = {"parameters": model.count_params(), **shape, **facts}
    return what, facts
