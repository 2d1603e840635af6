"""Embedding: texts as vectors, for similarity, search, or as features for other programs (Devlin et al. 2019, 5.3)."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from keras_bert_scratch.checkpoints.checkpoint import Checkpoint, Embedding
from keras_bert_scratch.checkpoints.sentence_transformers import read_embedding
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.layers.text_pooling import POOLINGS
from keras_bert_scratch.models.text_embedder import BertTextEmbedder
from keras_bert_scratch.tasks.data.numbered_texts import LINE, numbered_texts
from keras_bert_scratch.tasks.data.texts import PAIR, TEXT, read_texts, text_features
from keras_bert_scratch.tasks.error_analysis import Breakdown, ByGroup, Scatter
from keras_bert_scratch.tasks.examples import Examples, Features, Raw
from keras_bert_scratch.tasks.regression import SCORE, correlations
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task

PAIRS = (TEXT.name, PAIR.name)
ALL_LAYERS = "all"
MOST_NUMBERS = 1 << 22  # held in memory at once, in the vectors of all tokens

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class EmbedPredictionOptions:
    """How texts are embedded.

    Args:
        pooling: str, default "mean". How the vectors of a text's tokens are pooled: `"mean"`, `"max"`, `"cls"` for
            the vector of `[CLS]`; or `"none"` for the vectors of all tokens.
        normalize: bool, default True. Whether pooled vectors are scaled to length 1.
        layers: str, default "-1". Layer numbers, 0 for the embeddings, -1 for the last block, as in `"-1,-2"`; or
            `"all"`.
    """

    pooling: str = "mean"
    normalize: bool = True
    layers: str = "-1"

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise UserError(f"`pooling`: {self.pooling!r} is unknown; choose one of {', '.join(POOLINGS)}")
        try:
            numbers = self.layer_numbers or ()
        except ValueError:
            raise UserError(
                f"`layers`: {self.layers!r} is not a list of layers; write numbers such as -1,-2, or {ALL_LAYERS}"
            ) from None
        if len(set(numbers)) < len(numbers):
            raise UserError(f"`layers`: {self.layers!r} names a layer twice; name it once")

    @property
    def layer_numbers(self) -> tuple[int, ...] | None:
        """The layer numbers; `None` for all layers."""
        return None if self.layers == ALL_LAYERS else tuple(map(int, self.layers.split(",")))


class Embed(Task):
    """A vector for each text, from a model of any class; for pairs, the similarity of the two texts."""

    name = "embed"
    best_by = ("spearman", "max")
    model_class = BertTextEmbedder
    PredictionOptions = EmbedPredictionOptions
    outputs: ClassVar = {
        "embedding": "the vector of the text",
        "tokens": "the tokens of the text",
        "token_embeddings": "the vector of each token",
        "num_tokens": "the number of tokens",
    }
    tunable = False
    carried = (LINE,)

    def command(self, init: AnyPath | str) -> str:
        return f"keras-bert finetune --task regression --init {init}"

    def spec_of(self, checkpoint: Checkpoint, directory: AnyPath) -> Spec:
        told = checkpoint.embedding or read_embedding(directory, checkpoint.lowercase)[0]
        found = told or Embedding()
        positions = checkpoint.config.max_position_embeddings
        found = dataclasses.replace(found, max_length=min(found.max_length or positions, positions))
        log.warning("%s: embeds with %s (%s)", directory, found.described, "from its files" if told else "default")
        numbers = found.layer_numbers
        layers = ALL_LAYERS if numbers is None else ",".join(map(str, numbers))
        options = dataclasses.asdict(EmbedPredictionOptions(found.pooling, found.normalize, layers))
        return Spec(self.name, self.columns, found.max_length, options=options)

    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        _, table = read_texts(source, dataclasses.replace(spec, columns=PAIRS), SCORE, on_bad_row)
        digest, scores = table.sha256, table.columns.pop(SCORE.name)
        gold = {SCORE.name: np.array(scores, np.float32)}
        return spec, Examples(table.path, table.columns, gold, digest, table.skipped)

    def unlabelled(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, Any]]:
        return numbered_texts(source, spec.header_names, on_bad_row)

    def check_columns(self, spec: Spec, raw: Raw) -> None:
        if set(raw) not in ({TEXT.name}, set(PAIRS)):
            raise UserError(f"columns: embed reads 'text', or 'text' and 'text_pair', not {', '.join(raw)}")
        if PAIR.name in raw and spec.options["pooling"] == "none":
            raise UserError("`pooling`: none computes no single vector per text to compare; choose mean, cls or max")

    def rows_at_once(self, spec: Spec, model: Any) -> int | None:
        if spec.options["pooling"] != "none":
            return None
        return max(1, MOST_NUMBERS // (spec.max_length * int(np.prod(model.output_shape[2:]))))

    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        texts, windows = raw[TEXT.name], None
        if PAIR.name in raw:  # each row has two windows
            windows = tf.fill(tf.shape(texts), 2)
            texts = tf.reshape(tf.stack([texts, raw[PAIR.name]], axis=1), [-1])
        features = text_features(spec, tokenizer, {TEXT.name: texts})
        if windows is not None:
            token_counts = tf.reduce_sum(tf.reshape(features.token_counts, [-1, 2]), axis=1)
            truncated = tf.reduce_any(tf.reshape(features.truncated, [-1, 2]), axis=1)
            return Features(features.inputs, token_counts, truncated, windows)
        if spec.options["pooling"] != "none":
            return features
        tokens = tf.gather(tokenizer.vocabulary.tokens, features.inputs["token_ids"])
        return dataclasses.replace(features, notes={"tokens": tokens})

    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        raise NotImplementedError("its model has no objectives")

    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        options = EmbedPredictionOptions(**spec.options)
        return {"pooling": options.pooling, "normalize": options.normalize, "layer_numbers": options.layer_numbers}

    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        """`embedding`; without pooling `token_embeddings`, `tokens`, `num_tokens`; for pairs, `similarity` (cosine)."""
        if spec.options["pooling"] == "none":
            num_tokens = tf.reduce_sum(features.inputs["padding_mask"], axis=1)
            return {"tokens": features.notes["tokens"], "token_embeddings": outputs, "num_tokens": num_tokens}
        if features.windows is None:
            return {"embedding": outputs}
        unit = tf.math.l2_normalize(outputs, axis=-1)
        return {"similarity": tf.reduce_sum(unit[0::2] * unit[1::2], axis=-1)}

    def predict_from_ids(self, spec: Spec, tokenizer: Any, model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        name = "token_embeddings" if spec.options["pooling"] == "none" else "embedding"
        return {name: self.call_model(model, inputs)}

    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        similarity = np.asarray(decoded["similarity"])
        if similarity.ndim == 1:
            return correlations(gold[SCORE.name], similarity)
        numbers = EmbedPredictionOptions(**spec.options).layer_numbers or range(similarity.shape[1])
        columns = zip(map(str, numbers), similarity.T, strict=True)
        return {"by_layer": {number: correlations(gold[SCORE.name], column) for number, column in columns}}

    def breakdown(self, spec: Spec, lines: Sequence[Mapping[str, Any]]) -> Breakdown:
        """Cosines against scores; for several layers, the correlations of each."""
        gold, given = [line["gold"] for line in lines], np.array([line["similarity"] for line in lines])
        if given.ndim == 1:
            return Scatter(gold, given.tolist(), answer="cosine", same_scale=False)
        by_layer = self.score(spec, {"similarity": given}, {SCORE.name: gold})["by_layer"]
        return ByGroup("layer", {number: {"rows": len(lines), **by_layer[number]} for number in by_layer}, 1.0)

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        if "tokens" not in row:
            return {name: _round_float32(row[name]) for name in ("embedding", "similarity") if name in row}
        number = row["num_tokens"]
        return {"tokens": row["tokens"][:number], "token_embeddings": _round_float32(row["token_embeddings"][:number])}


def _round_float32(value: Any) -> Any:
    """Numbers rounded to the 9 significant digits that float32 needs."""
    return [_round_float32(item) for item in value] if isinstance(value, list) else float(f"{value:.9g}")


TASK = Embed()
