"""Export: a SavedModel that takes raw strings and contains tokenizer, network and decoding; independent of the task."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints.card import CARD_FILE
from keras_bert_scratch.checkpoints.checkpoint import finished_run
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.serving import model_card
from keras_bert_scratch.serving.endpoints import attention_of, endpoints_of
from keras_bert_scratch.serving.frozen_network import FrozenNetwork
from keras_bert_scratch.serving.signatures import ATTENTION, CLASSIFY, REGRESS
from keras_bert_scratch.serving.variants import Measured, check_variants, write_variants
from keras_bert_scratch.serving.warm_up import write_warm_up
from keras_bert_scratch.tasks.data.texts import Source
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.spec import Spec

# Rows are padded to a multiple of this: oneDNN prepares and caches its work for every shape that it meets.
LENGTH_STEP = 8
SHORTEST = 3  # tokens of a row: [CLS], one token, [SEP]
CONSTANTS, VARIABLES = WEIGHTS = ("constants", "variables")
METHOD_NAMES = {CLASSIFY: "tensorflow/serving/classify", REGRESS: "tensorflow/serving/regress"}
BATCHING_FILE = "batching_params.pbtxt"
# TensorFlow Serving reads it with --enable_batching and --enable_per_model_batching_parameters.
BATCHING = """max_batch_size { value: 32 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 64 }
pad_variable_length_inputs: true
"""


def export_saved_model(
    tuned: FineTuned,
    path: Path | str,
    row_lengths: Sequence[int] = (),
    run: AnyPath | str | None = None,
    warm_up: bool = True,
    variants: Sequence[str] = (),
    data: Source | None = None,
    weights: str = CONSTANTS,
    attention: bool = False,
) -> list[Measured]:
    """Writes a fine-tuned model as a SavedModel into the new folder `path`.

    It computes what `tuned.predict` computes, and has these signatures:

    - `serving_default` takes the columns that the model was trained on, each as strings `(rows,)`. It returns the
      outputs of the task's `decode`, such as `label`, strings `(rows,)`, and `scores`, float32 `(rows, classes)`; the
      tokens per row, `token_count`; and whether a row was truncated, `truncated`. A task that also accepts other
      columns has a signature for them too, such as `words` of ner. A list column, `(rows, most)`, comes with its
      lengths, such as `num_words`.
    - `serve_examples` takes the same columns as serialized `tf.train.Example`.
    - `serve_ids` takes `token_ids`, `segment_ids` and `padding_mask`, int32 `(rows, length)`.
    - `classify`, for a task with a score per label, or `regress`, for one with a single score, is for the method of the
      same name in TensorFlow Serving's API.

    The first axis of every input and output is the row, so a server can batch requests. The folder also holds
    `README.md`, a model card that describes every input and output; `task.json`, for prediction and evaluation from
    Python; and warm-up requests and batching settings for TensorFlow Serving.

    Args:
        tuned: FineTuned. Model, tokenizer and spec.
        path: path. Must not exist yet, or be an empty folder.
        row_lengths: sequence of int, default the multiples of 8. Lengths that rows are padded to: a batch gets the
            shortest one that fits. The model's maximum length is always included.
        run: path or None, default None. The training run of the model; the model card reports from its `run.json`.
        warm_up: bool, default True. Whether TensorFlow Serving runs one request of each length on each signature before
            it accepts requests. Without it the server is ready sooner, but its first answers are slow.
        variants: sequence of str, default none. Names of `VARIANTS`: files of the network alone for other engines, in
            the folder `variants`, from tokens to the model's outputs.
        data: path or mapping or None, default None. Labelled data to measure the variants on.
        weights: str, default "constants". How the graph stores the weights: `"constants"`, faster by a quarter for one
            short text; or `"variables"`, which halve the memory of a program that loads the model. This matters for
            large models.
        attention: bool, default False. Whether to add the signature `attention`, which returns the attention weights
            for inspection; it stores the model's weights as variables, in addition to the constants.

    Returns: size, speed and metrics of the SavedModel and then of each variant, as in the card; empty without variants.

    Raises:
        UserError: the folder is not empty, the disk is full, a length is out of the model's range, `weights` is
            unknown, a variant is unknown, impossible or not installed, or the task has no signature `attention`.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=64)
        >>> model = BertTextClassifier(BertBackbone(config), num_classes=2)
        >>> spec = Spec("classification", ("text",), 128, ("no", "yes"))
        >>> _ = export_saved_model(FineTuned(model, BertTokenizer(vocabulary), spec), "exported", row_lengths=(16, 64))
        >>> sorted(tf.saved_model.load("exported").signatures["serving_default"](text=tf.constant(["play"])))
        ['label', 'scores', 'token_count', 'truncated']
    """
    check_variants(tuned, variants)
    if weights not in WEIGHTS:
        raise UserError(f"`weights`: {weights!r} is unknown; choose from {', '.join(WEIGHTS)}")
    spec = _with_lengths(tuned, row_lengths)
    examples = None if data is None else tuned.task.read(data, spec)[1]
    network = FrozenNetwork(tuned.model, variable_embedding=True, as_variables=weights == VARIABLES)
    tuned = dataclasses.replace(tuned, spec=spec, network=network)
    endpoints = {**endpoints_of(tuned), **({ATTENTION: attention_of(tuned)} if attention else {})}
    with atomic.write_folder(path) as temporary, tempfile.TemporaryDirectory() as vocabulary:
        # Track what the signatures use: the tokenizer's lookup tables, and the weights that are not constants.
        module = tf.Module()
        module.tokenizer = tuned.tokenizer
        used = {id(tensor) for endpoint in endpoints.values() for tensor in endpoint.captured_inputs}
        held = [*(weight.value for weight in tuned.model.weights), *network.variables]
        module.weights = [variable for variable in held if id(variable.handle) in used]
        tuned.tokenizer.save(vocabulary)
        module.vocabulary = [tf.saved_model.Asset(str(file)) for file in sorted(Path(vocabulary).iterdir())]
        # Inference needs no gradients, and with them a Python process would keep a loaded model until it ends.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(temporary), signatures=endpoints, options=options)
        if tuned.task.method:
            _name_method(temporary, tuned.task.method)
        tuned.spec.save(temporary)
        (temporary / BATCHING_FILE).write_text(BATCHING)
        if warm_up:
            write_warm_up(tuned, temporary)
        measured = write_variants(tuned, temporary, variants, examples) if variants else []
        card = model_card.model_card(tuned, endpoints, {} if run is None else finished_run(run), measured)
        (temporary / CARD_FILE).write_text(card)
    return measured


def _with_lengths(tuned: FineTuned, row_lengths: Sequence[int]) -> Spec:
    longest = tuned.spec.max_length
    for length in row_lengths:
        if not SHORTEST <= length <= longest:
            raise UserError(f"`row_lengths`: has {length}; the model's rows have from {SHORTEST} to {longest} tokens")
    lengths = {*(row_lengths or range(LENGTH_STEP, longest, LENGTH_STEP)), longest}
    return dataclasses.replace(tuned.spec, row_lengths=tuple(sorted(lengths)))


def _name_method(path: Path, method: str) -> None:
    """Sets the TensorFlow Serving method that the signature `method` answers; TensorFlow wrote "predict"."""
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(path))
    updater.replace_method_name(signature_key=method, method_name=METHOD_NAMES[method])
    updater.save()
