"""Named entities: a tag for every word, predicted at its first piece (Devlin et al. 2019, section 5.3)."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import tensorflow as tf

from keras_bert_scratch.checkpoints.checkpoint import Checkpoint
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.models.token_classifier import BertTokenClassifier
from keras_bert_scratch.tasks.data.document_context import AFTER, BEFORE, fill_with_context
from keras_bert_scratch.tasks.data.entity_outputs import entity_outputs
from keras_bert_scratch.tasks.data.tag_chains import tags_of_chains
from keras_bert_scratch.tasks.data.tagged_sentences import (
    CLASSES,
    TAGS,
    TEXT,
    WORDS,
    read_tagged,
    unlabelled_sentences,
)
from keras_bert_scratch.tasks.data.texts import row_length
from keras_bert_scratch.tasks.data.windows import overlapping_windows, slices
from keras_bert_scratch.tasks.entities import OUTSIDE, Entity, entities_of, entity_scores, is_tag, strict_entities_of
from keras_bert_scratch.tasks.error_analysis import Breakdown, ByLabel, WrongAnswer
from keras_bert_scratch.tasks.examples import Examples, Features, Raw
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.tag_schemes import iob2_labels, label_types
from keras_bert_scratch.tasks.task import Task
from keras_bert_scratch.text.packing import pack_segments, packed_lengths
from keras_bert_scratch.text.tagged_words import given_words, split_text

NO_LABEL = -1


@dataclasses.dataclass(frozen=True)
class NerOptions:
    """Options of named entities.

    Args:
        overlap: int, default 64. Pieces that adjacent windows of a long sentence share, at most half a window.
        crf: bool, default False. Whether a conditional random field scores the tags of a sentence as one sequence
            (Lample et al. 2016).
        document_context: bool, default False. Whether a sentence's row is filled up with the sentences around it.
    """

    overlap: int = 64
    crf: bool = False
    document_context: bool = False

    def __post_init__(self) -> None:
        if self.overlap < 0:
            raise UserError(f"`overlap`: must be at least 0, not {self.overlap}")


class Ner(Task):
    """Named entities: the tag of each word is predicted at its first piece, with a softmax or a CRF.

    A sentence that is longer than the model's row is read in overlapping windows. Each word is learnt and predicted in
    the window that shows most of its context, so that none is lost and none counts twice. A word without pieces (only
    control characters) is outside all entities.

    With a CRF, the words that are learnt in one window form one chain. Prediction uses one chain over all words of the
    sentence, with the logits gathered from its windows.
    """

    name = "ner"
    best_by = ("f1", "max")
    model_class = BertTokenClassifier
    Options = NerOptions
    list_columns = (WORDS,)
    outputs: ClassVar = {
        "words": "the words of the text",
        "tags": "the tag of each word, in IOB2",
        "num_words": "the number of words",
        "entities": "the entities, as spelled in the text",
        "types": "the type of each entity",
        "starts": "the index of the first character of each entity in the text, from 0",
        "ends": "the index after the last character of each entity",
        "start_bytes": "the start of each entity in bytes of UTF-8",
        "end_bytes": "the end of each entity in bytes of UTF-8",
        "scores": "the mean probability of each entity's tags",
        "num_entities": "the number of entities",
        "logits": "the logit of each tag for each token, in the order of the labels",
        "transitions": "for a CRF, the score of the transition from each tag (row) to each tag (column)",
    }

    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        return read_tagged(source, spec, on_bad_row)

    def spec_of(self, checkpoint: Checkpoint, directory: AnyPath) -> Spec:
        labels = checkpoint.label_names
        if OUTSIDE not in labels or not all(map(is_tag, labels)):
            told = ", ".join(labels) or "none"
            raise UserError(f"{directory}: its labels are {told}; ner needs tags such as O, B-PER and I-PER")
        return dataclasses.replace(super().spec_of(checkpoint, directory), labels=labels)

    def unlabelled(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, Any]]:
        return unlabelled_sentences(source, spec, on_bad_row)

    def forms(self, spec: Spec) -> tuple[tuple[str, ...], ...]:
        optional = self.optional_columns(spec)
        return ((*spec.columns, *optional), (WORDS, *optional))

    def optional_columns(self, spec: Spec) -> tuple[str, ...]:
        return (BEFORE, AFTER) if spec.options.get("document_context") else ()

    def check_columns(self, spec: Spec, raw: Raw) -> None:
        around = set(self.optional_columns(spec))
        if set(raw) - around not in ({TEXT}, {WORDS}) or set(raw) & around not in (set(), around):
            context = f", optionally with '{BEFORE}' and '{AFTER}'" if around else ""
            raise UserError(
                f"columns: ner reads 'text', or 'words' that are already split{context}, not {', '.join(raw)}"
            )

    def is_windowed(self, spec: Spec) -> bool:
        return True

    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        found = given_words(raw[WORDS]) if WORDS in raw else split_text(raw[TEXT])
        pieces = tokenizer.tokenize(found.words.flat_values)  # (words of all texts, None)
        text_splits = tf.gather(pieces.row_splits, found.words.row_splits)
        texts = tf.RaggedTensor.from_row_splits(pieces.flat_values, text_splits, validate=False)

        room = spec.max_length - 2
        windows = overlapping_windows(texts.row_lengths(), room, min(spec.options["overlap"], room // 2))
        which, start, limit = (windows.sequence, windows.start, windows.limit)
        if chosen is not None:
            which, start, limit = windows.chosen(chosen)
        if BEFORE in raw:
            around = (tokenizer.tokenize(raw[BEFORE]), tokenizer.tokenize(raw[AFTER]))
            shown, pieces_before = fill_with_context(texts, *around, (which, start, limit), room)
        else:
            shown, pieces_before = slices(texts, which, start, limit), tf.zeros_like(start)
        length = row_length(packed_lengths(shown, None), spec)

        # For each word: the window in which it is read, if any, and the position of its first piece there.
        text = tf.cast(found.words.value_rowids(), tf.int32)
        first_piece = tf.cast(pieces.row_starts() - tf.gather(text_splits, text), tf.int32)
        number = windows.best(text, first_piece)
        has_pieces = pieces.row_lengths() > 0
        if chosen is None:
            window, read = tf.gather(windows.first, text) + number, has_pieces
        else:
            window, read = text, has_pieces & (number == tf.gather(chosen, text))
        at = tf.stack([window, 1 + first_piece - tf.gather(start - pieces_before, window)], axis=1)
        notes = {"found": found, "at": at, "read": read}
        inputs, token_counts = pack_segments(shown, None, length, tokenizer.vocabulary), packed_lengths(texts, None)
        return Features(inputs, token_counts, tf.zeros_like(token_counts, tf.bool), windows.counts, notes)

    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        read = features.notes["read"]
        labels = tf.fill(tf.shape(features.inputs["token_ids"]), NO_LABEL)
        tags = tf.boolean_mask(gold.get(CLASSES, gold[TAGS]).flat_values, read)
        return tf.tensor_scatter_nd_update(labels, tf.boolean_mask(features.notes["at"], read), tags), None

    def label_mask(self, features: Features) -> tf.Tensor:
        at = tf.boolean_mask(features.notes["at"], features.notes["read"])
        return tf.scatter_nd(at, tf.ones(tf.shape(at)[:1]), tf.shape(features.inputs["token_ids"]))

    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        crf = spec.options.get("crf", False)
        return {"num_classes": len(spec.labels), "label_names": spec.labels, "crf": crf}

    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        """Words and tags of each row, and its entities with their byte and character offsets in the text.

        The score of an entity is the mean probability of its words' tags, by the softmax or as the marginals of a CRF.
        """
        found, read = features.notes["found"], features.notes["read"]
        at = tf.where(read[:, None], features.notes["at"], 0)
        if spec.options.get("crf"):
            logits, transitions = tf.gather_nd(outputs["logits"], at), outputs["transitions"][:1]
            tags, scores = tags_of_chains(logits, transitions, found.words.value_rowids(), found.words.nrows(), read)
        else:
            probabilities = tf.nn.softmax(tf.gather_nd(outputs, at))  # (words, tags)
            tags, scores = tf.argmax(probabilities, -1, output_type=tf.int32), tf.reduce_max(probabilities, -1)
        tags = tf.where(read, tags, spec.labels.index(OUTSIDE))
        return entity_outputs(found, tags, tf.where(read, scores, 1.0), spec.labels)

    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        labels = iob2_labels(spec.labels)
        true = [[labels[tag] for tag in row] for row in gold[TAGS]]
        predicted = [
            [tag.decode() for tag in row[:number]]
            for row, number in zip(decoded["tags"].tolist(), decoded["num_words"], strict=True)
        ]
        there = [entities_of(row) for row in true]
        strict, by_type = entity_scores(there, [strict_entities_of(row) for row in predicted])
        lenient, _ = entity_scores(there, [entities_of(row) for row in predicted])
        words = [pair for rows in zip(true, predicted, strict=True) for pair in zip(*rows, strict=True)]
        return {
            **strict,
            "f1_conlleval": lenient["f1"],
            "accuracy": sum(here == given for here, given in words) / len(words),
            "by_type": by_type,
        }

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        listed = zip(*(row[name] for name in ("entities", "types", "starts", "ends", "scores")), strict=True)
        entities = [dict(zip(("text", "type", "start", "end", "score"), entity, strict=True)) for entity in listed]
        return {
            "entities": entities[: row["num_entities"]],
            "words": row["words"][: row["num_words"]],
            "tags": row["tags"][: row["num_words"]],
        }

    def gold_of(self, spec: Spec, gold: Mapping[str, Any]) -> list[str]:
        labels = iob2_labels(spec.labels)
        return [labels[tag] for tag in gold[TAGS]]

    def wrong_answer(self, spec: Spec, line: Mapping[str, Any]) -> WrongAnswer | None:
        """Worst is the sentence with the most probable spurious entity; sentences that only miss entities come last."""
        true, given = set(entities_of(line["gold"])), set(strict_entities_of(line["tags"]))
        if true == given:
            return None
        found = zip(entities_of(line["tags"]), line["entities"], strict=True)
        scores = {entity: told["score"] for entity, told in found}
        missed, spurious = (sorted(some, key=operator.attrgetter("first")) for some in (true - given, given - true))
        surest = max((scores[entity] for entity in spurious), default=0.0)
        shown = {
            "missed": ", ".join(f"{_words_of(entity, line)} ({entity.type})" for entity in missed),
            "spurious": ", ".join(
                f"{_words_of(entity, line)} ({entity.type} {scores[entity]:.2f})" for entity in spurious
            ),
        }
        return WrongAnswer((surest, len(missed)), shown)

    def breakdown(self, spec: Spec, lines: Sequence[Mapping[str, Any]]) -> Breakdown:
        true = (set(entities_of(line["gold"])) for line in lines)
        given = (set(strict_entities_of(line["tags"])) for line in lines)
        return ByLabel.of(label_types(spec.labels), true, given, operator.attrgetter("type"))


def _words_of(entity: Entity, line: Mapping[str, Any]) -> str:
    return " ".join(line["words"][entity.first : entity.last + 1])


TASK = Ner()
