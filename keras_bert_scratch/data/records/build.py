"""Building records: from a corpus to TFRecord shards and a manifest, on all cores, in constant memory, resumable.

    files → blocks of about 4 MB (this process) → sentences (worker processes) → ids, one part per block (threads of
    this process: TensorFlow releases Python's GIL) → shards, copied from the buckets of all parts

At most a few blocks are in memory at any time. Finished parts are files in a folder beside the result until all exist.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import loky

from keras_bert_scratch.data.corpus.blocks import BLOCK_BYTES, Block, read_blocks
from keras_bert_scratch.data.corpus.files import source_files
from keras_bert_scratch.data.corpus.form import CorpusForm, SourceFile
from keras_bert_scratch.data.corpus.sources import file_groups
from keras_bert_scratch.data.corpus.splitting import SplitBlock, exit_with_parent, split_block
from keras_bert_scratch.data.records.folder import continued_records, new_file
from keras_bert_scratch.data.records.parts import PART_FORMAT, make_part, read_index
from keras_bert_scratch.data.records.schema import Manifest
from keras_bert_scratch.data.records.shards import (
    TEXT,
    buckets_of_shards,
    finish_records,
    num_shards_of,
    options_of,
    totals_of,
    write_shards,
)
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import Address
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.version import WRITTEN_BY

SMALL_BLOCKS = 4  # for at most so many blocks, worker processes take more time to start than they save
PARTS_FOLDER = "parts"

PLAIN_FORM = CorpusForm()

# Called after every block with the number of bytes read so far, and the total number of bytes.
OnProgress = Callable[[int, int], None]


def build_records(
    corpus: str | Path | Sequence[str | Path],
    tokenizer: BertTokenizer,
    directory: str | Path | Address,
    num_shards: int | None = None,
    seed: int = 0,
    form: CorpusForm = PLAIN_FORM,
    workers: int | None = None,
    on_progress: OnProgress = lambda done, of: None,
) -> Manifest:
    """Tokenizes a corpus and writes its documents, randomly assigned to shards, into the new folder `directory`.

    The folder gets its name only when it is complete: shards, `manifest.json`, `vocab.txt`. Until then the work is in
    `.partial-NAME` beside it (for an address, in the user's cache). After an interruption or a kill, the same call
    resumes the build there and produces the same bytes.

    Args:
        corpus: str, path or a list of these. As for `read_documents`.
        tokenizer: `BertTokenizer`. Computes the ids; its vocabulary is stored beside the records.
        directory: str or path. It must not exist yet, or be empty. On this machine or at an address such as
            `gs://bucket/records`.
        num_shards: int, default one per 64 MB of input and at least 8. How many files the documents are assigned to.
            There are fewer for a corpus so small that a file would get a single document.
        seed: int, default 0. Seed of the assignment; the same text, form, shard count and seed give the same bytes.
        form: `CorpusForm`, default plain text with blank lines between documents. How the files hold the text.
        workers: int, default one per core, or none for a small corpus. Processes that split text into sentences.
        on_progress: function, default does nothing. Called with the number of bytes read so far, and the total.

    Returns: the `Manifest`.

    Raises:
        UserError: `directory` is not empty, the disk is full, there are no documents, or a file cannot be read.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> _ = Path("play.txt").write_text("Playing. Play!")
        >>> manifest = build_records(["play.txt"], BertTokenizer(vocabulary), "records")
        >>> manifest.total("sentences"), manifest.total("tokens")
        (2, 5)
    """
    if workers is not None and workers < 1:
        raise UserError(f"`workers`: must be at least 1, not {workers}")
    files = source_files(corpus)
    num_bytes = sum(file.num_bytes for file in files)
    num_shards = num_shards_of(files, num_shards)
    options = options_of(num_shards, seed, form)
    plan = {
        "vocabulary": [tokenizer.vocabulary.sha256, dataclasses.asdict(tokenizer.rules)],
        "options": options,
        "block_bytes": BLOCK_BYTES,
        "part_format": PART_FORMAT,
        "written_by": WRITTEN_BY,
    }
    with continued_records(directory, plan) as records:
        folder = records / PARTS_FOLDER
        folder.mkdir(exist_ok=True)
        if workers is None:
            workers = (os.cpu_count() or 1) if num_bytes > SMALL_BLOCKS * BLOCK_BYTES else 0

        def finish_part(path: Path, position: int, split: SplitBlock) -> None:
            part = make_part(split, position, tokenizer, num_shards, seed)
            with new_file(path) as file:
                file.write(part.to_bytes())

        paths: list[Path] = []  # of all parts, in the order of the text
        _run(_missing_parts(folder, files, form, paths, on_progress), form, workers, finish_part)
        totals = totals_of(map(read_index, paths))
        if totals.keys() <= {TEXT}:
            shutil.rmtree(folder)  # nothing worth keeping
        shards = buckets_of_shards(totals, num_shards, corpus)
        for stale in records.glob("*.tfrecord"):
            stale.unlink()  # left by a build that stopped here, perhaps before the corpus changed
        written = write_shards(records, paths, shards)
        return finish_records(records, tokenizer, written, shards, totals, options)


def _missing_parts(
    folder: Path, files: Sequence[SourceFile], form: CorpusForm, paths: list[Path], on_progress: OnProgress
) -> Iterator[tuple[Path, int, Block]]:
    """The blocks whose parts are not in `folder` yet, each with the path of its part and its position in the corpus.

    The paths of all parts are appended to `paths`. A path contains a hash of the state of the block's files: if a file
    has changed since, its parts are rebuilt; all others are kept.
    """
    there = set(folder.iterdir())
    total, done = sum(file.num_bytes for file in files), 0
    for number, group in enumerate(file_groups(files)):
        group_bytes, read = sum(file.num_bytes for file in group), 0
        state = hashlib.sha256(repr(group).encode()).hexdigest()[:16]
        for block_number, block in enumerate(read_blocks(group, form)):
            paths.append(folder / f"{number:06d}-{block_number:06d}-{state}.part")
            if paths[-1] not in there:
                yield paths[-1], number + block_number, block
            read += sum(chunk.num_bytes for chunk in block.chunks)
            on_progress(done + min(read, group_bytes), total)
        done += group_bytes


def _run(
    blocks: Iterator[tuple[Path, int, Block]],
    form: CorpusForm,
    workers: int,
    finish_part: Callable[[Path, int, SplitBlock], None],
) -> None:
    """Splits blocks in `workers` processes, or in this one if 0, and finishes their parts in threads."""
    with contextlib.ExitStack() as stack:
        if workers:
            pool = stack.enter_context(
                loky.ProcessPoolExecutor(workers, initializer=exit_with_parent, initargs=(os.getpid(),))
            )

        def work(path: Path, position: int, block: Block) -> None:
            try:
                split = pool.submit(split_block, block, form).result() if workers else split_block(block, form)
            except loky.process_executor.TerminatedWorkerError as error:
                raise UserError(
                    f"`workers`: a worker process was killed, perhaps for lack of memory ({error}); repeat the "
                    f"call to resume, with fewer workers if necessary"
                ) from error
            finish_part(path, position, split)

        num_threads = max(workers, os.cpu_count() or 1) + 1  # one more, so that no worker waits while a block is read
        threads = concurrent.futures.ThreadPoolExecutor(num_threads)
        stack.callback(threads.shutdown, cancel_futures=True)
        waiting: set[concurrent.futures.Future[None]] = set()
        for path, position, block in blocks:
            waiting.add(threads.submit(work, path, position, block))
            if len(waiting) > num_threads:
                done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    future.result()
        for future in concurrent.futures.as_completed(waiting):
            future.result()
