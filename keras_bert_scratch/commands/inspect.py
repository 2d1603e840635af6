"""`keras-bert inspect`: describe a folder or file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_bert_scratch import figures

if TYPE_CHECKING:
    from keras_bert_scratch.filesystem import AnyPath

EXAMPLE = "keras-bert inspect demo/records"


def inspect(
    path: Annotated[
        Path, typer.Argument(help="A run, a model of any known format, records, a SavedModel or a vocabulary.")
    ],
    picture: Annotated[
        Path | None, typer.Option(help="With records: the .png to draw, of lengths, padding and masks.")
    ] = None,
) -> None:
    """Describe a run, a BERT model of any known format, records, a SavedModel or a vocabulary."""
    from keras_bert_scratch.commands.show_records import show_records
    from keras_bert_scratch.commands.tables import print_results
    from keras_bert_scratch.data.google.files import looks_like_records
    from keras_bert_scratch.errors import UserError
    from keras_bert_scratch.filesystem import path_of, reading
    from keras_bert_scratch.hub.address import HubAddress

    where = path_of(path)
    if picture is not None:
        figures.check_name(picture)
    is_pattern = "*" in where.name  # for files of records
    with reading(where):
        if not is_pattern and not where.exists():
            raise UserError(f"{where}: no such file or folder; check the path")
        is_folder = where.is_dir()
        files = list(where.iterdir()) if is_folder else [where]
    # A hub holds only models, and reading the start of each file would download all of them.
    if is_pattern or (not isinstance(where, HubAddress) and any(map(looks_like_records, files))):
        show_records(where, picture)
        return
    if picture is not None:
        raise UserError(f"`picture`: is for records, and {where} holds none; leave it out")
    if not is_folder:
        what, facts = _vocabulary(where)
    elif (where / "saved_model.pb").exists():
        what, facts = _saved_model(where)
    else:
        what, facts = _run_or_model(where)
    print_results(f"{where}: {what}", facts)


def _vocabulary(path: AnyPath) -> tuple[str, dict[str, Any]]:
    from keras_bert_scratch.text.vocabulary import Vocabulary
    from keras_bert_scratch.text.vocabulary_files import is_tokenizers_vocabulary, read_vocabulary

    if is_tokenizers_vocabulary(path):
        files = read_vocabulary(path.parent)
        vocabulary, lowercase = files.vocabulary, files.word_rules().lowercase
    else:
        vocabulary = Vocabulary.load(path)
        lowercase = vocabulary.guess_lowercase()
    continuations = sum(token.startswith("##") for token in vocabulary.tokens)
    casing = "uncased" if lowercase else "cased"
    return f"{casing} vocabulary", {"tokens": len(vocabulary), "of these ##continuations": continuations}


def _saved_model(path: AnyPath) -> tuple[str, dict[str, Any]]:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    from keras_bert_scratch.checkpoints.model_garden import NoEncoderError
    from keras_bert_scratch.errors import UserError
    from keras_bert_scratch.filesystem import files_below

    try:
        SavedModel.FromString((path / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise UserError(f"{path / 'saved_model.pb'}: is damaged ({error}); copy or export it again") from None
    try:
        return _model(path)
    except NoEncoderError:  # another SavedModel, such as ours
        size = sum(file.stat().st_size for file in files_below(path))
        return "SavedModel; 'saved_model_cli show --all --dir' lists its signatures", {"bytes": size}


def _run_or_model(path: AnyPath) -> tuple[str, dict[str, Any]]:
    from keras_bert_scratch.checkpoints.native import WEIGHTS_FILE
    from keras_bert_scratch.file_set import current_file
    from keras_bert_scratch.training.run_directory import read_run
    from keras_bert_scratch.training.training_state import list_checkpoints

    run = read_run(path)
    if run is None:
        return _model(path)
    status = "finished" if run["status"] == "finished" else "unfinished"
    what = f"{status} {run['settings'].get('task', 'training')} run"
    if "started" in run:
        what += f" of {run['started']}"
    facts = run.get("results", {})
    if states := list_checkpoints(path):
        facts = {"can be resumed from step": int(states[-1].name.removeprefix("step-")), **facts}
    if not current_file(path, WEIGHTS_FILE).exists():
        return what, facts
    model, sizes = _model(path)
    return f"{what}; {model}", {**sizes, **facts}


def _model(path: AnyPath) -> tuple[str, dict[str, Any]]:
    from keras_bert_scratch.checkpoints.architectures import ARCHITECTURES
    from keras_bert_scratch.checkpoints.formats import FORMATS, detect_format, read_checkpoint

    written_by = FORMATS[detect_format(path)]
    checkpoint = read_checkpoint(path)
    config, vocabulary, rules = checkpoint.config, checkpoint.vocabulary, checkpoint.rules
    facts: dict[str, Any] = {"parameters": checkpoint.num_parameters}
    names = ("num_layers", "hidden_size", "num_heads", "intermediate_size", "max_position_embeddings", "vocab_size")
    facts |= {name: getattr(config, name) for name in names}
    facts["activation"] = config.activation
    facts["pooler"] = "yes" if checkpoint.has_pooler else "no"
    facts["heads"] = ", ".join(ARCHITECTURES[checkpoint.architecture].heads) or "none"
    facts["classes"] = ", ".join(checkpoint.label_names) or checkpoint.num_classes
    facts["problem type"] = checkpoint.problem_type
    facts["embeds texts by"] = checkpoint.embedding and checkpoint.embedding.described
    if vocabulary is not None:
        facts["vocabulary"] = f"{'un' * rules.lowercase}cased, {len(vocabulary):,} tokens"
        facts["word rules"] = ", ".join(f"{name}={value}" for name, value in rules.differences().items()) or None
    facts["trained steps"] = checkpoint.step
    facts |= {f"note {number}": note for number, note in enumerate(checkpoint.notes, 1)}
    return f"{checkpoint.architecture}, {written_by}", facts
