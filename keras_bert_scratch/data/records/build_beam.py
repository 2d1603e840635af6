"""Building records on many machines: the local builder's steps as an Apache Beam pipeline, and the same bytes.

    groups of files → blocks → parts ┬→ indexes → which lanes make up each shard
                                     └→ lanes' records, gathered by shard → shard files → manifest.json, vocab.txt

Beam runs steps in any order, and may run one again, or twice at once. A part depends on its block and the block's place
alone, and a shard's records are put in order, written aside and renamed, so none of that shows.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
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
from keras_bert_scratch.data.corpus.streams import is_url
from keras_bert_scratch.data.records.build import PLAIN_FORM
from keras_bert_scratch.data.records.parts import Part, make_part
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
from keras_bert_scratch.errors import UserError, user_error_within
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.text.vocabulary import Vocabulary
from keras_bert_scratch.text.word_rules import WordRules

ATTEMPTS_FOLDER = "attempts"

# Where a block stands in the corpus: the number of its group of files, and its own within the group.
Position = tuple[int, int]
# The record of a lane of the part there, framed.
Record = tuple[Position, int, bytes]


def build_records_with_beam(
    corpus: Sequence[str | Path],
    tokenizer: BertTokenizer,
    directory: Path | str,
    num_shards: int | None = None,
    seed: int = 0,
    form: CorpusForm = PLAIN_FORM,
    pipeline_args: Sequence[str] = (),
) -> Manifest:
    """Does what `build_records` does on the workers of a Beam runner: a Flink or Spark cluster, or this machine.

    The same arguments give the same bytes as there. The folder appears under its name only when it is whole; until then
    the work lies in `.partial-NAME` beside it, and is removed when something fails.

    Args:
        corpus: as for `build_records`; each path must mean the same file to every worker.
        tokenizer: makes the ids; its vocabulary is stored beside the records.
        directory: must not exist yet, or be empty; on a disk that this process and every worker share, under one path.
        num_shards: as for `build_records`. Every shard is put together in the memory of one worker.
        seed: of the dealing.
        form: how documents and sentences lie in the corpus.
        pipeline_args: Beam's own options, such as `--runner=FlinkRunner`; without any, the work is done here.

    Returns: the manifest.

    Raises:
        UserError: as for `build_records`, on whichever machine; Beam is not installed or refuses its options, or a
            worker does not see `directory`.

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
            "--beam: needs the package 'apache-beam'; install it with \"pip install 'keras_bert_scratch[beam]'\""
        ) from None
    _check_is_shared(directory)
    files = source_files(corpus)
    num_lanes = num_shards_of(files, num_shards)
    logging.getLogger("apache_beam.runners.common").addFilter(_is_not_for_users)
    try:
        pipeline = beam.Pipeline(options=PipelineOptions(list(pipeline_args)))
    except ValueError as error:
        raise UserError(f"--beam: Beam refuses its options ({' '.join(str(error).split())}); mend them") from None

    with atomic.written_folder(directory) as place:
        (place / ATTEMPTS_FOLDER).mkdir()
        steps = _Steps(place, tokenizer.vocabulary, tokenizer.rules, num_lanes, seed, form)
        parts = (
            pipeline
            | "Groups of files" >> beam.Create(list(enumerate(file_groups(files))))
            | "Spread groups" >> beam.Reshuffle()
            | "Read blocks" >> beam.FlatMap(steps.blocks)
            | "Spread blocks" >> beam.Reshuffle()  # one worker reads a big file, but many can work on it
            | "Make parts" >> beam.Map(steps.part)
        )
        indexes = parts | "Take indexes" >> beam.Map(_index) | "Gather indexes" >> beam.combiners.ToList()
        shards = indexes | "Deal lanes to shards" >> beam.Map(lanes_of_shards, num_lanes, tuple(map(str, corpus)))
        written = (
            parts
            | "Take records" >> beam.FlatMap(_records, beam.pvalue.AsSingleton(shards))
            | "Gather shards" >> beam.GroupByKey()
            | "Write shards" >> beam.Map(steps.write_shard, beam.pvalue.AsSingleton(shards))
            | "Gather files" >> beam.combiners.ToList()
        )
        known = (beam.pvalue.AsSingleton(shards), beam.pvalue.AsSingleton(indexes))
        _ = written | "Finish" >> beam.Map(steps.finish, *known)
        try:
            pipeline.run().wait_until_finish()
        except Exception as error:
            raise _user_error_of(error) or error from None
        shutil.rmtree(place / ATTEMPTS_FOLDER)
        return Manifest.load(place)


def _check_is_shared(directory: Path | str) -> None:
    if is_url(str(directory)):
        raise UserError(f"{directory}: is a URL; give a folder on a disk that all workers share")


@dataclasses.dataclass(frozen=True)
class _Steps:
    """The steps, and what every worker has to know for them.

    Args:
        place: where the shards are written.
        vocabulary, rules: of the tokenizer; one that is in use cannot be sent.
        num_lanes, seed, form: as for `build_records`.
    """

    place: Path
    vocabulary: Vocabulary
    rules: WordRules
    num_lanes: int
    seed: int
    form: CorpusForm

    def blocks(self, numbered: tuple[int, list[SourceFile]]) -> Iterator[tuple[Position, Block]]:
        if not self.place.is_dir():  # told now, and not after hours of work
            raise UserError(f"{self.place}: a worker does not see it; give a folder on a disk that all workers share")
        number, group = numbered
        for block_number, block in enumerate(read_blocks(group, self.form)):
            yield (number, block_number), block

    def part(self, placed: tuple[Position, Block]) -> tuple[Position, Part]:
        position, block = placed
        split = split_block(block, self.form)
        return position, make_part(split, sum(position), self._tokenizer(), self.num_lanes, self.seed)

    def write_shard(
        self, gathered: tuple[int, Iterable[Record]], shards: list[list[int]]
    ) -> tuple[int, dict[str, Any]]:
        number, records = gathered
        in_order = sorted(records, key=lambda record: record[:2])
        name = shard_name(number, len(shards))
        attempt = Path(tempfile.mkdtemp(dir=self.place / ATTEMPTS_FOLDER))
        file = write_shard(attempt / name, (framed for _, _, framed in in_order))
        (attempt / name).replace(self.place / name)
        return number, file

    def finish(self, written: list[tuple[int, dict[str, Any]]], shards: list[list[int]], indexes: list[Index]) -> None:
        files = [file for _, file in sorted(written, key=lambda numbered: numbered[0])]
        options = options_of(self.num_lanes, self.seed, self.form)
        finish_records(self.place, self._tokenizer(), files, shards, indexes, options)

    def _tokenizer(self) -> BertTokenizer:
        return _tokenizer(self.vocabulary, self.rules)


@functools.lru_cache(maxsize=1)
def _tokenizer(vocabulary: Vocabulary, rules: WordRules) -> BertTokenizer:
    """This process's tokenizer."""
    return BertTokenizer(vocabulary, **dataclasses.asdict(rules))


def _index(made: tuple[Position, Part]) -> Index:
    return made[1].index()


def _records(made: tuple[Position, Part], shards: list[list[int]]) -> Iterator[tuple[int, Record]]:
    """The records of a part, each with the number of its shard."""
    position, part = made
    shard_of = {lane: number for number, lanes in enumerate(shards) for lane in lanes}
    for lane, framed in part.lanes.items():
        yield shard_of[lane], (position, lane, framed)


def _is_not_for_users(record: logging.LogRecord) -> bool:
    """Beam logs what a step raises, with a traceback; a `UserError` is told in one line by who called us."""
    return not (record.exc_info and isinstance(record.exc_info[1], UserError))


def _user_error_of(error: Exception) -> UserError | None:
    """The `UserError` that a step raised: Beam adds the step's name to it or passes it on as text, by runner."""
    found = error if isinstance(error, UserError) else user_error_within(error)
    return found and UserError(str(found).partition(" [while running ")[0])
