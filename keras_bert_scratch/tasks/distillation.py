"""Distillation: a small student learns what large teachers answer about unlabelled text (Turc et al. 2019)."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.models.distiller import ATTENTION, HIDDEN, check_layers
from keras_bert_scratch.tasks.data.batches import TaskData
from keras_bert_scratch.tasks.data.texts import Source
from keras_bert_scratch.tasks.distilled import OUTPUTS_OF, ROW, Distillation, DistillationTask
from keras_bert_scratch.tasks.examples import Examples
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.fine_tuning import FineTuning
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.teacher_outputs import CHOICES, ROWS, teacher_outputs
from keras_bert_scratch.tasks.trial import Trial
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.training.options import RunOptions
from keras_bert_scratch.training.run_directory import RunDirectory, pin_start_commit

DEFAULTS, SOFT, PLAIN = FineTuning(), Distillation(), RunOptions()


def distill(
    teachers: Sequence[AnyPath | str] | AnyPath | str,
    student: AnyPath | str | BertConfig,
    text: Source,
    out: AnyPath | str,
    dev: Source | None = None,
    how: FineTuning = DEFAULTS,
    distillation: Distillation = SOFT,
    options: RunOptions = PLAIN,
    header_names: Mapping[str, str] | None = None,
    on_bad_row: str = "fail",
    seed: int = 0,
    tokenizer: BertTokenizer | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> RunDirectory:
    """Trains a student on its teachers' task, with their outputs for unlabelled text as targets.

    The teachers' outputs are computed once, without dropout, and kept in the user's cache. The student's run
    predicts, is evaluated and is exported like any run of the task; `finetune` with `init=out` trains it on labels.

    Args:
        teachers: path of a fine-tuned model's folder, or paths of several for one task, whose logits are averaged.
        student: path of a pretrained model's folder in any known format, or a BertConfig for random weights.
        text: path of a table with the teachers' columns, or a mapping of columns; labels in it are ignored.
        out: path. The run's folder; an unfinished run with the same settings is resumed.
        dev: path, mapping or None, default None. Labelled data to evaluate on after each epoch; the best epoch's
            student is kept.
        how: FineTuning. As for `finetune`; `max_length` applies to teachers and student.
        distillation: Distillation. Temperature, and the layers to match.
        options: RunOptions. As for `finetune`.
        header_names: mapping or None, default None. The tables' own names for columns.
        on_bad_row: str, default "fail". What to do with bad rows of the tables: `"fail"`, or `"skip"` and count them.
        seed: int, default 0. Seed of a new head, of dropout and of the order of examples.
        tokenizer: BertTokenizer or None, default None. With a BertConfig: the student's tokenizer; `None` for
            the first teacher's.
        strategy: from `make_strategy`; `None` for one device.

    Returns: the finished run.

    Raises:
        UserError: the teachers do not match each other or the student, a table is bad, or `out` holds another run.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2)
        >>> model = BertTextClassifier(BertBackbone(config), num_classes=2)
        >>> spec = Spec("classification", ("text",), 8, ("no", "yes"))
        >>> FineTuned(model, BertTokenizer(vocabulary), spec).save("teacher")
        >>> how = FineTuning(epochs=1, batch_size=2, max_length=8)
        >>> run = distill("teacher", config, {"text": ["play", "playing"]}, "student", how=how)
        >>> predict("student", {"text": ["play"]})[0]["label"] in ("no", "yes")
        True
    """
    paths = [teachers] if isinstance(teachers, (str, AnyPath)) else list(teachers)
    if not paths:
        raise UserError("`teachers`: name at least one")
    loaded = [_teacher(path, how.max_length) for path in paths]
    first, task = loaded[0], loaded[0].task
    for path, other in zip(paths[1:], loaded[1:], strict=True):
        if _read(other.spec) != _read(first.spec):
            raise UserError(
                f"`teachers`: {path_of(path)} and {path_of(paths[0])} differ in task, columns, "
                f"labels or options; choose teachers that agree"
            )
    spec = dataclasses.replace(first.spec.renamed(header_names or {}), max_length=how.max_length)
    raw = _texts(task, text, spec, on_bad_row)

    start = student = pin_start_commit(student, out)
    if isinstance(student, BertConfig):
        own = tokenizer or first.tokenizer
        start, how = student.replace(vocab_size=len(own.vocabulary)), how.for_random_weights(student)
    else:
        own = BertTokenizer.load(student)
    entries, _ = OUTPUTS_OF[task.model_class.__name__]
    if distillation.has_intermediate_losses and entries == CHOICES:
        raise UserError("`hidden`, `attention`: are for models of texts, not for multiple choice; leave them out")
    sizes = start if isinstance(start, BertConfig) else read_checkpoint(start).config
    for name in (HIDDEN, ATTENTION):
        check_layers(name, getattr(distillation, name), sizes, first.model.backbone.config)
    reads_alike = entries != ROWS or task.is_windowed(spec) or distillation.has_intermediate_losses
    for path, teacher in zip(paths, loaded, strict=True):
        if reads_alike and (teacher.tokenizer.vocabulary, teacher.tokenizer.rules) != (own.vocabulary, own.rules):
            raise UserError(
                f"`student`: does not tokenize like {path_of(path)}, but must read the same tokens; choose a student "
                f"with the same vocabulary and tokenization rules"
            )
    outputs, *others = (teacher_outputs(teacher, raw, entries) for teacher in loaded)
    outputs = outputs.averaged_with(others)
    number_of_windows = first.count_tokens(raw)[1]
    first_window = np.cumsum(number_of_windows) - number_of_windows
    learnt = DistillationTask(
        task, distillation, outputs, first_window, first.model if distillation.has_intermediate_losses else None
    )

    facts = [[teacher.digest for teacher in loaded], dataclasses.asdict(distillation), raw]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    examples = Examples(str(text), raw, {ROW: np.arange(len(number_of_windows))}, digest)
    data = TaskData(learnt, spec, examples, own)
    held_out = None if dev is None else TaskData(task, *task.read(dev, spec, on_bad_row), own)
    trial = Trial(learnt, start, data, held_out, how, options, strategy or tf.distribute.get_strategy(), dict)
    trial.check()
    return trial.run(path_of(out), seed)


def _teacher(path: AnyPath | str, max_length: int) -> FineTuned:
    teacher = FineTuned.load(path)
    name = type(teacher.model).__name__
    if name not in OUTPUTS_OF or getattr(teacher.model, "crf", False):
        what = (
            "a model with a CRF, whose logits alone do not determine its predictions"
            if name in OUTPUTS_OF
            else f"a {name}"
        )
        raise UserError(
            f"`teachers`: {path_of(path)} is {what}; a teacher must have logits of texts, tokens or choices"
        )
    return dataclasses.replace(teacher, spec=dataclasses.replace(teacher.spec, max_length=max_length))


def _read(spec: Spec) -> tuple[Any, ...]:
    """What teachers must have in common."""
    return spec.task, spec.columns, spec.labels, spec.options


def _texts(task: Any, text: Source, spec: Spec, on_bad_row: str) -> dict[str, list[Any]]:
    """The columns that the model reads."""
    known = set(itertools.chain(*task.forms(spec)))
    if isinstance(text, Mapping):
        raw = {name: list(values) for name, values in text.items() if name in known}
    else:
        rows = list(task.unlabelled(text, spec, on_bad_row))
        raw = {name: [row[name] for row in rows] for name in (rows[0] if rows else ()) if name in known}
    if not any(raw.values()):
        raise UserError(f"{text}: holds no texts; give a table with {', '.join(spec.columns)}")
    task.check_columns(spec, raw)
    return raw
