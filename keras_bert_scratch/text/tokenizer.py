"""BertTokenizer: text to WordPiece ids and back, eagerly, in `tf.data` and inside an exported model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
import tensorflow_text

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.normalization import normalize
from keras_bert_scratch.text.vocabulary import UNK, Vocabulary

VOCABULARY_FILE = "vocab.txt"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
MAX_WORD_BYTES = 200  # longer words become [UNK], as in Google's tokenizer


class BertTokenizer(tf.Module):
    """Splits text into words and words greedily into the longest known pieces (Wu et al. 2016, section 4.1).

    Args:
        vocabulary: a `Vocabulary`, or the path of a `vocab.txt`.
        lowercase: whether the vocabulary is uncased; `None` means to see whether it holds capital letters.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> tokenizer = BertTokenizer(vocabulary)
        >>> ids = tokenizer.tokenize(["Playing play", "chess"])
        >>> ids.to_list()
        [[5, 6, 5], [1]]
        >>> tokenizer.detokenize(ids).numpy().tolist()
        [b'playing play', b'[UNK]']
    """

    def __init__(self, vocabulary: Vocabulary | Path | str, lowercase: bool | None = None) -> None:
        super().__init__(name="bert_tokenizer")
        self.vocabulary = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary.load(vocabulary)
        self.lowercase = not self.vocabulary.looks_cased if lowercase is None else lowercase
        self._wordpiece = tensorflow_text.FastWordpieceTokenizer(
            list(self.vocabulary.tokens),
            max_bytes_per_word=MAX_WORD_BYTES,
            unknown_token=UNK,
            token_out_type=tf.int32,
        )
        self._tokens = tf.constant(self.vocabulary.tokens)

    def tokenize(self, texts: tf.Tensor | Sequence[str]) -> tf.RaggedTensor:
        """Ids without special tokens.

        Args:
            texts: UTF-8 strings `(batch,)`.

        Returns: int32 `tf.RaggedTensor` `(batch, None)`.
        """
        texts = tf.convert_to_tensor(texts, dtype=tf.string)
        if texts.shape.rank == 0:
            raise UserError("texts: give a list of texts, not a single one")
        return self._wordpiece.tokenize(normalize(texts, self.lowercase))

    def detokenize(self, ids: tf.RaggedTensor | Sequence[Sequence[int]]) -> tf.Tensor:
        """Words joined by spaces, pieces joined to words; what was lower-cased or unknown stays so.

        Args:
            ids: int ids `(batch, None)`.

        Returns: strings `(batch,)`.
        """
        ids = ids if isinstance(ids, tf.RaggedTensor) else tf.ragged.constant(ids, dtype=tf.int32, ragged_rank=1)
        words = tf.strings.reduce_join(tf.gather(self._tokens, ids), axis=-1, separator=" ")
        return tf.strings.regex_replace(words, " ##", "")

    def save(self, directory: Path | str) -> None:
        """Writes `vocab.txt` and the casing into `directory`."""
        self.vocabulary.save(Path(directory) / VOCABULARY_FILE)
        atomic.write_json(Path(directory) / TOKENIZER_CONFIG_FILE, {"lowercase": self.lowercase})

    @classmethod
    def load(cls, directory: Path | str) -> BertTokenizer:
        """The tokenizer that `save` wrote."""
        config = Path(directory) / TOKENIZER_CONFIG_FILE
        try:
            lowercase = json.loads(config.read_text(encoding="utf-8"))["lowercase"] if config.exists() else None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{config}: is not of the form {{"lowercase": true}} ({error}); mend or delete it'
            ) from None
        return cls(Path(directory) / VOCABULARY_FILE, lowercase)
