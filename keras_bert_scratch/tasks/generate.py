"""Generation: continuations of texts by a left-to-right model, and the likelihood of the texts themselves."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from keras_bert_scratch.checkpoints.checkpoint import Checkpoint
from keras_bert_scratch.config import LEFT_TO_RIGHT
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.models.cast_weights import CastWeights
from keras_bert_scratch.models.causal_lm import BertCausalLM
from keras_bert_scratch.tasks.data.decoding_loop import forbidden_token_bias
from keras_bert_scratch.tasks.data.numbered_texts import LINE, numbered_texts
from keras_bert_scratch.tasks.data.sampling import sample
from keras_bert_scratch.tasks.data.texts import packed_features
from keras_bert_scratch.tasks.examples import Examples, Features, Raw
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task
from keras_bert_scratch.training.pretraining_evaluation import trained_length


@dataclasses.dataclass(frozen=True)
class GeneratePredictionOptions:
    """How texts are continued.

    Args:
        max_new_tokens: int, default 50. Maximum number of generated tokens; the model's longest row limits them, too.
        continuations: int, default 1. Number of continuations of each text.
        top_k: int, default 50. Number of most probable tokens to sample from; 1 for greedy search, 0 for all tokens.
        top_p: float, default 1.0. Sample only from the most probable of these that together hold this probability.
        temperature: float, default 1.0. Above 1, rare tokens become more probable; below 1, less probable.
        seed: int, default 0. Another seed gives other samples.
    """

    max_new_tokens: int = 50
    continuations: int = 1
    top_k: int = 50
    top_p: float = 1.0
    temperature: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("max_new_tokens", 1), ("continuations", 1), ("top_k", 0)):
            if getattr(self, name) < least:
                raise UserError(f"`{name}`: must be at least {least}, not {getattr(self, name)}")
        if not 0 < self.top_p <= 1:
            raise UserError(f"`top_p`: must be above 0 and at most 1, not {self.top_p}")
        if not 0 < self.temperature < math.inf:
            raise UserError(
                f"`temperature`: must be a number above 0, not {self.temperature}; use `top_k=1` to turn sampling off"
            )


class Generate(Task):
    """The continuation of a text, token by token; and the log-likelihood of the text's own pieces."""

    name = "generate"
    best_by = ("perplexity", "min")
    model_class = BertCausalLM
    PredictionOptions = GeneratePredictionOptions
    outputs: ClassVar = {
        "continuations": "the generated continuations of the text",
        "log_likelihood": "the sum of the natural log-probabilities of the text's pieces and its end",
        "num_pieces": "the number of scored pieces, the end included",
        "logits": "the logit of each token of the vocabulary as the next token",
    }
    tunable = False

    def command(self, init: AnyPath | str) -> str:
        return f"keras-bert pretrain RECORDS --objective causal --init {init}"

    def spec_of(self, checkpoint: Checkpoint, directory: AnyPath) -> Spec:
        spec = super().spec_of(checkpoint, directory)
        if checkpoint.config.direction != LEFT_TO_RIGHT:
            raise UserError(
                f"{directory}: has the direction {checkpoint.config.direction}; only a {LEFT_TO_RIGHT} model "
                f"generates text"
            )
        return dataclasses.replace(spec, max_length=min(spec.max_length, trained_length(directory) or spec.max_length))

    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        texts = [row["text"] for row in numbered_texts(source, spec.header_names, on_bad_row)]
        digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
        examples = Examples(str(source), {"text": texts}, {"text": texts}, digest)  # the gold answer is the text itself
        return dataclasses.replace(spec, columns=self.columns), examples

    def unlabelled(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, Any]]:
        for row in numbered_texts(source, spec.header_names, on_bad_row):
            yield {name: value for name, value in row.items() if name != LINE}

    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        pieces = tokenizer.tokenize(raw["text"])
        notes = {"tokenizer": tokenizer, "pieces": pieces, "text": raw["text"]}
        return packed_features(spec, pieces, None, tokenizer.vocabulary, notes)

    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        return _following(features.inputs["token_ids"]), tf.cast(
            _following(features.inputs["padding_mask"]), tf.float32
        )

    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        return {}

    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        """Natural `log_likelihood` of pieces and end token, each given those before it; `num_pieces`: their number."""
        labels, weights = self.targets(spec, features, {}, training=False)
        log_probs = tf.gather(tf.nn.log_softmax(outputs), labels, batch_dims=2)
        return {
            "log_likelihood": tf.reduce_sum(log_probs * weights, axis=1),
            "num_pieces": tf.cast(tf.reduce_sum(weights, axis=1), tf.int32),
        }

    def follow_up(self, spec: Spec, model: Any, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        """`continuations` `(rows, continuations)`: the generated text, with a leading space where one belongs."""
        options, tokenizer = spec.options, features.notes["tokenizer"]
        vocabulary = tokenizer.vocabulary
        never = forbidden_token_bias(vocabulary, model.backbone.config.vocab_size)

        pieces = features.notes["pieces"][:, : spec.max_length - 2]
        start = tf.fill([pieces.nrows(), 1], vocabulary.cls_id)
        beginnings = tf.concat([start, pieces], axis=1)
        room = tf.cast(tf.reduce_max(beginnings.row_lengths()), tf.int32) + options["max_new_tokens"]
        bias_of_tokens = model.next_token_head.bias
        with CastWeights(model, [(bias_of_tokens, bias_of_tokens + never)]):
            written = sample(
                model.step,
                model.empty_past(beginnings.nrows() * options["continuations"]),
                beginnings,
                tf.strings.join([features.notes["text"], str(options["seed"])], separator="/"),
                vocabulary.sep_id,
                tf.minimum(room, spec.max_length),
                *(options[name] for name in ("continuations", "top_k", "top_p", "temperature")),
            )
        written = written[:, :, : options["max_new_tokens"]].values  # (rows * continuations, None)
        last = tf.gather(pieces[:, -1:], tf.repeat(tf.range(pieces.nrows()), options["continuations"]))
        text, whole = (tokenizer.detokenize(ids) for ids in (last, tf.concat([last, written], axis=1)))
        new = tf.strings.substr(whole, tf.strings.length(text), tf.strings.length(whole))
        return {"continuations": tf.reshape(new, [-1, options["continuations"]])}

    def predict_from_ids(self, spec: Spec, tokenizer: Any, model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """`logits` `(rows, vocab_size)` of the token after the last one; and what `decode` returns for the row."""
        outputs = self.call_model(model, inputs)
        last = tf.maximum(tf.reduce_sum(inputs["padding_mask"], axis=1) - 1, 0)
        features = Features(dict(inputs), None, None)
        return {"logits": tf.gather(outputs, last, batch_dims=1), **self.decode(spec, outputs, features)}

    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        pieces = int(decoded["num_pieces"].sum())
        total = float(np.sum(decoded["log_likelihood"], dtype=np.float64))
        return {"perplexity": math.exp(-total / pieces), "pieces": pieces}

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: row[name] for name in ("continuations", "log_likelihood", "num_pieces")}


def _following(values: tf.Tensor) -> tf.Tensor:
    """For each position the value at the next one; 0 at the last."""
    return tf.pad(values[:, 1:], [[0, 0], [0, 1]])


TASK = Generate()
