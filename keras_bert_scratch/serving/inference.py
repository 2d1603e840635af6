"""Prediction and evaluation with a model for a task: a run, a checkpoint in any known format, or a SavedModel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_bert_scratch.checkpoints.checkpoint import TASK_FILE
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.serving.saved_model import SavedModel
from keras_bert_scratch.serving.signatures import Signatures
from keras_bert_scratch.serving.versions import SAVED_MODEL_FILE
from keras_bert_scratch.tasks.data.texts import Source
from keras_bert_scratch.tasks.fine_tuned import FineTuned


def load(
    model: AnyPath | str,
    task: str | None = None,
    prediction_options: Mapping[str, Any] | None = None,
    dtype: str | None = None,
) -> FineTuned | SavedModel | Signatures:
    """Loads a model for prediction: a run or checkpoint, an export, or the signatures of any other SavedModel.

    Args:
        model: path. The folder.
        task: str or None, default None. The task to use the model for; `None` for the one it was fine-tuned for.
        prediction_options: mapping or None, default None. The task's options at inference.
        dtype: str or None, default None. Of the matrix products, as in `FineTuned.load`; not for a SavedModel.

    Raises:
        UserError: the folder holds no model with a head for the task, or the model does not take one of the options.
    """
    folder, prediction_options = path_of(model), prediction_options or {}
    is_exported = (folder / SAVED_MODEL_FILE).exists()
    # The SavedModel of a TF-Hub encoder also stores its weights as variables, so it is read as a checkpoint.
    if not is_exported or (task is not None and not (folder / TASK_FILE).exists()):
        return FineTuned.load(model, dtype, task, prediction_options)
    if dtype is not None:
        raise UserError(
            f"`dtype`: the dtype of {folder} was fixed at export; leave it out, or export the model with it"
        )
    if not (folder / TASK_FILE).exists():
        if prediction_options:
            raise UserError(
                f"`{next(iter(prediction_options))}`: the options of {folder} were fixed at export; leave it out"
            )
        return Signatures(folder)
    saved = SavedModel(folder)
    if task not in (None, saved.spec.task):
        raise UserError(f"`task`: {folder} was exported for {saved.spec.task}, not {task}; export the model for {task}")
    return saved.with_prediction_options(**prediction_options)


def load_for_evaluation(
    run: AnyPath | str,
    task: str | None = None,
    prediction_options: Mapping[str, Any] | None = None,
    dtype: str | None = None,
) -> FineTuned | SavedModel:
    """As `load`, but raises `UserError` for a SavedModel without a task, which no metric fits."""
    model = load(run, task, prediction_options, dtype)
    return SavedModel(run) if isinstance(model, Signatures) else model  # raises the error


def evaluate(
    run: AnyPath | str,
    data: Source,
    header_names: Mapping[str, str] | None = None,
    on_bad_row: str = "fail",
    task: str | None = None,
    dtype: str | None = None,
    **prediction_options: Any,
) -> dict[str, Any]:
    """Evaluates a fine-tuned model on labelled data, in the same way as its run did.

    Args:
        run: path. The folder of a finished fine-tuning run, of a model in any known format, or of an exported
            SavedModel.
        data: path of a table with the columns that the model was trained on, or a mapping of columns.
        header_names: mapping or None, default None. The table's names of columns that differ from the training table.
        on_bad_row: str, default "fail". `"fail"`, or `"skip"` to skip bad rows and count them.
        task: str or None, default None. The task to use the model for; `None` for the one it was fine-tuned for.
        dtype: str or None, default None. Of the matrix products: `"float32"`, `"bfloat16"` or `"float16"`; `None` for
            the dtype that the run was trained in. Not for a SavedModel, whose dtype is fixed at export.
        prediction_options: the task's options at inference, such as `pooling="max"` of embed.

    Returns: the task's metrics by name, `loss` (a SavedModel reports none), and the number of `examples`.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2)
        >>> model = BertTextClassifier(BertBackbone(config), num_classes=2)
        >>> spec = Spec("classification", ("text",), 8, ("no", "yes"))
        >>> FineTuned(model, BertTokenizer(vocabulary), spec).save("tuned")
        >>> evaluate("tuned", {"text": ["play", "playing"], "label": ["no", "yes"]})["majority"]
        0.5
    """
    return (
        load_for_evaluation(run, task, prediction_options, dtype).evaluation_of(data, header_names, on_bad_row).results
    )


def predict(
    run: AnyPath | str,
    raw: Mapping[str, Sequence[Any]],
    task: str | None = None,
    dtype: str | None = None,
    **prediction_options: Any,
) -> list[dict[str, Any]]:
    """Returns a fine-tuned model's answer for each row.

    Args:
        run: path. The folder of a finished fine-tuning run, of a model in any known format, or of a SavedModel.
        raw: mapping of the columns that the model was trained on, such as `{"text": ["A joy."]}`.
        task: str or None, default None. The task to use the model for; `None` for the one it was fine-tuned for.
        dtype: str or None, default None. Of the matrix products: `"float32"`, `"bfloat16"` or `"float16"`; `None` for
            the dtype that the run was trained in. Not for a SavedModel, whose dtype is fixed at export.
        prediction_options: the task's options at inference, such as `top_k=3` of fill-mask.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2)
        >>> model = BertTextClassifier(BertBackbone(config), num_classes=2)
        >>> spec = Spec("classification", ("text",), 8, ("no", "yes"))
        >>> FineTuned(model, BertTokenizer(vocabulary), spec).save("tuned")
        >>> [sorted(answer) for answer in predict("tuned", {"text": ["play"]})]
        [['label', 'score', 'scores']]
    """
    return load(run, task, prediction_options, dtype).predict(raw)
