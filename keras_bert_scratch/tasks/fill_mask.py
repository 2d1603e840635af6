"""Filling masks: the tokens that fit each `[MASK]`, and the likelihood of whole texts (Salazar et al. 2020)."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from keras_bert_scratch.checkpoints.checkpoint import Checkpoint
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.models.masked_lm import BertMaskedLM
from keras_bert_scratch.tasks.data.bad_rows import rows_without_fault
from keras_bert_scratch.tasks.data.joint_filling import joint_fillings
from keras_bert_scratch.tasks.data.lines import BadRow
from keras_bert_scratch.tasks.data.masked_pieces import in_parts, masked_windows
from keras_bert_scratch.tasks.data.masked_texts import (
    MaskedTexts,
    fillers,
    masked_texts,
    no_mask,
    target_ids,
    with_targets,
)
from keras_bert_scratch.tasks.data.tables import Column, TableReader, names_in_file
from keras_bert_scratch.tasks.examples import Examples, Features, Raw
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task
from keras_bert_scratch.text.packing import packed_lengths
from keras_bert_scratch.text.vocabulary import MASK, UNK, Vocabulary
from keras_bert_scratch.training.pretraining_evaluation import trained_length

TEXT = Column("text", ("sentence", "sentence1"))
BEAM_WIDTH = 10  # or `top_k` if that is more
ROWS_AT_ONCE = 64  # per call of the model


@dataclasses.dataclass(frozen=True)
class FillMaskPredictionOptions:
    """How masks are filled.

    Args:
        top_k: int, default 5. Number of tokens for each mask, and number of fillings of the whole text.
        targets: tuple of str, default `()`. Words whose probabilities are returned as well.
    """

    top_k: int = 5
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise UserError(f"`top_k`: must be at least 1, not {self.top_k}")
        if isinstance(self.targets, str):
            raise UserError(f"`targets`: is a single word, {self.targets!r}; give a list of words")
        if len(set(self.targets)) < len(self.targets):
            raise UserError(f"`targets`: name a word twice: {', '.join(self.targets)}; name it once")


class FillMask(Task):
    """The most probable tokens for each `[MASK]`; for a text without one, its pseudo-log-likelihood.

    Each mask is filled independently. All masks of a text are also filled jointly, from left to right, each given the
    tokens filled in before it. A text without masks is scored piece by piece; each piece is masked together with the
    later pieces of its word (Kauf and Ivanova 2023, "within-word l2r"), amid as much of a long text as fits around it.
    """

    name = "fill-mask"
    best_by = ("pseudo_perplexity", "min")
    model_class = BertMaskedLM
    PredictionOptions = FillMaskPredictionOptions
    outputs: ClassVar = {
        "tokens": "the most probable tokens for each [MASK], most probable first",
        "scores": "the probabilities of the most probable tokens",
        "num_masks": "the number of [MASK]",
        "fillings": "the text with all its [MASK] filled jointly, most probable first",
        "filling_tokens": "the tokens of each filling",
        "filling_log_scores": "the natural logarithm of each filling's probability",
        "log_likelihood": "for a text without [MASK], the sum of the natural log-probabilities of its pieces",
        "num_pieces": "the number of scored pieces",
        "num_words": "the number of scored words",
        "num_unknown": "the number of unknown pieces among the scored ones",
        "target_log_scores": "for each gap, the natural log-probability of each target",
        "num_gaps": "the number of gaps",
        "logits": "for each [MASK], the logit of each token of the vocabulary",
        "mask_positions": "the position of each [MASK]",
    }
    tunable = False
    too_costly = "split the text, or write [MASK] where a word is to be filled in: without it, each piece is scored"

    def command(self, init: AnyPath | str) -> str:
        return f"keras-bert pretrain RECORDS --init {init}"

    def spec_of(self, checkpoint: Checkpoint, directory: AnyPath) -> Spec:
        if checkpoint.architecture == "BertPretrainer":  # `from_pretrained` loads its masked-LM head
            checkpoint = dataclasses.replace(checkpoint, architecture=self.model_class.__name__)
        spec = super().spec_of(checkpoint, directory)
        # Positions beyond the longest training row are untrained.
        return dataclasses.replace(spec, max_length=min(spec.max_length, trained_length(directory) or spec.max_length))

    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        reader = _reader(source, spec, on_bad_row)
        texts = [row.values["text"] for row in rows_without_fault(reader, _masked, on_bad_row)]
        digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
        # The gold answer is the text itself.
        examples = Examples(reader.path, {"text": texts}, {"text": texts}, digest, reader.skipped)
        return dataclasses.replace(spec, columns=self.columns), examples

    def unlabelled(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, Any]]:
        return (row.values for row in rows_without_fault(_reader(source, spec, on_bad_row), self.fault, on_bad_row))

    def sample(self, columns: Sequence[str], words: Sequence[str]) -> dict[str, Any]:
        return super().sample(columns, [MASK, *words[1:]])

    def fault(self, row: Mapping[str, Any]) -> BadRow | None:
        return no_mask(row["text"])

    def is_windowed(self, spec: Spec) -> bool:
        return True

    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        vocabulary = tokenizer.vocabulary
        texts = masked_texts(raw["text"], tokenizer)
        queries, counts = texts.queries(vocabulary)
        if chosen is not None:
            queries = queries.gathered(tf.cumsum(counts, exclusive=True) + chosen)
        windows = masked_windows(texts.pieces, queries, spec, vocabulary)
        notes = {"texts": texts, "queries": queries, "windows": windows, "vocabulary": vocabulary}
        if targets := target_ids(spec.options["targets"], tokenizer):
            sequences, asked, notes["num_gaps"] = with_targets(texts, targets, vocabulary)
            notes["targets"] = masked_windows(sequences, asked, spec, vocabulary)
            notes["target_of"] = asked.sequence
        token_counts = packed_lengths(texts.pieces, None)
        return Features(windows.inputs, token_counts, tf.zeros_like(token_counts, tf.bool), counts, notes)

    def num_sequences(self, spec: Spec, features: Features) -> tf.Tensor:
        """One for each query, those of the beam search after the first mask, and those of the targets."""
        notes = features.notes
        width = _beam_width(spec, notes["vocabulary"])
        asked = features.windows + width * tf.maximum(notes["texts"].num_masks - 1, 0)
        if "targets" not in notes:
            return asked
        num_gaps = notes["num_gaps"]
        return asked + num_gaps * (tf.size(notes["target_of"]) // tf.maximum(tf.reduce_sum(num_gaps), 1))

    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        windows, vocabulary = features.notes["windows"], features.notes["vocabulary"]
        return windows.hidden[:, None], tf.cast(windows.hidden != vocabulary.pad_id, tf.float32)[:, None]

    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        return {}

    def call_model(self, model: Any, inputs: Mapping[str, Any]) -> tf.Tensor:
        """Logits `(rows, 1, vocab_size)`, computed in parts, as one text may have hundreds of rows."""
        logits = in_parts(functools.partial(super().call_model, model), inputs, ROWS_AT_ONCE)
        return tf.ensure_shape(logits, [None, 1, model.output.shape[-1]])

    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        """`tokens` and `scores` of each mask; for a text without masks, the natural `log_likelihood` of its pieces."""
        notes, vocabulary = features.notes, features.notes["vocabulary"]
        texts, hidden = notes["texts"], notes["windows"].hidden
        log_probs = _log_probs(outputs, vocabulary)
        k = _num_answers(spec, vocabulary)
        asks_mask = hidden == vocabulary.mask_id
        of_masks = tf.where(_allowed(texts, vocabulary), log_probs[asks_mask], -float("inf"))
        scores, tokens = tf.math.top_k(of_masks, k)

        counts = ~asks_mask & (hidden != vocabulary.pad_id)
        found = {
            "log_likelihood": tf.where(counts, tf.gather(log_probs, hidden, batch_dims=1), 0.0),
            "num_pieces": tf.cast(counts, tf.int32),
            "num_words": tf.cast(counts & ~tf.gather(tf.constant(vocabulary.continues_word), hidden), tf.int32),
            "num_unknown": tf.cast(counts & (hidden == vocabulary.id(UNK)), tf.int32),
        }
        return {
            "tokens": _by_text(tf.gather(tf.constant(vocabulary.tokens), tokens), texts.num_masks),
            "scores": _by_text(tf.exp(scores), texts.num_masks),
            "num_masks": texts.num_masks,
            **{
                name: tf.math.unsorted_segment_sum(values, notes["queries"].sequence, tf.size(texts.num_masks))
                for name, values in found.items()
            },
        }

    def follow_up(self, spec: Spec, model: Any, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        """`fillings` of the whole text, their tokens and log-scores; log-scores of each target in each gap."""
        notes, vocabulary = features.notes, features.notes["vocabulary"]
        texts, windows = notes["texts"], notes["windows"]

        def log_probs(inputs: Mapping[str, Any]) -> tf.Tensor:
            return _log_probs(self.call_model(model, inputs), vocabulary)

        k = _num_answers(spec, vocabulary)
        asks_mask = windows.hidden == vocabulary.mask_id
        tokens, scores = joint_fillings(
            log_probs,
            {name: values[asks_mask] for name, values in features.inputs.items()},
            texts.mask_number(windows.piece, vocabulary)[asks_mask],
            _log_probs(outputs, vocabulary)[asks_mask],
            texts.num_masks,
            _allowed(texts, vocabulary),
            _beam_width(spec, vocabulary),
        )
        tokens, scores = tokens[:, :k], scores[:, :k]
        there = tf.sequence_mask(texts.num_masks, tf.shape(tokens)[2])[:, :, None]
        spelled = tf.gather(tf.constant(vocabulary.tokens), tf.transpose(tokens, [0, 2, 1]))
        answers = {
            "fillings": texts.filled(tokens, vocabulary),
            "filling_tokens": tf.where(there, spelled, ""),
            "filling_log_scores": scores,
        }
        if "targets" not in notes:
            return answers

        def of_hidden(some: Mapping[str, Any]) -> tf.Tensor:
            return tf.gather(log_probs(some), some["hidden"], batch_dims=1)

        asked, num_gaps, num_targets = notes["targets"], notes["num_gaps"], len(spec.options["targets"])
        # With many targets, the log-probabilities of all tokens would not fit into memory at once.
        of_pieces = in_parts(of_hidden, {**asked.inputs, "hidden": asked.hidden}, ROWS_AT_ONCE)
        of_targets = tf.math.unsorted_segment_sum(of_pieces, notes["target_of"], tf.reduce_sum(num_gaps) * num_targets)
        by_gap = _by_text(tf.reshape(of_targets, [-1, num_targets]), num_gaps)
        return {**answers, "target_log_scores": by_gap, "num_gaps": num_gaps}

    def predict_from_ids(self, spec: Spec, tokenizer: Any, model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """`logits` `(rows, masks, vocab_size)` and `mask_positions` of each `[MASK]`; `num_masks`, their number."""
        is_mask = (inputs["token_ids"] == tokenizer.vocabulary.mask_id) & tf.cast(inputs["padding_mask"], tf.bool)
        num_masks = tf.reduce_sum(tf.cast(is_mask, tf.int32), axis=1)
        positions = _by_text(tf.cast(tf.where(is_mask)[:, 1], tf.int32), num_masks)
        logits = model({**inputs, "mask_positions": positions}, training=False)
        return {"logits": logits, "mask_positions": positions, "num_masks": num_masks}

    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        total = float(np.sum(decoded["log_likelihood"], dtype=np.float64))
        pieces, words, unknown = (int(decoded[f"num_{name}"].sum()) for name in ("pieces", "words", "unknown"))
        return {
            "pseudo_perplexity": math.exp(-total / pieces) if pieces else None,
            "pseudo_perplexity_per_word": math.exp(-total / words) if words else None,
            "pieces": pieces,
            "words": words,
            "unknown_pieces": unknown,
        }

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        of_masks = zip(row["tokens"][: row["num_masks"]], row["scores"], strict=False)
        tokens = [list(filling) for filling in zip(*row["filling_tokens"][: row["num_masks"]], strict=True)]
        scores = map(math.exp, row["filling_log_scores"])
        fillings = [
            {"text": text, "tokens": tokens, "score": score}
            for text, tokens, score in zip(row["fillings"], tokens, scores, strict=True)
        ]
        answer = {
            "filled": fillings[0]["text"],
            "score": fillings[0]["score"],
            "masks": [
                [{"token": token, "score": score} for token, score in zip(*mask, strict=True)] for mask in of_masks
            ],
            "fillings": fillings,
        }
        if spec.options["targets"]:
            answer["targets"] = [
                dict(zip(spec.options["targets"], map(math.exp, gap), strict=True))
                for gap in row["target_log_scores"][: row["num_gaps"]]
            ]
        return answer

    def candidates(self, answer: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        if gaps := answer.get("targets"):
            return {f"gap {number}" if len(gaps) > 1 else "": gap for number, gap in enumerate(gaps, 1)}
        return {"": {" ".join(found["tokens"]): found["score"] for found in answer["fillings"]}}


def _log_probs(outputs: tf.Tensor, vocabulary: Vocabulary) -> tf.Tensor:
    """Log-probabilities, float32 `(rows, len(vocabulary))`, without the tokens that pad the model's embedding."""
    return tf.nn.log_softmax(outputs[:, 0])[:, : len(vocabulary)]


def _num_answers(spec: Spec, vocabulary: Vocabulary) -> int:
    return min(spec.options["top_k"], int(fillers(vocabulary)[0].sum()))


def _beam_width(spec: Spec, vocabulary: Vocabulary) -> int:
    return min(max(spec.options["top_k"], BEAM_WIDTH), int(fillers(vocabulary)[0].sum()))


def _allowed(texts: MaskedTexts, vocabulary: Vocabulary) -> tf.Tensor:
    """Which tokens may fill each mask, bool `(masks, vocab_size)`."""
    return tf.where(texts.attached.flat_values[:, None], *map(tf.constant, reversed(fillers(vocabulary))))


def _by_text(values: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """Values of masks or gaps, `(n, ...)`, grouped by text as `(texts, longest, ...)`, padded."""
    return tf.RaggedTensor.from_row_lengths(values, tf.cast(counts, tf.int64), validate=False).to_tensor()


def _reader(source: Any, spec: Spec, on_bad_row: str) -> TableReader:
    return TableReader(
        source, (TEXT,), header_names=names_in_file((TEXT,), spec.header_names, source), on_bad_row=on_bad_row
    )


def _masked(row: Mapping[str, Any]) -> BadRow | None:
    """What is wrong with a text whose likelihood is to be computed, if anything."""
    if MASK not in row["text"]:
        return None
    return BadRow(
        "has [MASK]",
        "has a [MASK], but evaluation needs complete texts",
        "replace [MASK] by the text that it stands for",
    )


TASK = FillMask()
