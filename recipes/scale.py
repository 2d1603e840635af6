"""The tables of docs/scale.md: what larger corpora and more machines would take, and where the design ends.

    python recipes/scale.py

Nothing here was run at these sizes. Numbers are computed from the facts of `scale_facts.py`, each of which is measured
on small machines, published or assumed, and says so. Cost: seconds, most of them TensorFlow's start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import typer
from pretraining import BATCH, LENGTH, SECOND_FRACTION, SECOND_LENGTH, STEPS
from scale_facts import (
    COPIES,
    CORPUS,
    DISK,
    FACTS,
    GOOGLE_BYTES,
    INTERRUPTED,
    LATENCY,
    NVLINK,
    PEAK,
    PLAN,
    RECORD_BYTES,
    REQUEST,
    RESTART,
    ROW_RATE,
    ROW_RATE_EPYC,
    ROW_TOKENS,
    TEXT_BYTES,
    TPU_HOST,
)
from scale_formulas import (
    all_reduce_seconds,
    build_hours,
    daly,
    lost_fraction,
    num_weights,
    planned_rows,
    record_bytes,
    rows_of_shard,
    rows_per_second,
    shards_of,
    state_bytes,
    step_seconds,
    young,
)

from keras_bert_scratch.commands.main import ends_well
from keras_bert_scratch.config import NAMED_SIZES, BertConfig
from keras_bert_scratch.data.corpus.blocks import BLOCK_BYTES
from keras_bert_scratch.data.pretraining.reader import PLANS
from keras_bert_scratch.training.options import RunOptions

CORPORA = {"BERT's, 3.3 billion words": CORPUS.value, "100 GB": 100e9, "10 TB": 10e12}
WORKERS = (1, 10, 100, 1000)
NETWORKS = {"10 Gbit/s": 10e9 / 8, "100 Gbit/s": 100e9 / 8, "400 Gbit/s": 400e9 / 8}
GPUS = 8  # of a host
SAVE_SECONDS = RunOptions().save_seconds
MANIFEST_BYTES = 270  # some, of a shard's lines in the manifest


def main() -> None:
    """Print the tables."""
    print("\n\n".join(f"{name}:\n\n{table}" for name, table in tables().items()))


def tables() -> dict[str, str]:
    """Every table in Markdown, by its name."""
    return {
        "facts": facts(),
        "records": records(),
        "reading": reading(),
        "all-reduce": all_reduces(),
        "states": states(),
        "losses": losses(),
        "limits": limits(),
    }


def facts() -> str:
    """What everything else is computed from."""
    return markdown(("number", "kind", "where"), ((fact.text, fact.kind, fact.where) for fact in FACTS), numbers=0)


def records() -> str:
    """Building records."""
    headings = ("text", "tokens, billions", "records, GB", "Google's, ten copies, GB", "shards", "blocks")
    return markdown(
        (*headings, *(f"hours, {workers:,} worker{'s' * (workers > 1)}" for workers in WORKERS)),
        (
            (
                name,
                f"{text / TEXT_BYTES.value / 1e9:,.1f}",
                f"{record_bytes(text) / 1e9:,.1f}",
                f"{text / TEXT_BYTES.value * COPIES.value * GOOGLE_BYTES.value / 1e9:,.0f}",
                f"{shards_of(text):,}",
                f"{text / BLOCK_BYTES:,.0f}",
                *(f"{build_hours(text, workers):.3g}" for workers in WORKERS),
            )
            for name, text in CORPORA.items()
        ),
    )


def reading() -> str:
    """What models eat, in rows of 128 a second, against what processes deliver."""
    headings = ("model", "rows/s of a H100", "of 8", "of a TPU v4 host", "readers for 8, Xeon", "EPYC")
    return markdown(
        (*headings, "GPUs that outrun a plan"),
        (
            (
                f"`{name}`",
                f"{rate:,.0f}",
                f"{GPUS * rate:,.0f}",
                f"{rate * TPU_HOST.value / PEAK.value:,.0f}",
                f"{math.ceil(GPUS * rate / ROW_RATE.value)}",
                f"{math.ceil(GPUS * rate / ROW_RATE_EPYC.value)}",
                f"{math.ceil(planned_rows() / rate):,}",
            )
            for name, rate in ((name, rows_per_second(config)) for name, config in models())
        ),
    )


def all_reduces() -> str:
    """Milliseconds of a step that go to products, and to the sum of the gradients."""
    headings = ("model", "gradients, MB", "computing, ms", "NVLink, 8 GPUs, ms")
    columns = [(name, hosts) for name in NETWORKS for hosts in WORKERS[1:]]

    def row(name: str, config: BertConfig) -> Iterable[str]:
        gradients = 4 * num_weights(config)
        yield f"`{name}`"
        yield f"{gradients / 1e6:,.0f}"
        yield f"{step_seconds(config) * 1e3:.1f}"
        yield f"{all_reduce_seconds(gradients, GPUS, NVLINK.value, 0) * 1e3:.1f}"
        for network, hosts in columns:
            yield f"{all_reduce_seconds(gradients, hosts, NETWORKS[network], LATENCY.value) * 1e3:,.0f}"

    names = [f"{network}, {hosts:,} hosts" for network, hosts in columns]
    return markdown((*headings, *names), (row(name, config) for name, config in models()))


def states() -> str:
    """Training states."""
    headings = ("model", "state, MB", "to write it, s", "of the time, every 60 s")
    return markdown(
        (*headings, *(f"read by {workers:,} hosts, s" for workers in WORKERS[1:])),
        (
            (
                f"`{name}`",
                f"{size / 1e6:,.0f}",
                f"{size / DISK.value:.2f}",
                f"{size / DISK.value / (SAVE_SECONDS + size / DISK.value):.1%}",
                *(f"{workers * size / DISK.value:,.0f}" for workers in WORKERS[1:]),
            )
            for name, size in ((name, state_bytes(config)) for name, config in models())
        ),
    )


def losses() -> str:
    """Lost workers."""
    headings = ("model", "hosts of 8 GPUs", "hours between losses", "best interval, s: Young", "Daly")
    names = ("lost at it, hours a day", "lost every 60 s, hours a day", "every hour")

    def row(name: str, hosts: int) -> Iterable[str]:
        saving = state_bytes(BertConfig.preset(name)) / DISK.value
        between = INTERRUPTED.value / GPUS / hosts * 3600
        best = daly(saving, between)
        yield from (f"`{name}`", f"{hosts:,}", f"{between / 3600:,.1f}")
        yield from (f"{young(saving, between):,.0f}", f"{best:,.0f}")
        for interval in (best, SAVE_SECONDS, 3600.0):
            yield f"{24 * lost_fraction(interval, saving, RESTART.value + hosts * saving, between):.2f}"

    return markdown(
        (*headings, *names), (row(name, hosts) for name in ("bert-base", "bert-large") for hosts in WORKERS)
    )


def limits() -> str:
    """Where each choice of the design ends."""
    base, large = (BertConfig.preset(name) for name in ("bert-base", "bert-large"))
    huge = shards_of(CORPORA["10 TB"])
    tokens = CORPUS.value / TEXT_BYTES.value
    read = BATCH * STEPS * ((1 - SECOND_FRACTION) * (LENGTH - 3) + SECOND_FRACTION * (SECOND_LENGTH - 3))
    ratio = COPIES.value * GOOGLE_BYTES.value / RECORD_BYTES.value
    slowest = min(NETWORKS.values())
    efficient = all_reduce_seconds(4 * num_weights(base), 100, slowest, LATENCY.value)
    rows = (
        (
            "masks made when rows are read, not ten copies on disk",
            f"never by size: ten copies are {ratio:.0f} times the bytes",
            "",
        ),
        (
            "ten plans of pairs, used in turn",
            f"BERT's recipe reads its corpus {read / tokens:.0f} times; pairs come again from epoch {PLANS + 1} on, "
            "masks do not",
            "more plans; a late first step costs as much more",
        ),
        (
            "a worker takes a slice of every batch, so all plan every shard",
            f"{planned_rows():,.0f} rows/s of all workers: {math.ceil(planned_rows() / rows_per_second(base)):,} GPUs "
            f"of bert-base outrun it, {math.ceil(planned_rows() / rows_per_second(large)):,} of bert-large",
            "batches of rows from many shards, each worker with shards of its own",
        ),
        (
            "a shard is in memory when it is read, three at a time",
            f"3 x {rows_of_shard() * ROW_TOKENS.value * 2 / 1e6:.0f} MB of ids, whatever the corpus; only larger "
            "shards would end it",
            "smaller shards",
        ),
        (
            "rows are counted by planning, and remembered",
            f"a late step of 10 TB that nobody has read: {huge * PLAN.value / 3600:.1f} hours an epoch, "
            f"{PLANS * huge * PLAN.value / 3600:.0f} in all; a run that is resumed counts nothing again",
            "counts by the builder, for a few lengths",
        ),
        (
            "one reader process a machine",
            f"{ROW_RATE.value:,.0f} rows/s on a Xeon: 8 GPUs from bert-base on need one, smaller models more",
            "a process for each GPU (`--strategy multiworker`), which reads for it alone",
        ),
        (
            "the chief alone writes states, while all wait",
            f"{0.05 * SAVE_SECONDS * DISK.value / 1e9:.0f} GB cost 5% every 60 s at 1 GB/s: "
            f"{0.05 * SAVE_SECONDS * DISK.value / 12 / 1e6:,.0f} million weights",
            "`--save-every` as in the table of losses; then writing in the background, or a part by each worker",
        ),
        (
            "every worker reads the whole state",
            f"1,000 hosts and bert-large: {1000 * state_bytes(large) / DISK.value / 3600:.1f} hours through one "
            "disk of 1 GB/s",
            "one reads and sends it to the others",
        ),
        (
            "gradients are summed as float32, after the backward pass",
            f"bert-base, 100 hosts, 10 Gbit/s: {efficient / step_seconds(base):.0f} times as long as computing",
            "a faster network, more rows a step or `--accumulate`; then bfloat16 sums, or sums while computing",
        ),
        (
            "one manifest, read by every process, which asks for the size of every shard",
            f"10 TB: {huge * MANIFEST_BYTES / 1e6:.0f} MB, and {huge * REQUEST.value / 60:.0f} minutes of questions to "
            "an object store",
            "larger shards; one listing instead of a question for each",
        ),
        (
            "one process cuts text into blocks for all cores of a machine",
            "not measured apart; Beam has a process for each file, and so no more than there are files",
            "files of some 100 MB, not one of 10 TB",
        ),
    )
    return markdown(("choice", "ends at (computed)", "what would replace it"), rows, numbers=0)


def models() -> list[tuple[str, BertConfig]]:
    """The six sizes with names."""
    return [(name, BertConfig.preset(name)) for name in NAMED_SIZES]


def markdown(headings: Sequence[str], rows: Iterable[Iterable[str]], numbers: int | None = None) -> str:
    """A table; its last `numbers` columns, by default all but the first, are set to the right."""
    right = len(headings) - 1 if numbers is None else numbers
    lines = [headings, ["---"] * (len(headings) - right) + ["---:"] * right, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    typer.run(ends_well(main))
