"""Translation: a text in one language, the same in another (Rothe et al. 2020; beams of Wu et al. 2016, section 7)."""

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
from keras_bert_scratch.models.objectives import classes
from keras_bert_scratch.models.translator import BertTranslator
from keras_bert_scratch.tasks.data.beam_search import Written, beam_search
from keras_bert_scratch.tasks.data.decoding_loop import never_written
from keras_bert_scratch.tasks.data.parallel_texts import read_pairs, sources_of
from keras_bert_scratch.tasks.data.texts import packed_features
from keras_bert_scratch.tasks.error_analysis import Breakdown, ByGroup, WrongAnswer
from keras_bert_scratch.tasks.examples import Examples, Features, Raw
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.text.vocabulary import Vocabulary
from keras_bert_scratch.text.vocabulary_learning import learn_vocabulary

MOST_NUMBERS = 1 << 27  # of keys and values, 0.5 GB of float32
FEWEST_ROWS, MOST_ROWS = 16, 256


@dataclasses.dataclass(frozen=True)
class TranslationOptions:
    """How a translator learns.

    Args:
        label_smoothing: float, default 0.1. What part of the right token's probability is spread over all tokens.
        vocab_size: int, default 8000. Tokens of a vocabulary that is learnt from the training data.
        lowercase: bool, default False. Whether such a vocabulary is uncased; the translations then are, too.
        shared_vocabulary: bool, default True. Whether both languages have one vocabulary and one table of embeddings.
        decoder_init: str, default `""`. A pretrained model's folder that the decoder starts from, with its vocabulary.
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
class TranslationAsking:
    """How translations are searched for.

    Args:
        beams: int, default 4. How many texts are written side by side; 1 takes the likeliest token each time.
        length_penalty: float, default 0.6. The exponent of the penalty that a text's log-probability is divided by; the
            higher, the longer the texts.
        alternatives: int, default 1. How many translations to give of each text, at most `beams`.
        alignment: bool, default False. Whether to tell how much each piece of a translation looks at each of its text.
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
            raise UserError(f"`alternatives`: must be from 1 to the {self.beams} of `beams`, not {self.alternatives}")


class Translation(Task):
    """A text for a text, token by token, each chosen when those before are known."""

    name = "translation"
    best_by = ("bleu", "max")
    model_class = BertTranslator
    Options = TranslationOptions
    Asking = TranslationAsking
    outputs: ClassVar = {
        "translations": "the translations, the best first",
        "scores": "of each the log-probability over the penalty for its length",
        "alignment": "how much each piece of the best translation (row) looks at each of the text (column), row by row",
        "source_pieces": "the pieces of the text",
        "num_source": "how many there are",
        "target_pieces": "the pieces of the best translation",
        "num_target": "how many there are",
        "token_ids": "the tokens of the translations, the best first",
        "num_tokens": "how many tokens each has",
    }
    columns = ("source",)
    learns_vocabulary = True
    teacher_forced = True

    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        return dataclasses.replace(spec, columns=self.columns), read_pairs(source, spec.header_names, on_bad_row)

    def unlabelled(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, Any]]:
        return sources_of(source, spec.header_names, on_bad_row)

    def batch_size(self, spec: Spec, model: BertTranslator) -> int:
        """The more at once the faster, as long as their keys and values do not fill the memory."""
        config = model.decoder_config
        numbers = 2 * config.num_layers * config.hidden_size * spec.max_length * spec.options["beams"]
        return min(max(MOST_NUMBERS // numbers, FEWEST_ROWS), MOST_ROWS)

    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        pieces = tokenizer.tokenize(raw["source"])
        notes = {"tokenizer": tokenizer, "is_empty": pieces.row_lengths() == 0}
        return packed_features(spec, pieces, None, tokenizer.vocabulary, notes)

    def teach(self, spec: Spec, features: Features, gold: Mapping[str, Any]) -> Features:
        tokenizer = features.notes["tokenizer"].target
        vocabulary, pieces = tokenizer.vocabulary, tokenizer.tokenize(gold["target"])
        start, end = (tf.fill([pieces.nrows(), 1], token) for token in (vocabulary.cls_id, vocabulary.sep_id))
        # Cut behind the end: a text that is too long must not teach to end in its midst.
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
            return self.started(init, dtype, remat)
        config = checkpoint.config if checkpoint else init
        start = read_checkpoint(spec.options["decoder_init"]) if spec.options["decoder_init"] else None
        decoder = start.config if start else config.replace(vocab_size=len(tokenizer.target.vocabulary))
        model = self.started(init, dtype, remat, decoder=decoder)
        if start:
            model.start_decoder(start.weights)
        return model

    def objectives(self, spec: Spec, model: Any) -> dict[str, Any]:
        smoothing = spec.options["label_smoothing"]
        return {"": classes(counts=lambda inputs: inputs["decoder_padding_mask"], label_smoothing=smoothing)}

    def ask(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        """What the decoder reads of the sources."""
        return model.encode(inputs)

    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        return {}

    def follow_up(self, spec: Spec, model: Any, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        """`translations` `(rows, alternatives)`, the best first, and their `scores`; empty for an empty text.

        With `alignment`, of the best, too: its pieces, the text's, and a matrix of them, line by line.
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

    def asked_by_ids(self, spec: Spec, tokenizer: Any, model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """`token_ids` of the translations, `(rows, alternatives, length)`, `num_tokens` of them, and their `scores`."""
        rows = tf.shape(inputs["token_ids"])[0]
        written = _search(spec, model, self.ask(model, inputs), rows, tokenizer.target.vocabulary)
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

    def wrong(self, spec: Spec, line: Mapping[str, Any]) -> WrongAnswer | None:
        """What is not the reference; the fewer of its characters are right, the worse."""
        from sacrebleu.metrics import CHRF

        if line["translation"] == line["gold"]:
            return None
        chrf = CHRF().sentence_score(line["translation"], [line["gold"]]).score
        shown = {"gold": line["gold"], "answer": line["translation"], "score": line["score"], "chrf": chrf}
        return WrongAnswer((-chrf, line["score"]), shown)

    def breakdown(self, spec: Spec, lines: Sequence[Mapping[str, Any]]) -> Breakdown:
        """By the words of the source: attention finds its way in short texts first."""

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


def _search(spec: Spec, model: BertTranslator, encoded: Any, rows: tf.Tensor, vocabulary: Vocabulary) -> Written:
    """The translations of what the encoder read, so many `rows`."""
    options, longest = spec.options, min(spec.max_length, model.decoder_config.max_position_embeddings) - 1
    start, end, alpha = vocabulary.cls_id, vocabulary.sep_id, options["length_penalty"]
    beams, alternatives = options["beams"], options["alternatives"]
    bias_of_tokens, never = model.next_token_head.bias, never_written(vocabulary, model.decoder_config.vocab_size)
    with CastWeights(model, [(bias_of_tokens, bias_of_tokens + never)]):
        past = model.empty_past(rows)
        return beam_search(model.step, past, encoded, rows, start, end, longest, beams, alpha, alternatives)


def _alignment(model: BertTranslator, features: Features, tokens: tf.RaggedTensor) -> dict[str, tf.Tensor]:
    """What each of these tokens looked at when it was written."""
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
