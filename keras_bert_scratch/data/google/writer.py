"""Writing Google's records: finished examples from `documents` records, one output shard for each input shard.

The examples of a shard are those of its first plans, as `PretrainingRecords` makes them with the same seed and with
`static_masks`. Their order is permuted as a whole; then they are made and written a few at a time.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_scratch import atomic
from keras_bert_scratch.data.corpus.files import source_files
from keras_bert_scratch.data.corpus.form import CorpusForm
from keras_bert_scratch.data.google.files import count_examples
from keras_bert_scratch.data.google.schema import LABEL, Examples, encode_examples
from keras_bert_scratch.data.pretraining.layout import lay_out_rows
from keras_bert_scratch.data.pretraining.masking import mask_tokens
from keras_bert_scratch.data.pretraining.reader import PLANS, PretrainingRecords, check_length
from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.data.pretraining.shard_plan import ShardPlan
from keras_bert_scratch.data.records.build import PLAIN_FORM, OnProgress, build_records
from keras_bert_scratch.data.records.folder import check_is_free, continued_records, new_file
from keras_bert_scratch.data.records.schema import GOOGLE_FORMAT, Manifest
from keras_bert_scratch.data.records.tfrecord import framed
from keras_bert_scratch.data.rng import permutation, random_hash
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import Address, cache_folder, path_of
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.version import WRITTEN_BY

ROWS_AT_ONCE = 1024
STATIC_RULES = ExampleRules(static_masks=True)


def write_google_examples(
    documents_directory: str | Path | Address,
    directory: str | Path | Address,
    max_length: int = 128,
    rules: ExampleRules = STATIC_RULES,
    dupe_factor: int = PLANS,
    seed: int = 0,
    on_progress: OnProgress = lambda done, of: None,
) -> Manifest:
    """Converts `documents` records to Google's in the new folder `directory`, completely or not at all.

    Until it is complete, the work is in `.partial-NAME` beside it (for an address, in the user's cache). The same call
    resumes it there, after the shards that are done, and produces the same bytes.

    Args:
        documents_directory: str or path. A folder that `build_records` made.
        directory: str or path. It must not exist yet, or be empty. On this machine or at an address.
        max_length: int, default 128. Tokens of an example, padding included.
        rules: `ExampleRules`, default BERT's. Which examples to make; the masks are static in any case.
        dupe_factor: int, default 10. How many times the documents are used, each time with different pairs and masks.
        seed: int, default 0. Seed of pairs, masks and order.
        on_progress: function, default does nothing. Called with the number of bytes of input shards that are done, and
            the total.

    Returns: the `Manifest`.

    Raises:
        UserError: the schema cannot hold such examples, `directory` is not empty, the disk is full, or the documents
            are damaged or too few.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> _ = Path("play.txt").write_text("Playing. Play!\\n\\nPlay? Play.")
        >>> _ = build_records(["play.txt"], BertTokenizer(vocabulary), "records")
        >>> write_google_examples("records", "examples", max_length=16, dupe_factor=2).shards[0]["file"]
        'examples-00000-of-00001.tfrecord'
    """
    _check(rules, dupe_factor)
    records = PretrainingRecords(documents_directory)
    records.check(max_length, rules)
    documents = records.manifest
    options = {
        "documents": documents.options,
        "max_length": max_length,
        "max_predictions": rules.masking.num_predictions(max_length),
        "dupe_factor": dupe_factor,
        "seed": seed,
        "rules": rules.to_dict(),
    }
    num_shards = len(documents.shards)
    names = [f"examples-{number:05d}-of-{num_shards:05d}.tfrecord" for number in range(num_shards)]
    total, done = documents.total("bytes"), 0
    plan = {"documents": records.fingerprint, "options": options, "written_by": WRITTEN_BY}
    with continued_records(directory, plan) as folder:
        for number, name in enumerate(names):
            if not (folder / name).exists():
                with new_file(folder / name) as file:
                    for examples, fraction in _examples(records, number, max_length, rules, dupe_factor, seed):
                        file.writelines(map(framed, encode_examples(examples)))
                        on_progress(done + int(fraction * documents.shards[number]["bytes"]), total)
            done += documents.shards[number]["bytes"]
            on_progress(done, total)
        shards = [_facts(folder / name) for name in names]
        if not any(facts["examples"] for facts in shards):
            raise UserError(f"{documents_directory}: yields no examples; rebuild the records from more text")
        manifest = Manifest(
            vocabulary_sha256=documents.vocabulary_sha256,
            vocab_size=documents.vocab_size,
            lowercase=documents.lowercase,
            shards=shards,
            text=documents.text,
            options=options,
            written_by=WRITTEN_BY,
            format=GOOGLE_FORMAT,
            word_rules=documents.word_rules,
        )
        records.tokenizer.save(folder)
        manifest.save(folder)
    return manifest


def build_google_examples(
    corpus: str | Path | Sequence[str | Path],
    tokenizer: BertTokenizer,
    directory: str | Path | Address,
    num_shards: int | None = None,
    seed: int = 0,
    form: CorpusForm = PLAIN_FORM,
    workers: int | None = None,
    on_progress: OnProgress = lambda done, of: None,
    max_length: int = 128,
    rules: ExampleRules = STATIC_RULES,
    dupe_factor: int = PLANS,
) -> Manifest:
    """From a corpus to Google's records: `build_records` into a temporary folder, then `write_google_examples`.

    Arguments, result and errors are those of the two functions. The same call resumes an interrupted one.
    """
    _check(rules, dupe_factor)
    check_length(max_length)
    target = path_of(directory)
    if isinstance(target, Path):
        atomic.check_is_free(target)
    else:
        check_is_free(target)
    state = repr((source_files(corpus), tokenizer.vocabulary.sha256, tokenizer.rules, num_shards, seed, form))
    beside = target.parent if isinstance(target, Path) else cache_folder() / "uploads"
    documents = beside / f".documents-{target.name}-{hashlib.sha256(state.encode()).hexdigest()[:16]}"
    if not documents.exists():
        build_records(corpus, tokenizer, documents, num_shards, seed, form, workers, on_progress)
    manifest = write_google_examples(documents, directory, max_length, rules, dupe_factor, seed, on_progress)
    shutil.rmtree(documents)
    return manifest


def _check(rules: ExampleRules, dupe_factor: int) -> None:
    if rules.pairs == "none":
        raise UserError("`pairs`: Google's format needs two segments; choose next or order, or the format documents")
    if rules.packing:
        raise UserError(
            "`packing`: Google's format has one example per row; give `packing=False` or choose the format documents"
        )
    if rules.objective != "masked":
        raise UserError(
            f"`objective`: Google's format has masked words, not {rules.objective!r}; choose the format documents"
        )
    if dupe_factor < 1:
        raise UserError(f"`dupe_factor`: must be at least 1, not {dupe_factor}")


def _examples(
    records: PretrainingRecords, shard: int, max_length: int, rules: ExampleRules, dupe_factor: int, seed: int
) -> Iterator[tuple[Examples, float]]:
    """A shard's examples in file order, `ROWS_AT_ONCE` at a time, each with the fraction that is done after them."""
    documents = records.documents(shard)
    plans = [ShardPlan.make(documents, max_length, rules, seed, copy, shard).examples for copy in range(dupe_factor)]
    keys = np.concatenate(
        [random_hash("masks", seed, copy, shard, np.arange(len(plan))) for copy, plan in enumerate(plans)]
    )
    pairs = np.concatenate(plans)
    order = permutation(len(pairs), "examples", seed, shard)
    vocabulary = records.tokenizer.vocabulary
    for start in range(0, len(order), ROWS_AT_ONCE):
        chosen = order[start : start + ROWS_AT_ONCE]
        row_splits = np.arange(len(chosen) + 1)
        rows = lay_out_rows(documents.token_ids, pairs[chosen], row_splits, max_length, 1, vocabulary)
        masked = mask_tokens(rows["token_ids"], rows["padding_mask"], vocabulary, rules.masking, keys[chosen])
        examples = {
            "input_ids": masked["token_ids"],
            "input_mask": rows["padding_mask"],
            "segment_ids": rows["segment_ids"],
            "masked_lm_positions": masked["mask_positions"],
            "masked_lm_ids": masked["mask_ids"],
            "masked_lm_weights": masked["mask_weights"],
            LABEL: rows["labels"],
        }
        yield examples, (start + len(chosen)) / len(order)


def _facts(path: Path) -> dict[str, Any]:
    """What the manifest stores about a shard."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    count = count_examples(path)
    return {"file": path.name, "records": count, "examples": count, "bytes": path.stat().st_size, "sha256": digest}
