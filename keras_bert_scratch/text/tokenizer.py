"""BertTokenizer: text to WordPiece ids and back, eagerly, in `tf.data` and inside an exported model."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_text

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.file_set import replaced_together
from keras_bert_scratch.filesystem import AnyPath, path_of, reading
from keras_bert_scratch.text.plain_text import is_nearly_plain, is_plain, make_plain
from keras_bert_scratch.text.spacing import spaced
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS, UNK, Vocabulary
from keras_bert_scratch.text.vocabulary_files import (
    TARGET,
    TARGET_FILES,
    is_tokenizers_vocabulary,
    read_target_vocabulary,
    read_vocabulary,
    write_vocabulary,
)
from keras_bert_scratch.text.word_rules import WordRules
from keras_bert_scratch.text.words import Words, split_words

MAX_CHARACTER_BYTES = 4
KEPT = 4  # vocabularies: a process reads the same one with its records, its initial model and its run
log = logging.getLogger(__name__)


class BertTokenizer(tf.Module):
    """Splits text into words, and each word greedily into the longest known pieces (Wu et al. 2016, section 4.1).

    The tokens are exactly those of Google's `FullTokenizer` for the same vocabulary.

    Args:
        vocabulary: `Vocabulary`, or the path of a `vocab.txt`.
        lowercase: bool or `None`, default `None`. Whether the vocabulary is uncased; `None` decides by how many of
            its tokens contain capital letters (`Vocabulary.guess_lowercase`).
        target: BertTokenizer or `None`, default `None`. Tokenizer of a translator's output; `None` for this one.
        rules: see `WordRules`: `strip_accents`, `tokenize_chinese_chars`, `max_word_length`; by default Google's.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> tokenizer = BertTokenizer(vocabulary)
        >>> ids = tokenizer.tokenize(["Playing play", "chess"])
        >>> ids.to_list()
        [[5, 6, 5], [1]]
        >>> tokenizer.detokenize(ids).numpy().tolist()
        [b'playing play', b'[UNK]']
        >>> tokenizer.tokenize(["play [MASK]"], special_tokens=True).to_list()
        [[5, 4]]
    """

    def __init__(
        self,
        vocabulary: Vocabulary | AnyPath | str,
        lowercase: bool | None = None,
        target: BertTokenizer | None = None,
        **rules: Any,
    ) -> None:
        super().__init__(name="bert_tokenizer")
        self.vocabulary = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary.load(vocabulary)
        self.rules = WordRules(self.vocabulary.guess_lowercase() if lowercase is None else lowercase, **rules)
        self._plain, self._pieces = _wordpiece(self.vocabulary, self.rules.max_word_length)
        self.own_target = target

    @property
    def target(self) -> BertTokenizer:
        """The tokenizer of the texts that a translator writes."""
        return self.own_target or self

    @property
    def lowercase(self) -> bool:
        """Whether the vocabulary is uncased."""
        return self.rules.lowercase

    def tokenize(self, texts: tf.Tensor | Sequence[str], special_tokens: bool = False) -> tf.RaggedTensor:
        """Token ids, without `[CLS]` and `[SEP]` around them.

        Args:
            texts: UTF-8 strings `(batch,)`.
            special_tokens: whether `[MASK]` and the like in a text are read as special tokens; otherwise they are split
                into brackets and a word, as in Google's tokenizer, so that no text can inject a special token.

        Returns: int32 `tf.RaggedTensor` `(batch, None)`.
        """
        texts = _as_batch(texts)
        if not special_tokens:
            return self._graph(texts)
        parts = _split_at_special_tokens(texts)
        which = parts.flat_values[:, None] == tf.constant(SPECIAL_TOKENS)
        special = tf.reduce_any(which, axis=1)
        between = self._graph(tf.where(special, "", parts.flat_values))
        special_ids = tf.gather([self.vocabulary.id(token) for token in SPECIAL_TOKENS], tf.where(which)[:, 1])
        inserted = tf.RaggedTensor.from_row_lengths(special_ids, tf.cast(special, tf.int64))
        return parts.with_flat_values(tf.concat([between, inserted], axis=1)).merge_dims(1, 2)

    def tokenize_with_offsets(
        self, texts: tf.Tensor | Sequence[str]
    ) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        """Token ids, and the byte range of the original text for each: `starts` inclusive, `limits` exclusive.

        Args:
            texts: UTF-8 strings `(batch,)`.

        Returns: `ids, starts, limits`, int32 `tf.RaggedTensor` `(batch, None)`.

        Example:
            >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
            >>> ids, starts, limits = BertTokenizer(vocabulary).tokenize_with_offsets(["I'm pláying"])
            >>> ids.to_list(), starts.to_list(), limits.to_list()
            ([[1, 1, 1, 5, 6]], [[0, 1, 2, 4, 9]], [[1, 2, 3, 9, 12]])
        """
        return self._tokenize_with_offsets(_as_batch(texts))

    def detokenize(self, ids: tf.RaggedTensor | Sequence[Sequence[int]]) -> tf.Tensor:
        """Texts: pieces joined to words, with the usual spaces; lower-cased and unknown words are not restored.

        Args:
            ids: int ids `(batch, None)`.

        Returns: strings `(batch,)`.
        """
        ids = ids if isinstance(ids, tf.RaggedTensor) else tf.ragged.constant(ids, dtype=tf.int32, ragged_rank=1)
        words = tf.strings.reduce_join(tf.gather(self.vocabulary.tokens, ids), axis=-1, separator=" ")
        return spaced(tf.strings.regex_replace(words, " ##", ""))

    @functools.cached_property
    def _graph(self) -> Callable[[tf.Tensor], tf.RaggedTensor]:
        """`_tokenize`, traced once for all equal tokenizers, whether it is called eagerly or in a graph."""
        return _graph_of(self.vocabulary, self.rules)

    def __getstate__(self) -> dict[str, Any]:
        """Everything except the graph, which belongs to its process; a copy traces its own."""
        return {name: value for name, value in vars(self).items() if name != "_graph"}

    def _tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        plain = is_plain(texts)
        rest = tf.where(~plain)[:, 0]
        others = tf.gather(texts, rest)
        nearly = is_nearly_plain(others, self.rules)
        made_plain = make_plain(others[nearly], self.rules)
        ids = tf.concat(
            [
                self._tokenize_plain(tf.concat([texts[plain], made_plain], axis=0)),
                self._tokenize_any(others[~nearly]),
            ],
            axis=0,
        )
        order = tf.concat([tf.where(plain)[:, 0], rest[nearly], rest[~nearly]], axis=0)
        return tf.gather(ids, tf.math.invert_permutation(order))

    def _tokenize_plain(self, texts: tf.Tensor) -> tf.RaggedTensor:
        return self._plain.tokenize(tf.strings.lower(texts) if self.lowercase else texts)

    def _tokenize_any(self, texts: tf.Tensor) -> tf.RaggedTensor:
        words = split_words(texts, self.rules)
        pieces = self._pieces.tokenize(self._or_too_long(words.spelled(), words))
        return tf.RaggedTensor.from_row_splits(
            pieces.flat_values, tf.gather(pieces.row_splits, words.text_splits), validate=False
        )

    @tf.function(autograph=False)
    def _tokenize_with_offsets(self, texts: tf.Tensor) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        words = split_words(texts, self.rules)
        spelled = words.spelled()
        pieces, starts, limits = self._pieces.tokenize_with_offsets(self._or_too_long(spelled, words))
        # A piece's offsets are bytes in its word. Map them to characters, and those to bytes of the original text.
        word = pieces.value_rowids()
        word_bytes = tf.cast(tf.strings.length(spelled), tf.int64)
        word_start = tf.gather(tf.cumsum(word_bytes, exclusive=True), word)
        first_byte = word_start + starts.flat_values
        last_byte = word_start + tf.minimum(limits.flat_values, tf.gather(word_bytes, word)) - 1
        character_at = _character_of_each_byte(words.characters.flat_values)
        text_splits = tf.gather(pieces.row_splits, words.text_splits)

        def by_text(values: tf.Tensor) -> tf.RaggedTensor:
            return tf.RaggedTensor.from_row_splits(values, text_splits, validate=False)

        return (
            by_text(pieces.flat_values),
            by_text(tf.gather(words.starts, tf.gather(character_at, first_byte))),
            by_text(tf.gather(words.limits, tf.gather(character_at, last_byte))),
        )

    def _or_too_long(self, spelled: tf.Tensor, words: Words) -> tf.Tensor:
        """The words; one of too many characters is replaced by one of too many bytes, which becomes `[UNK]`."""
        longest = self.rules.max_word_length
        too_long = words.characters.row_lengths() > longest
        return tf.where(too_long, "x" * (longest * MAX_CHARACTER_BYTES + 1), spelled)

    def save(self, directory: AnyPath | str) -> None:
        """Writes `vocab.txt` and the rules into `directory`, for the input and for a target of its own."""
        with replaced_together(directory, without=TARGET_FILES) as staged:
            write_vocabulary(staged, self.vocabulary, self.rules)
            if self.own_target is not None:
                write_vocabulary(staged, self.own_target.vocabulary, self.own_target.rules, TARGET)

    @classmethod
    def load(cls, path: AnyPath | str) -> BertTokenizer:
        """Loads the tokenizer of a model's folder, written by `save`, Hugging Face, KerasHub or Google.

        Args:
            path: str or path. The folder, or a vocabulary file: a `vocab.txt` beside a tokenizer's other files is read
                with the rules in these; the casing of any other file is guessed from its tokens.

        Raises:
            UserError: there is none, it is damaged, or it has a setting that this tokenizer does not support; names it.

        Example:
            >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
            >>> BertTokenizer(vocabulary, lowercase=False).save("model")
            >>> BertTokenizer.load("model").lowercase, BertTokenizer.load("model/vocab.txt").lowercase
            (False, False)
        """
        path = path_of(path)
        with reading(path):
            if is_tokenizers_vocabulary(path):
                path = path.parent
            elif str(path).endswith(".txt") or path.is_file():
                return cls(path)
        files = read_vocabulary(path)
        for note in files.notes:
            log.warning("%s", note)
        if (of_target := read_target_vocabulary(path)) is None:
            return cls(files.vocabulary, **dataclasses.asdict(files.word_rules()))
        target = cls(of_target.vocabulary, **dataclasses.asdict(of_target.word_rules()))
        return cls(files.vocabulary, target=target, **dataclasses.asdict(files.word_rules()))


@functools.lru_cache(maxsize=KEPT)
def _wordpiece(vocabulary: Vocabulary, max_word_length: int) -> tuple[tensorflow_text.FastWordpieceTokenizer, ...]:
    """The WordPiece tokenizers of plain texts, and of single words."""
    tokens = vocabulary.unambiguous_tokens()
    try:
        with tf.init_scope():  # they hold tensors, which must not belong to the first caller's graph
            return tuple(
                tensorflow_text.FastWordpieceTokenizer(
                    tokens,
                    max_bytes_per_word=max_word_length * bytes_per_character,
                    unknown_token=UNK,
                    token_out_type=tf.int32,
                    no_pretokenization=are_words,
                )
                for bytes_per_character, are_words in ((1, False), (MAX_CHARACTER_BYTES, True))
            )
    except RuntimeError as error:
        raise UserError(f"{vocabulary.origin}: is not a valid vocabulary ({error}); learn it again") from None


@functools.lru_cache(maxsize=KEPT)
def _graph_of(vocabulary: Vocabulary, rules: WordRules) -> Callable[[tf.Tensor], tf.RaggedTensor]:
    tokenizer = BertTokenizer(vocabulary, **dataclasses.asdict(rules))
    with tf.init_scope():  # not part of the first caller's graph
        texts = tf.TensorSpec([None], tf.string)
        return tf.function(tokenizer._tokenize, autograph=False).get_concrete_function(texts)


def _as_batch(texts: tf.Tensor | Sequence[str]) -> tf.Tensor:
    texts = tf.convert_to_tensor(texts, dtype=tf.string)
    if texts.shape.rank != 1:
        raise UserError("texts: give a list of texts, not a single text or a table of texts")
    return texts


def _character_of_each_byte(code_points: tf.Tensor) -> tf.Tensor:
    """For each byte of the characters' UTF-8 encoding, the index of its character."""
    num_bytes = 1 + sum(tf.cast(code_points >= first, tf.int32) for first in (0x80, 0x800, 0x10000))
    return tf.repeat(tf.range(tf.size(code_points)), num_bytes)


def _split_at_special_tokens(texts: tf.Tensor) -> tf.RaggedTensor:
    """The parts of each text, each special token a separate part, `(batch, None)`."""
    # NUL marks where to split. A NUL in the text itself becomes another control character, which is dropped as well.
    texts = tf.strings.regex_replace(texts, "\x00", "\x01")
    names = "|".join(token.strip("[]") for token in SPECIAL_TOKENS)
    return tf.strings.split(tf.strings.regex_replace(texts, rf"\[(?:{names})\]", "\x00\\0\x00"), sep="\x00")
