"""Building records: a corpus in, TFRecord shards and a manifest out, on all cores, in flat memory, resumable.

    files → blocks of some 4 MB (this process) → sentences (worker processes) → ids, a part each (threads of this
    process, in TensorFlow, which lets them run side by side) → shards, copied from the parts' lanes

At most a few blocks are under way at any time. Finished parts lie in a folder beside the result until all are there.
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

from keras_bert_scratch import atomic
from keras_bert_scratch.data.corpus.blocks import BLOCK_BYTES, Block, read_blocks
from keras_bert_scratch.data.corpus.files import source_files
from keras_bert_scratch.data.corpus.form import CorpusForm, SourceFile
from keras_bert_scratch.data.corpus.sources import file_groups
from keras_bert_scratch.data.corpus.splitting import SplitBlock, split_block
from keras_bert_scratch.data.records.parts import make_part, read_index
from keras_bert_scratch.data.records.schema import Manifest
from keras_bert_scratch.data.records.shards import (
    Index,
    finish_records,
    lanes_of_shards,
    num_shards_of,
    options_of,
    shard_name,
    write_shard,
)
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.version import WRITTEN_BY

SMALL_BLOCKS = 4  # up to so many blocks, starting worker processes costs more than it gains
PARTS_FOLDER = "parts"

PLAIN_FORM = CorpusForm()

# Told after every block how many bytes of the files are read, and how many there are.
OnProgress = Callable[[int, int], None]


def build_records(
    corpus: Sequence[str | Path],
    tokenizer: BertTokenizer,
    directory: Path | str,
    num_shards: int | None = None,
    seed: int = 0,
    form: CorpusForm = PLAIN_FORM,
    workers: int | None = None,
    on_progress: OnProgress = lambda done, of: None,
) -> Manifest:
    """Tokenises a corpus and writes it, its documents dealt out to shards by chance, into the new folder `directory`.

    The folder appears under its name only when it is whole: shards, `manifest.json`, `vocab.txt`. Until then the work
    lies in `.partial-NAME` beside it; the same call takes it up there, after a kill too, and ends in the same bytes.

    Args:
        corpus: as for `read_documents`.
        tokenizer: makes the ids; its vocabulary is stored beside the records.
        directory: must not exist yet, or be empty.
        num_shards: files to deal the documents to; `None` for one per 64 MB of input, at least 8. Fewer for so small a
            corpus that one would get a single document.
        seed: of the dealing; the same text, form, shards and seed give the same bytes.
        form: how documents and sentences lie in the corpus.
        workers: processes that split text; `None` for one per core, none where the text is small.
        on_progress: told how far it is.

    Returns: the manifest.

    Raises:
        UserError: `directory` holds something, the disk is full, there are no documents, or a file cannot be read.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> _ = Path("play.txt").write_text("Playing. Play!")
        >>> manifest = build_records(["play.txt"], BertTokenizer(vocabulary), "records")
        >>> manifest.total("sentences"), manifest.total("tokens")
        (2, 5)
    """
    if workers is not None and workers < 1:
        raise UserError(f"--workers: must be at least 1, not {workers}")
    files = source_files(corpus)
    num_bytes = sum(file.num_bytes for file in files)
    num_shards = num_shards_of(files, num_shards)
    options = options_of(num_shards, seed, form)
    plan = {
        "vocabulary": [tokenizer.vocabulary.sha256, dataclasses.asdict(tokenizer.rules)],
        "options": options,
        "block_bytes": BLOCK_BYTES,
        "written_by": WRITTEN_BY,
    }
    with atomic.continued_folder(directory, plan) as place:
        folder = place / PARTS_FOLDER
        folder.mkdir(exist_ok=True)
        if workers is None:
            workers = (os.cpu_count() or 1) if num_bytes > SMALL_BLOCKS * BLOCK_BYTES else 0

        def finish_part(path: Path, place: int, split: SplitBlock) -> None:
            part = make_part(split, place, tokenizer, num_shards, seed)
            with atomic.written_file(path) as aside:
                aside.write_bytes(part.to_bytes())

        paths: list[Path] = []  # of all parts, in the order of the text
        _run(_missing_parts(folder, files, form, paths, on_progress), form, workers, finish_part)
        indexes = [read_index(path) for path in paths]
        if not any(index["lanes"] for index, _ in indexes):
            shutil.rmtree(folder)  # nothing worth keeping
        shards = lanes_of_shards((index for index, _ in indexes), num_shards, corpus)
        for stale in place.glob("*.tfrecord"):
            stale.unlink()  # of a build that was stopped here, perhaps of other files
        written = [
            write_shard(place / shard_name(number, len(shards)), _copied(paths, indexes, lanes))
            for number, lanes in enumerate(shards)
        ]
        manifest = finish_records(place, tokenizer, written, shards, [index for index, _ in indexes], options)
        shutil.rmtree(folder)
    return manifest


def _missing_parts(
    folder: Path, files: Sequence[SourceFile], form: CorpusForm, paths: list[Path], on_progress: OnProgress
) -> Iterator[tuple[Path, int, Block]]:
    """The blocks whose parts are not in `folder` yet: each with its part's path and its place in the corpus.

    Every part's path is appended to `paths`. It names the state of the files that the block is of: a file that was
    changed since makes new parts, the others stay.
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
            read += sum(stretch.num_bytes for stretch in block.stretches)
            on_progress(done + min(read, group_bytes), total)
        done += group_bytes


def _run(
    blocks: Iterator[tuple[Path, int, Block]],
    form: CorpusForm,
    workers: int,
    finish_part: Callable[[Path, int, SplitBlock], None],
) -> None:
    """Splits blocks in `workers` processes, or here if 0, and finishes their parts in threads, a few at a time."""
    with contextlib.ExitStack() as stack:
        if workers:
            pool = stack.enter_context(loky.ProcessPoolExecutor(max_workers=workers))

        def work(path: Path, place: int, block: Block) -> None:
            try:
                split = pool.submit(split_block, block, form).result() if workers else split_block(block, form)
            except loky.process_executor.TerminatedWorkerError as error:
                raise UserError(
                    f"--workers: a worker process was killed, perhaps for want of memory ({error}); the same command "
                    f"goes on from here, with fewer of them if need be"
                ) from error
            finish_part(path, place, split)

        num_threads = max(workers, os.cpu_count() or 1) + 1  # one more, so that none waits for the reading
        threads = concurrent.futures.ThreadPoolExecutor(num_threads)
        stack.callback(threads.shutdown, cancel_futures=True)
        waiting: set[concurrent.futures.Future[None]] = set()
        for path, place, block in blocks:
            waiting.add(threads.submit(work, path, place, block))
            if len(waiting) > num_threads:
                done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    future.result()
        for future in concurrent.futures.as_completed(waiting):
            future.result()


def _copied(paths: Sequence[Path], indexes: Sequence[tuple[Index, int]], lanes: Sequence[int]) -> Iterator[bytes]:
    """The records of `lanes`, from one part after another."""
    for path, (index, offset) in zip(paths, indexes, strict=True):
        with path.open("rb") as file:
            for lane, facts in index["lanes"].items():
                if int(lane) in lanes:
                    file.seek(offset)
                    yield file.read(facts["bytes"])
                offset += facts["bytes"]
