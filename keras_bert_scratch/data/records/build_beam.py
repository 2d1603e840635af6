"""Building records on many machines: the local builder's steps as an Apache Beam pipeline, with the same output bytes.

    groups of files → blocks → parts ┬→ counts, added up by bucket → which buckets make up each shard
                                     └→ records, grouped by shard → shard files → manifest.json, vocab.txt

Beam runs steps in any order, and may run a step again, or twice at the same time. The result is the same: a part
depends only on its block and the block's position, and the records of a shard are sorted before they are written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_bert_scratch import atomic
from keras_bert_scratch.data.corpus.blocks import Block, read_blocks
from keras_bert_scratch.data.corpus.files import source_files
from keras_bert_scratch.data.corpus.form import CorpusForm, SourceFile
from keras_bert_scratch.data.corpus.sources import file_groups
from keras_bert_scratch.data.corpus.splitting import split_block
from keras_bert_scratch.data.records.build import PLAIN_FORM
from keras_bert_scratch.data.records.folder import check_is_free
from keras_bert_scratch.data.records.parts import Part, make_part
from keras_bert_scratch.data.records.schema import Manifest
from keras_bert_scratch.data.records.shards import (
    Totals,
    added,
    buckets_of_shards,
    counts_of,
    finish_records,
    num_shards_of,
    options_of,
    shard_name,
    shard_of,
    write_shard,
)
from keras_bert_scratch.errors import UserError, user_error_within
from keras_bert_scratch.filesystem import Address, AnyPath, listed, path_of
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.text.vocabulary import Vocabulary
from keras_bert_scratch.text.word_rules import WordRules

ATTEMPTS_FOLDER = "attempts"

# What Beam writes between an error of a step and the step's name, and what gRPC writes if it cannot reach a server.
OF_A_STEP = " [while running "
UNREACHABLE = re.compile(r'details = "(failed to connect to all addresses.*?)"')
# The loggers to which Beam writes a step's error: in this process, and as a message from a job service.
LOGGERS_OF_STEPS = ("apache_beam.runners.common", "root")

# The position of a block in the corpus: the number of its group of files, and the block's number within the group.
Position = tuple[int, int]
# The part's position, the number of a bucket in it, and the bucket's framed record.
Record = tuple[Position, int, bytes]


def build_records_with_beam(
    corpus: str | Path | Sequence[str | Path],
    tokenizer: BertTokenizer,
    directory: str | Path | Address,
    num_shards: int | None = None,
    seed: int = 0,
    form: CorpusForm = PLAIN_FORM,
    pipeline_args: Sequence[str] = (),
) -> Manifest:
    """Does the same as `build_records`, but on the workers of a Beam runner: a Flink or Spark cluster, or this machine.

    The same arguments give the same bytes as there. On a disk the folder gets its name only when it is complete; until
    then the work is in `.partial-NAME` beside it, and is removed after an error. At an address the shards are written
    under their final names, and `manifest.json` last: without it, a folder does not count as records.

    Args:
        corpus: str, path or a list of these. As for `build_records`; each path must mean the same file to every worker.
        tokenizer: `BertTokenizer`. Computes the ids; its vocabulary is stored beside the records.
        directory: str or path. It must not exist yet, or be empty. An address such as `gs://bucket/records`, or a
            folder on a disk that this process and every worker share under one path.
        num_shards: int, default as for `build_records`. A worker has a whole shard in memory.
        seed: int, default 0. Seed of the assignment of documents to shards.
        form: `CorpusForm`, default plain text with blank lines between documents.
        pipeline_args: list of str, default none. Beam's own options, such as `--runner=FlinkRunner`; without any, the
            work is done in this process.

    Returns: the `Manifest`.

    Raises:
        UserError: as for `build_records`, on any machine; Beam is not installed or rejects its options, a server of the
            engine cannot be reached, or a worker cannot access `directory`.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> _ = Path("play.txt").write_text("Playing. Play!")
        >>> manifest = build_records_with_beam(["play.txt"], BertTokenizer(vocabulary), "records")
        >>> manifest.total("sentences"), manifest.total("tokens")
        (2, 5)
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise UserError(
            "`beam`: needs the package 'apache-beam'; install it with \"pip install 'keras_bert_scratch[beam]'\""
        ) from None
    files = source_files(corpus)
    num_buckets = num_shards_of(files, num_shards)
    try:
        pipeline = beam.Pipeline(options=PipelineOptions(list(pipeline_args)))
    except (AttributeError, ImportError, ValueError) as error:
        raise UserError(f"`beam`: Beam rejects its options ({_one_line(error)}); fix them") from None

    with _new_folder(path_of(directory)) as folder, _user_errors_not_logged():
        steps = _Steps(folder, tokenizer.vocabulary, tokenizer.rules, num_buckets, seed, form)
        parts = (
            pipeline
            | "Groups of files" >> beam.Create(list(enumerate(file_groups(files))))
            | "Spread groups" >> beam.Reshuffle()
            | "Read blocks" >> beam.FlatMap(steps.blocks)
            | "Spread blocks" >> beam.Reshuffle()  # one worker reads a big file, but many process its blocks
            | "Make parts" >> beam.Map(steps.part)
        )
        totals = (
            parts
            | "Take counts" >> beam.FlatMap(_counts)
            | "Add up counts" >> beam.CombinePerKey(added)
            | "Gather counts" >> beam.combiners.ToDict()
        )
        shards = totals | "Assign buckets to shards" >> beam.Map(
            buckets_of_shards, num_buckets, list(map(str, listed(corpus)))
        )
        written = (
            parts
            | "Take records" >> beam.FlatMap(_records, beam.pvalue.AsSingleton(shards))
            | "Gather shards" >> beam.GroupByKey()
            | "Write shards" >> beam.Map(steps.write_shard, beam.pvalue.AsSingleton(shards))
            | "Gather files" >> beam.combiners.ToList()
        )
        known = (beam.pvalue.AsSingleton(shards), beam.pvalue.AsSingleton(totals))
        _ = written | "Finish" >> beam.Map(steps.finish, *known)
        try:
            running = pipeline.run()
        except Exception as error:
            raise _user_error_of(error) or _refusal_of(error) or error from None
        try:
            running.wait_until_finish()
        except Exception as error:
            raise _user_error_of(error) or error from None
        return Manifest.load(folder)


@contextlib.contextmanager
def _new_folder(target: AnyPath) -> Iterator[AnyPath]:
    """Yields the folder in which the shards are written."""
    if isinstance(target, Address):
        check_is_free(target)
        yield target
        return
    with atomic.write_folder(target) as folder:
        (folder / ATTEMPTS_FOLDER).mkdir()
        yield folder
        shutil.rmtree(folder / ATTEMPTS_FOLDER)


@dataclasses.dataclass(frozen=True)
class _Steps:
    """The pipeline's steps, and what every worker needs for them.

    Args:
        folder: path. Where the shards are written.
        vocabulary, rules: of the tokenizer; a tokenizer itself cannot be sent to another process.
        num_buckets, seed, form: as for `build_records`.
    """

    folder: AnyPath
    vocabulary: Vocabulary
    rules: WordRules
    num_buckets: int
    seed: int
    form: CorpusForm

    def blocks(self, numbered: tuple[int, list[SourceFile]]) -> Iterator[tuple[Position, Block]]:
        if isinstance(self.folder, Path) and not self.folder.is_dir():  # fail now, not after hours of work
            raise UserError(f"{self.folder}: a worker cannot access it; give a folder on a disk that all workers share")
        number, group = numbered
        for block_number, block in enumerate(read_blocks(group, self.form)):
            yield (number, block_number), block

    def part(self, placed: tuple[Position, Block]) -> tuple[Position, Part]:
        position, block = placed
        split = split_block(block, self.form)
        return position, make_part(split, sum(position), self._tokenizer(), self.num_buckets, self.seed)

    def write_shard(
        self, gathered: tuple[int, Iterable[Record]], shards: list[list[int]]
    ) -> tuple[int, dict[str, Any]]:
        number, records = gathered
        in_order = sorted(records, key=lambda record: record[:2])
        name = shard_name(number, len(shards))
        framed = (record for _, _, record in in_order)
        if isinstance(self.folder, Address):  # a second attempt writes the same bytes
            return number, write_shard(self.folder / name, framed)
        attempt = Path(tempfile.mkdtemp(dir=self.folder / ATTEMPTS_FOLDER))
        file = write_shard(attempt / name, framed)
        (attempt / name).replace(self.folder / name)
        return number, file

    def finish(self, written: list[tuple[int, dict[str, Any]]], shards: list[list[int]], totals: Totals) -> None:
        files = [file for _, file in sorted(written, key=lambda numbered: numbered[0])]
        options = options_of(self.num_buckets, self.seed, self.form)
        finish_records(self.folder, self._tokenizer(), files, shards, totals, options)

    def _tokenizer(self) -> BertTokenizer:
        return _tokenizer(self.vocabulary, self.rules)


@functools.lru_cache(maxsize=1)
def _tokenizer(vocabulary: Vocabulary, rules: WordRules) -> BertTokenizer:
    """The tokenizer, created once per process."""
    return BertTokenizer(vocabulary, **dataclasses.asdict(rules))


def _counts(made: tuple[Position, Part]) -> Iterator[tuple[str, dict[str, int]]]:
    return counts_of(made[1].index())


def _records(made: tuple[Position, Part], shards: list[list[int]]) -> Iterator[tuple[int, Record]]:
    """The records of a part, each with the number of its shard."""
    position, part = made
    for bucket, framed in part.buckets.items():
        yield shard_of(bucket, shards), (position, bucket, framed)


@contextlib.contextmanager
def _user_errors_not_logged() -> Iterator[None]:
    """Keeps errors out of Beam's log that are raised as a one-line `UserError`."""
    loggers = [logging.getLogger(name) for name in LOGGERS_OF_STEPS]
    for logger in loggers:
        logger.addFilter(_is_not_user_error)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_not_user_error)


def _is_not_user_error(record: logging.LogRecord) -> bool:
    raised = record.exc_info[1] if record.exc_info else None
    return not _user_error_of(raised if isinstance(raised, Exception) else RuntimeError(record.getMessage()))


def _user_error_of(error: Exception) -> UserError | None:
    """The `UserError` that a step raised: Beam adds the step's name, or passes it on as text."""
    if unreachable := UNREACHABLE.search(str(error)):
        return UserError(f"`beam`: a server cannot be reached ({unreachable[1]}); start it, or fix its address")
    found = error if isinstance(error, UserError) else user_error_within(error)
    return found and UserError(str(found).partition(OF_A_STEP)[0])


def _refusal_of(error: Exception) -> UserError | None:
    """The `UserError` for an error of the engine itself: it is not installed, not running, or lacks an option."""
    text = _one_line(error)
    if OF_A_STEP in text or "Traceback" in text or getattr(error, "errno", None):
        return None
    if isinstance(error, (ImportError, OSError, RuntimeError, ValueError)) or type(error).__module__.startswith("grpc"):
        return UserError(f"`beam`: the engine rejects the work ({text}); fix the options, or start the engine")
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
