"""Export: a SavedModel that takes raw strings, with tokenizer, network and answers inside; knows no single task."""

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

# Rows are padded to a multiple of it: oneDNN keeps what it prepares for each shape that it meets.
LENGTH_STEP = 8
SHORTEST = 3  # tokens of a row: [CLS], a piece, [SEP]
CONSTANTS, VARIABLES = WEIGHTS = ("constants", "variables")
METHOD_NAMES = {CLASSIFY: "tensorflow/serving/classify", REGRESS: "tensorflow/serving/regress"}
BATCHING_FILE = "batching_params.pbtxt"
# Of TensorFlow Serving, with --enable_batching and --enable_per_model_batching_parameters.
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

    It has these signatures, and computes what `tuned.predict` computes:

    - `serving_default` takes the columns that the model was trained on, strings `(rows,)` each, and gives what the
      task's `decode` gives, as `label`, strings `(rows,)`, and `scores`, float32 `(rows, classes)`; how many tokens a
      row has, `token_count`, and whether some were cut off, `truncated`. A task that can be asked by other columns has
      a signature for them too, as ner has `words`. A column of lists, `(rows, most)`, has their number beside it, as
      `num_words`.
    - `serve_examples` takes the same columns as serialized `tf.train.Example`.
    - `serve_ids` takes `token_ids`, `segment_ids` and `padding_mask`, int32 `(rows, length)`.
    - `classify`, of a task with a score for each label, or `regress`, of one with a single score, is for TensorFlow
      Serving's methods of these names.

    Rows come first in every input and output, so a server may join requests to batches. `README.md` beside it says what
    the model is and describes every input and output; `task.json` is for those who ask or measure it from Python; and
    TensorFlow Serving finds requests to warm up with and settings for its batching.

    Args:
        tuned: FineTuned. Model, tokenizer and spec.
        path: path. Must not exist yet, or be an empty folder.
        row_lengths: sequence of int, default the multiples of 8. Lengths that rows are padded to, the shortest that
            holds a batch; the model's longest row is always one.
        run: path or None, default None. The run that the model comes from, whose `run.json` tells of its training.
        warm_up: bool, default True. Whether TensorFlow Serving is to ask the model once at each length, by each of its
            signatures, before anybody else may. Its first answers are slow otherwise, but it is ready sooner.
        variants: sequence of str, default none. Names of `VARIANTS`: files of the network alone for other engines, in
            the folder `variants`, from tokens to the model's outputs.
        data: path or mapping or None, default None. Labelled data to measure the variants with.
        weights: str, default "constants". What weights are in the graph: `"constants"`, quicker by a quarter for one
            short text; or `"variables"`, for which a program that loads them needs half of the memory, which counts for
            large models.
        attention: bool, default False. Whether there is a signature `attention` too, by which people see who looks at
            whom; its weights are variables, beside the constants.

    Returns: of variants, the SavedModel first, size, speed and metrics; they are in the card, too.

    Raises:
        UserError: the folder holds something, the disk is full, a length is longer than the model's rows, weights can
            be no such thing, there is no such variant, what it takes is not installed, or the task shows no attention.

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
        # What the signatures use: the tokenizer's tables, and the weights that are no constants.
        module = tf.Module()
        module.tokenizer = tuned.tokenizer
        used = {id(tensor) for endpoint in endpoints.values() for tensor in endpoint.captured_inputs}
        held = [*(weight.value for weight in tuned.model.weights), *network.variables]
        module.weights = [variable for variable in held if id(variable.handle) in used]
        tuned.tokenizer.save(vocabulary)
        module.vocabulary = [tf.saved_model.Asset(str(file)) for file in sorted(Path(vocabulary).iterdir())]
        # Nobody asks for gradients, and a Python process would keep a model that has some until it ends.
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
    """Writes which method of TensorFlow Serving's API the signature `method` answers; TensorFlow wrote "predict"."""
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(path))
    updater.replace_method_name(signature_key=method, method_name=METHOD_NAMES[method])
    updater.save()
