"""Translation: texts into another language (Rothe et al. 2020; beam search of Wu et al. 2016, section 7)."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.cast_weights import CastWeights
from keras_bert_scratch.models.objectives import classification_objective
from keras_bert_scratch.models.translator import BertTranslator
from keras_bert_scratch.tasks.data.beam_search import GeneratedTexts, beam_search
from keras_bert_scratch.tasks.data.decoding_loop import forbidden_token_bias
from keras_bert_scratch.tasks.data.parallel_texts import read_pairs, sources_of
from keras_bert_scratch.tasks.data.texts import packed_features
from keras_bert_scratch.tasks.error_analysis import Breakdown, ByGroup, WrongAnswer
from keras_bert_scratch.tasks.examples import Examples, Features, Raw
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.text.vocabulary import Vocabulary
from keras_bert_scratch.text.vocabulary_learning import learn_vocabulary

MOST_NUMBERS = 1 << 27  # in the keys and values of a batch, 0.5 GB of float32
FEWEST_ROWS, MOST_ROWS = 16, 256


@dataclasses.dataclass(frozen=True)
class TranslationOptions:
    """How a translator is trained.

    Args:
        label_smoothing: float, default 0.1. Fraction of the target probability that is spread over all tokens.
        vocab_size: int, default 8000. Size of a vocabulary that is learnt from the training data.
        lowercase: bool, default False. Whether this vocabulary is uncased; the translations are then uncased, too.
        shared_vocabulary: bool, default True. Whether both languages share one vocabulary and one embedding table.
        decoder_init: str, default `""`. Folder of a pretrained model that initializes the decoder, with its vocabulary.
    """

    label_smoothing: float = 0.1
    vocab_size: int = 8000
    lowercase: bool = False
    shared_vocabulary: bool = True
    decoder_init: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise UserError(f"`label_smoothing`: must be at least 0 and below 1, not {self.label_smoothing}")


@dataclasses.dataclass(frozen=True)
class TranslationPredictionOptions:
    """How translations are searched for.

    Args:
        beams: int, default 4. Beam width; 1 takes the most probable token at each step (greedy search).
        length_penalty: float, default 0.6. Exponent of the length penalty that divides a translation's log-probability;
            a higher one gives longer translations.
        alternatives: int, default 1. Number of translations to return for each text, at most `beams`.
        alignment: bool, default False. Whether to return the attention of each translated piece to each source piece.
    """

    beams: int = 4
    length_penalty: float = 0.6
    alternatives: int = 1
    alignment: bool = False

    def __post_init__(self) -> None:
        if self.beams < 1:
            raise UserError(f"`beams`: must be at least 1, not {self.beams}")
        if not math.isfinite(self.length_penalty):
            raise UserError(f"`length_penalty`: must be a number, not {self.length_penalty}")
        if not 1 <= self.alternatives <= self.beams:
            raise UserError(f"`alternatives`: must be from 1 to {self.beams} (`beams`), not {self.alternatives}")


class Translation(Task):
    """A translation of a text, token by token, each given the tokens before it."""

    name = "translation"
    best_by = ("bleu", "max")
    model_class = BertTranslator
    Options = TranslationOptions
    PredictionOptions = TranslationPredictionOptions
    outputs: ClassVar = {
        "translations": "the translations, highest score first",
        "scores": "the log-probability of each translation divided by its length penalty",
        "alignment": "the attention of pieces of the best translation (rows) to the text (columns), row by row",
        "source_pieces": "the pieces of the text",
        "num_source": "the number of pieces of the text",
        "target_pieces": "the pieces of the best translation",
        "num_target": "the number of pieces of the best translation",
        "token_ids": "the token_ids of the translations, highest score first",
        "num_tokens": "the number of tokens of each translation",
    }
    columns = ("source",)
    learns_vocabulary = True
    teacher_forced = True

    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        return dataclasses.replace(spec, columns=self.columns), read_pairs(source, spec.header_names, on_bad_row)

    def unlabelled(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, Any]]:
        return sources_of(source, spec.header_names, on_bad_row)

    def batch_size(self, spec: Spec, model: BertTranslator) -> int:
        """Larger batches are faster, as long as their keys and values fit into memory."""
        config = model.decoder_config
        numbers = 2 * config.num_layers * config.hidden_size * spec.max_length * spec.options["beams"]
        return min(max(MOST_NUMBERS // numbers, FEWEST_ROWS), MOST_ROWS)

    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        pieces = tokenizer.tokenize(raw["source"])
        notes = {"tokenizer": tokenizer, "is_empty": pieces.row_lengths() == 0}
        return packed_features(spec, pieces, None, tokenizer.vocabulary, notes)

    def with_teacher_forcing(self, spec: Spec, features: Features, gold: Mapping[str, Any]) -> Features:
        tokenizer = features.notes["tokenizer"].target
        vocabulary, pieces = tokenizer.vocabulary, tokenizer.tokenize(gold["target"])
        start, end = (tf.fill([pieces.nrows(), 1], token) for token in (vocabulary.cls_id, vocabulary.sep_id))
        # Truncated after the end token is added: too long a text must not teach the model to stop in its middle.
        row = tf.concat([start, pieces, end], axis=1)[:, : spec.max_length]
        following = row[:, 1:]
        target = {
            "decoder_token_ids": row[:, :-1].to_tensor(vocabulary.pad_id),
            "decoder_padding_mask": tf.ones_like(following).to_tensor(),
        }
        notes = {**features.notes, "next": following.to_tensor(vocabulary.pad_id)}
        return dataclasses.replace(features, inputs={**features.inputs, **target}, notes=notes)

    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        return features.notes["next"], None

    def tokenizer(self, spec: Spec, init: Any, examples: Examples) -> BertTokenizer:
        options = spec.options
        sources, targets = examples.raw["source"], examples.gold["target"]
        has_own_target = bool(options["decoder_init"]) or not options["shared_vocabulary"]

        def learnt(*texts: Sequence[str]) -> Vocabulary:
            return learn_vocabulary(itertools.chain(*texts), options["vocab_size"], options["lowercase"])

        if not isinstance(init, BertConfig):
            found = BertTokenizer.load(init)
            if found.own_target is not None or not has_own_target:
                return found
            vocabulary, rules = found.vocabulary, dataclasses.asdict(found.rules)
        else:
            vocabulary = learnt(sources) if has_own_target else learnt(sources, targets)
            rules = {"lowercase": options["lowercase"]}
        target = None
        if options["decoder_init"]:
            target = BertTokenizer.load(options["decoder_init"])
        elif has_own_target:
            target = BertTokenizer(learnt(targets), options["lowercase"])
        return BertTokenizer(vocabulary, target=target, **rules)

    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        return {}

    def new_model(self, spec: Spec, init: Any, tokenizer: BertTokenizer, dtype: str, remat: bool) -> Any:
        checkpoint = None if isinstance(init, BertConfig) else read_checkpoint(init)
        if tokenizer.own_target is None or (checkpoint and checkpoint.architecture == self.model_class.__name__):
            return self.initialized_model(init, dtype, remat)
        config = checkpoint.config if checkpoint else init
        start = read_checkpoint(spec.options["decoder_init"]) if spec.options["decoder_init"] else None
        decoder = start.config if start else config.replace(vocab_size=len(tokenizer.target.vocabulary))
        model = self.initialized_model(init, dtype, remat, decoder=decoder)
        if start:
            model.start_decoder(start.weights)
        return model

    def objectives(self, spec: Spec, model: Any) -> dict[str, Any]:
        smoothing = spec.options["label_smoothing"]
        return {
            "": classification_objective(
                counts=lambda inputs: inputs["decoder_padding_mask"], label_smoothing=smoothing
            )
        }

    def call_model(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        """The encoded sources, as the decoder reads them."""
        return model.encode(inputs)

    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        return {}

    def follow_up(self, spec: Spec, model: Any, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        """`translations` `(rows, alternatives)`, the best first, and their `scores`; empty for an empty text.

        With `alignment`, also for the best one: its pieces, the text's pieces, and their matrix, flattened by rows.
        """
        tokenizer, options = features.notes["tokenizer"].target, spec.options
        rows, alternatives = tf.shape(features.notes["is_empty"])[0], options["alternatives"]
        written = _search(spec, model, outputs, rows, tokenizer.vocabulary)
        longest = tf.shape(written.tokens)[2]
        ids = tf.RaggedTensor.from_tensor(tf.reshape(written.tokens, [-1, longest]), tf.reshape(written.lengths, [-1]))
        texts = tf.reshape(tokenizer.detokenize(ids), [rows, alternatives])
        answers = {
            "translations": tf.where(features.notes["is_empty"][:, None], "", texts),
            "scores": written.scores,
        }
        if options["alignment"]:
            lengths = tf.where(features.notes["is_empty"], 0, written.lengths[:, 0])
            answers |= _alignment(model, features, tf.RaggedTensor.from_tensor(written.tokens[:, 0], lengths))
        return answers

    def predict_from_ids(self, spec: Spec, tokenizer: Any, model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """`token_ids` of the translations, `(rows, alternatives, length)`, their `num_tokens` and `scores`."""
        rows = tf.shape(inputs["token_ids"])[0]
        written = _search(spec, model, self.call_model(model, inputs), rows, tokenizer.target.vocabulary)
        return {"token_ids": written.tokens, "num_tokens": written.lengths, "scores": written.scores}

    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        return _scores([text.decode() for text in decoded["translations"][:, 0]], list(gold["target"]))

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        found = {"translation": row["translations"][0], "score": row["scores"][0]}
        if spec.options["alternatives"] > 1:
            others = zip(row["translations"][1:], row["scores"][1:], strict=True)
            found["alternatives"] = [{"translation": text, "score": score} for text, score in others]
        if spec.options["alignment"]:
            source, target = row["source_pieces"][: row["num_source"]], row["target_pieces"][: row["num_target"]]
            weights = np.reshape(row["alignment"][: len(source) * len(target)], (len(target), len(source))).tolist()
            found["alignment"] = {"source": source, "target": target, "weights": weights}
        return found

    def wrong_answer(self, spec: Spec, line: Mapping[str, Any]) -> WrongAnswer | None:
        """A translation that differs from the reference; the lower its chrF, the worse."""
        from sacrebleu.metrics import CHRF

        if line["translation"] == line["gold"]:
            return None
        chrf = CHRF().sentence_score(line["translation"], [line["gold"]]).score
        shown = {"gold": line["gold"], "answer": line["translation"], "score": line["score"], "chrf": chrf}
        return WrongAnswer((-chrf, line["score"]), shown)

    def breakdown(self, spec: Spec, lines: Sequence[Mapping[str, Any]]) -> Breakdown:
        """By the number of words of the source, as attention learns short texts first."""

        def measure(rows: list[int]) -> dict[str, float]:
            scores = _scores([lines[row]["translation"] for row in rows], [lines[row]["gold"] for row in rows])
            return {name: scores[name] for name in ("bleu", "chrf")}

        return ByGroup.by_length("words of the source", [len(line["source"].split()) for line in lines], measure)


def _scores(written: list[str], references: list[str]) -> dict[str, Any]:
    """BLEU and chrF of a corpus, from 0 to 100."""
    from sacrebleu.metrics import BLEU, CHRF

    bleu, chrf = BLEU(), CHRF()
    return {
        "bleu": bleu.corpus_score(written, [references]).score,
        "chrf": chrf.corpus_score(written, [references]).score,
        "signature": str(bleu.get_signature()),
    }


def _search(spec: Spec, model: BertTranslator, encoded: Any, rows: tf.Tensor, vocabulary: Vocabulary) -> GeneratedTexts:
    """The translations of `rows` encoded sources, by beam search."""
    options, longest = spec.options, min(spec.max_length, model.decoder_config.max_position_embeddings) - 1
    start, end, alpha = vocabulary.cls_id, vocabulary.sep_id, options["length_penalty"]
    beams, alternatives = options["beams"], options["alternatives"]
    bias_of_tokens, never = (
        model.next_token_head.bias,
        forbidden_token_bias(vocabulary, model.decoder_config.vocab_size),
    )
    with CastWeights(model, [(bias_of_tokens, bias_of_tokens + never)]):
        past = model.empty_past(rows)
        return beam_search(model.step, past, encoded, rows, start, end, longest, beams, alpha, alternatives)


def _alignment(model: BertTranslator, features: Features, tokens: tf.RaggedTensor) -> dict[str, tf.Tensor]:
    """The attention of each of these tokens to the source when it was generated."""
    tokenizer, source = features.notes["tokenizer"], features.inputs
    vocabulary = tokenizer.target.vocabulary
    before = tf.concat([tf.fill([tokens.nrows(), 1], vocabulary.cls_id), tokens], axis=1)[:, :-1]
    inputs = {
        **source,
        "decoder_token_ids": before.to_tensor(vocabulary.pad_id),
        "decoder_padding_mask": tf.ones_like(before).to_tensor(),
    }
    weights = model.alignment(inputs)  # (rows, target, source)
    is_piece = (
        tf.cast(inputs["decoder_padding_mask"], tf.bool)[:, :, None] & tf.cast(source["padding_mask"], tf.bool)[:, None]
    )
    sizes = tf.reduce_sum(tf.cast(is_piece, tf.int32), axis=[1, 2])
    lines = tf.RaggedTensor.from_row_lengths(tf.boolean_mask(weights, is_piece), sizes)
    read = tf.RaggedTensor.from_tensor(source["token_ids"], tf.reduce_sum(source["padding_mask"], axis=1))
    return {
        "alignment": lines.to_tensor(),
        "source_pieces": tf.gather(tokenizer.vocabulary.tokens, read).to_tensor(),
        "num_source": read.row_lengths(),
        "target_pieces": tf.gather(vocabulary.tokens, tokens).to_tensor(),
        "num_target": tokens.row_lengths(),
    }


TASK = Translation()
