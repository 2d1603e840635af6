"""From records to pretraining batches: pairs, packing and masks are made anew in every epoch, all by the seed."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_bert_scratch.data.masking import MASKED_SHARE, mask_tokens
from keras_bert_scratch.data.records import Manifest, check_vocabulary, decode_document, load_tokenizer, token_dtype
from keras_bert_scratch.data.sentence_pairs import SentencePairs
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.packing import pack_segments
from keras_bert_scratch.text.tokenizer import BertTokenizer

SHORT_SEQ_PROB = 0.1

# A batch before packing: A's ids, row after row, and per row how many; the same for B; per row the label.
RawBatch = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class PretrainingRecords:
    """A folder of records as an endless stream of pretraining batches.

    Args:
        directory: what `build_records` made.
        tokenizer: of the model to be trained; `None` takes the one stored with the records.

    Raises:
        UserError: the folder holds no whole records, they were made with another vocabulary, or are one document only.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> manifest = build_records([["Playing.", "Play!"], ["Play?", "Play."]], BertTokenizer(vocabulary), "records")
        >>> inputs, labels, weights = next(iter(PretrainingRecords("records").batches(batch_size=2, max_length=16)))
        >>> tuple(inputs["token_ids"].shape), tuple(labels["masked_lm"].shape)
        ((2, 16), (2, 3))
    """

    def __init__(self, directory: Path | str, tokenizer: BertTokenizer | None = None) -> None:
        self.directory = Path(directory)
        self.manifest = Manifest.load(directory)
        self.tokenizer = tokenizer or load_tokenizer(directory, self.manifest)
        check_vocabulary(self.manifest, self.tokenizer, directory)
        if self.manifest.total("documents") < 2:
            raise UserError(
                f"{directory}: is a single document, but next-sentence pairs need two; "
                f"part it by blank lines, or give several files with '--documents files'"
            )

    def batches(
        self, batch_size: int = 32, max_length: int = 128, seed: int = 0, first_step: int = 0
    ) -> tf.data.Dataset:
        """Batches for `BertPretrainer.fit`, without end: `(inputs, labels, sample_weights)`, each a dict.

        A pure function of the records, the arguments and the step: from `first_step` on it gives what a stream from the
        start gives there.

        Args:
            batch_size: rows.
            max_length: tokens of a row.
            seed: of order, pairs and masks.
            first_step: how many batches to leave out at the start.

        Inputs: `token_ids`, `segment_ids`, `padding_mask` int32 `(batch, length)`, `mask_positions` int32 `(batch,
        predictions)`. Labels and weights: `masked_lm` `(batch, predictions)`, `next_sentence` `(batch,)`.
        """
        if max_length < 8:
            raise UserError(f"max_length: must be at least 8 to hold two sentences, not {max_length}")
        vocabulary = self.tokenizer.vocabulary
        max_predictions = math.ceil(max_length * MASKED_SHARE)

        def finish(step: tf.Tensor, raw: tuple[tf.Tensor, ...]) -> tuple[dict, dict, dict]:
            ids_a, lengths_a, ids_b, lengths_b, labels = raw
            segment_a = tf.RaggedTensor.from_row_lengths(ids_a, lengths_a)
            segment_b = tf.RaggedTensor.from_row_lengths(ids_b, lengths_b)
            packed = pack_segments(segment_a, segment_b, max_length, vocabulary)
            masked = mask_tokens(
                packed["token_ids"], packed["padding_mask"], vocabulary, max_predictions, tf.stack([seed, step])
            )
            inputs = {**packed, "token_ids": masked["token_ids"], "mask_positions": masked["mask_positions"]}
            weights = {"masked_lm": masked["mask_weights"], "next_sentence": tf.ones([batch_size])}
            return inputs, {"masked_lm": masked["mask_ids"], "next_sentence": labels}, weights

        ids, per_row = tf.TensorSpec([None], tf.int32), tf.TensorSpec([batch_size], tf.int32)
        dataset = tf.data.Dataset.from_generator(
            lambda: self._raw_batches(batch_size, max_length, seed, first_step),
            output_signature=(ids, per_row, ids, per_row, per_row),
        )
        steps = tf.data.Dataset.counter(start=first_step, dtype=tf.int32)
        dataset = tf.data.Dataset.zip(steps, dataset)
        return dataset.map(finish, num_parallel_calls=2).prefetch(4)

    def _raw_batches(self, batch_size: int, max_length: int, seed: int, first_step: int) -> Iterator[RawBatch]:
        """Rows follow each other across shards and epochs; only the rows of left-out batches are skipped."""
        skip = first_step * batch_size
        waiting: list[tuple[np.ndarray, np.ndarray]] = []  # (ids of the shard, pairs into it)
        for ids, pairs in self._shards(max_length, seed):
            skipped = min(skip, len(pairs))
            skip -= skipped
            waiting.append((ids, pairs[skipped:]))
            while sum(len(pairs) for _, pairs in waiting) >= batch_size:
                taken, missing = [], batch_size
                while missing:
                    ids, pairs = waiting[0]
                    taken.append((ids, pairs[:missing]))
                    missing -= len(taken[-1][1])
                    waiting[0] = (ids, pairs[len(taken[-1][1]) :])
                    if not len(waiting[0][1]):
                        waiting.pop(0)
                yield _gather(taken)

    def _shards(self, max_length: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Shard after shard without end, in a new order and with new pairs in every epoch."""
        for epoch in itertools.count():
            order = list(range(len(self.manifest.shards)))
            random.Random(f"{seed} {epoch}").shuffle(order)
            for shard in order:
                ids, sentence_ends = self._read_shard(shard)
                yield ids, SentencePairs(sentence_ends, max_length, SHORT_SEQ_PROB, f"{seed} {epoch} {shard}").plan()

    def _read_shard(self, index: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """All ids of a shard in one array, and where its documents' sentences end in it."""
        path = self.directory / self.manifest.shards[index]["file"]
        dtype = token_dtype(self.manifest.vocab_size)
        ids, sentence_ends, end = [], [], 0
        try:
            for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                token_ids, lengths = decode_document(record, dtype)
                ids.append(token_ids)
                sentence_ends.append(end + np.concatenate([[0], np.cumsum(lengths)]))
                end += len(token_ids)
        except (tf.errors.DataLossError, ValueError, IndexError) as error:
            raise UserError(f"{path}: damaged after record {len(ids)} ({error}); make the records again") from None
        return np.concatenate(ids) if ids else np.zeros(0, dtype), sentence_ends


def _gather(taken: list[tuple[np.ndarray, np.ndarray]]) -> RawBatch:
    rows = np.concatenate([pairs for _, pairs in taken]).astype(np.int32)
    ids_a = [ids[start:end] for ids, pairs in taken for start, end in pairs[:, 0:2]]
    ids_b = [ids[start:end] for ids, pairs in taken for start, end in pairs[:, 2:4]]
    return (
        np.concatenate(ids_a).astype(np.int32),
        rows[:, 1] - rows[:, 0],
        np.concatenate(ids_b).astype(np.int32),
        rows[:, 3] - rows[:, 2],
        rows[:, 4],
    )
