"""The casing that a SavedModel of TensorFlow's Model Garden (TF-Hub's form) stores in a variable."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.transfer import local_copy

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
LOWERCASE = "Variable"  # the full name of the variable `do_lower_case`
VARIABLES = "variables"


def stored_lowercase(directory: AnyPath) -> bool | None:
    """Whether the SavedModel in `directory` is uncased; `None` if it does not store this.

    Raises:
        UserError: its variables cannot be read.
    """
    if not (directory / VARIABLES / "variables.index").exists():
        return None
    with local_copy(directory, _variables_files) as folder:
        prefix = folder / VARIABLES / "variables"
        try:
            reader = tf.train.load_checkpoint(str(prefix))
            if not reader.has_tensor(OBJECT_GRAPH):
                return None
            for node in TrackableObjectGraph.FromString(reader.get_tensor(OBJECT_GRAPH)).nodes:
                for attribute in node.attributes:
                    key = attribute.checkpoint_key
                    if attribute.full_name == LOWERCASE and reader.get_variable_to_dtype_map().get(key) == tf.bool:
                        return bool(reader.get_tensor(key))
        except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{prefix}: is damaged or lacks its data file ({reason}); copy it again") from None
    return None


def _variables_files(directory: AnyPath) -> list[str]:
    return [f"{VARIABLES}/{file.name}" for file in (directory / VARIABLES).iterdir()]
