"""Asking and measuring a model for a task: a run's folder, anybody's checkpoint, or a SavedModel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_bert_scratch.checkpoints.checkpoint import TASK_FILE
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.serving.saved_model import SavedModel
from keras_bert_scratch.serving.signatures import Signatures
from keras_bert_scratch.tasks.data.texts import Source
from keras_bert_scratch.tasks.fine_tuned import FineTuned

SAVED_MODEL_FILE = "saved_model.pb"


def load(
    model: AnyPath | str,
    task: str | None = None,
    asking: Mapping[str, Any] | None = None,
    dtype: str | None = None,
) -> FineTuned | SavedModel | Signatures:
    """What answers: the model of a run or checkpoint, or an exported one; of other people's SavedModel its signatures.

    Args:
        model: path. The folder.
        task: str or None, default None. What to use the model for; else what it was fine-tuned for.
        asking: mapping or None, default None. The task's own options of asking.
        dtype: str or None, default None. Of the matrix products, as of `FineTuned.load`; not of a SavedModel.

    Raises:
        UserError: the folder holds no model with a head for the task, or it cannot be asked so.
    """
    folder, asking = path_of(model), asking or {}
    is_exported = (folder / SAVED_MODEL_FILE).exists()
    # TF-Hub's encoders have their weights beside their graph.
    if not is_exported or (task is not None and not (folder / TASK_FILE).exists()):
        return FineTuned.load(model, dtype, task, asking)
    if dtype is not None:
        raise UserError(f"`dtype`: {folder} computes as it was exported; leave it out, or export the model with it")
    if not (folder / TASK_FILE).exists():
        if asking:
            raise UserError(f"`{next(iter(asking))}`: {folder} answers as it was exported; leave it out")
        return Signatures(folder)
    saved = SavedModel(folder)
    if task not in (None, saved.spec.task):
        raise UserError(f"`task`: {folder} was exported for {saved.spec.task}, not {task}; export the model for that")
    return saved.asking(**asking)


def load_to_measure(
    run: AnyPath | str,
    task: str | None = None,
    asking: Mapping[str, Any] | None = None,
    dtype: str | None = None,
) -> FineTuned | SavedModel:
    """As `load`, but raises `UserError` for what answers without a task that could measure it."""
    model = load(run, task, asking, dtype)
    return SavedModel(run) if isinstance(model, Signatures) else model  # it says what it lacks


def evaluate(
    run: AnyPath | str,
    data: Source,
    header_names: Mapping[str, str] | None = None,
    on_bad_row: str = "fail",
    task: str | None = None,
    dtype: str | None = None,
    **asking: Any,
) -> dict[str, Any]:
    """Measures a fine-tuned model on labelled data, as its run measured it.

    Args:
        run: path. The folder of a finished fine-tuning run, of a model in any known format, or of an exported
            SavedModel.
        data: path of a table with the columns that the model was trained on, or a mapping of columns.
        header_names: mapping or None, default None. What the table calls a column, where not as the training table.
        on_bad_row: str, default "fail". `"fail"`, or `"skip"` and count.
        task: str or None, default None. What to use the model for; else what it was fine-tuned for.
        dtype: str or None, default None. Of the matrix products: `"float32"`, `"bfloat16"` or `"float16"`; `None` for
            what the run was trained in. Not of a SavedModel, which computes as it was exported.
        asking: the task's own options of asking, such as `pooling="max"` of embed.

    Returns: the task's metrics by name, `loss` (not of a SavedModel, which has none), and how many `examples` there
        were.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2)
        >>> model = BertTextClassifier(BertBackbone(config), num_classes=2)
        >>> spec = Spec("classification", ("text",), 8, ("no", "yes"))
        >>> FineTuned(model, BertTokenizer(vocabulary), spec).save("tuned")
        >>> evaluate("tuned", {"text": ["play", "playing"], "label": ["no", "yes"]})["majority"]
        0.5
    """
    return load_to_measure(run, task, asking, dtype).evaluation_of(data, header_names, on_bad_row).results


def predict(
    run: AnyPath | str,
    raw: Mapping[str, Sequence[Any]],
    task: str | None = None,
    dtype: str | None = None,
    **asking: Any,
) -> list[dict[str, Any]]:
    """The answers of a fine-tuned model about some rows.

    Args:
        run: path. The folder of a finished fine-tuning run, of a model in any known format, or of a SavedModel.
        raw: mapping of the columns that the model was trained on, such as `{"text": ["A joy."]}`.
        task: str or None, default None. What to use the model for; else what it was fine-tuned for.
        dtype: str or None, default None. Of the matrix products: `"float32"`, `"bfloat16"` or `"float16"`; `None` for
            what the run was trained in. Not of a SavedModel, which computes as it was exported.
        asking: the task's own options of asking, such as `top_k=3` of fill-mask.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2)
        >>> model = BertTextClassifier(BertBackbone(config), num_classes=2)
        >>> spec = Spec("classification", ("text",), 8, ("no", "yes"))
        >>> FineTuned(model, BertTokenizer(vocabulary), spec).save("tuned")
        >>> [sorted(answer) for answer in predict("tuned", {"text": ["play"]})]
        [['label', 'score', 'scores']]
    """
    return load(run, task, asking, dtype).predict(raw)
