"""A model of every task to export, with random weights; a new task is one row of `TASKS`.

These rows test what holds for all tasks: that a server may join requests to batches, and that no Python is needed.
"""

from typing import Any

import keras

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.data.squad import UNANSWERABLE
from keras_bert_scratch.tasks.registry import get_task
from keras_bert_scratch.tasks.spec import as_json

MAX_LENGTH = 32
LONG = "Day 3: the otter crosses the river before dawn, and again, and again. " * 4
TEXTS = ("The heron sleeps.", LONG, "", "北京 ½ ß", "An otter [MASK] the [MASK] river")
TAGS = ("O", "B-PER", "I-PER")
SPANS = {"overlap": 8, "max_question_length": 8, "max_answer_length": 4, "null_threshold": 0.0, UNANSWERABLE: True}
CAUSAL = {"direction": "left-to-right"}
# name: task, class, fields of its spec, options of prediction, changes of BertConfig
TASKS = {
    "classification": ("classification", "BertTextClassifier", {"labels": ("no", "yes", "perhaps")}, {}, {}),
    "pairs": ("classification", "BertTextClassifier", {"labels": ("a", "b"), "columns": ("text", "text_pair")}, {}, {}),
    "long texts": (
        "classification",
        "BertTextClassifier",
        {"labels": ("a", "b"), "options": {"long_texts": "mean", "overlap": 4}},
        {},
        {},
    ),
    "regression": ("regression", "BertTextClassifier", {}, {}, {}),
    "multi-label": ("multi-label", "BertTextClassifier", {"labels": ("a", "b", "c")}, {}, {}),
    "ner": ("ner", "BertTokenClassifier", {"labels": TAGS, "options": {"overlap": 4}}, {}, {}),
    "ner with a CRF": (
        "ner",
        "BertTokenClassifier",
        {"labels": TAGS, "options": {"overlap": 4, "crf": True, "document_context": True}},
        {},
        {},
    ),
    "qa": ("qa", "BertQuestionAnswerer", {"options": SPANS}, {}, {}),
    "choice": ("choice", "BertMultipleChoice", {}, {}, {}),
    "fill-mask": ("fill-mask", "BertMaskedLM", {}, {"top_k": 2, "targets": ["otter", "heron"]}, {}),
    "embed": ("embed", "BertTextEmbedder", {}, {}, {}),
    "embed tokens": ("embed", "BertTextEmbedder", {}, {"pooling": "none"}, {}),
    "translation": ("translation", "BertTranslator", {}, {"beams": 2, "alternatives": 2, "alignment": True}, {}),
    "generate": ("generate", "BertCausalLM", {}, {"continuations": 2, "max_new_tokens": 4}, CAUSAL),
}


def fine_tuned(name: str, config: kbs.BertConfig, tokenizer: kbs.BertTokenizer) -> kbs.FineTuned:
    """A model with weights so far apart that texts have different answers and confident scores."""
    task_name, kind, fields, prediction_options, changes = TASKS[name]
    task = get_task(task_name)
    options = {
        **as_json(task.Options()),
        **as_json(task.PredictionOptions()),
        **fields.get("options", {}),
        **prediction_options,
    }
    spec = kbs.Spec(
        **{"task": task_name, "columns": task.columns, "max_length": MAX_LENGTH, **fields, "options": options}
    )
    keras.utils.set_random_seed(3)
    backbone = kbs.BertBackbone(config.replace(initializer_range=1.0, **changes))
    return kbs.FineTuned(getattr(kbs, kind)(backbone, **task.model_arguments(spec)), tokenizer, spec)


def asked_rows(columns: tuple[str, ...]) -> list[list[dict[str, Any]]]:
    """The rows that three clients send: one, two and two; lists have one or more strings."""

    def value(column: str, row: int) -> Any:
        text = TEXTS[row]
        if column in ("words", "choices"):
            return text.split()[:9] or ["heron"]
        return text if column in ("text", "source", "context") else TEXTS[row - 1]

    return [[{column: value(column, row) for column in columns} for row in rows] for rows in ((0,), (1, 2), (3, 4))]
