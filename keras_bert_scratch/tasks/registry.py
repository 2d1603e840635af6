"""The tasks by name, and the task that a model without `task.json` is for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from keras_bert_scratch.checkpoints.checkpoint import Checkpoint
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.labels import check_problem_type

if TYPE_CHECKING:
    from keras_bert_scratch.tasks.task import Task

# By task name: the module of this package that holds the task, as `TASK`. Imported on demand.
TASKS = {
    "classification": "classification",
    "pair-classification": "pair_classification",
    "regression": "regression",
    "multi-label": "multi_label",
    "ner": "ner",
    "qa": "qa",
    "choice": "choice",
    "fill-mask": "fill_mask",
    "embed": "embed",
    "translation": "translation",
    "generate": "generate",
}

# The task of a model without `task.json`: by its class; for a classifier, by Hugging Face's problem_type.
TASK_OF_MODEL = {
    "BertBackbone": "embed",
    "BertTextEmbedder": "embed",
    "BertTokenClassifier": "ner",
    "BertQuestionAnswerer": "qa",
    "BertMultipleChoice": "choice",
    "BertPretrainer": "fill-mask",
    "BertMaskedLM": "fill-mask",
    "BertTranslator": "translation",
    "BertCausalLM": "generate",
}
TASK_OF_PROBLEM = {
    "single_label_classification": "classification",
    "multi_label_classification": "multi-label",
    "regression": "regression",
}


def get_task(name: str) -> Task:
    """The task called `name`.

    Args:
        name: str. A key of `TASKS`, such as `"classification"` or `"ner"`.

    Raises:
        UserError: there is no such task; the message lists all tasks.

    Example:
        >>> get_task("regression").best_by
        ('pearson', 'max')
    """
    if name not in TASKS:
        raise UserError(f"`task`: {name!r} is unknown; choose one of {', '.join(TASKS)}")
    return importlib.import_module(f"keras_bert_scratch.tasks.{TASKS[name]}").TASK


def task_of(checkpoint: Checkpoint) -> str | None:
    """The task that a model's class and problem type imply; `None` if there is none."""
    if checkpoint.architecture != "BertTextClassifier":
        return TASK_OF_MODEL.get(checkpoint.architecture)
    return TASK_OF_PROBLEM[check_problem_type(checkpoint.problem_type, checkpoint.num_classes)]
