"""The tables of docs/scale.md: what larger corpora and more machines would need, and the limits of the design.

    python recipes/scale.py

Nothing here was run at these sizes. Numbers are computed from the facts of `scale_facts.py`; each fact is marked as
measured on small machines, published or assumed. Cost: seconds, most of them for TensorFlow's start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import typer
from pretraining import BATCH, LENGTH, SECOND_FRACTION, SECOND_LENGTH, STEPS
from scale_facts import (
    BUILD_RATE,
    COPIES,
    CORPUS,
    DISK,
    FACTS,
    GOOGLE_BYTES,
    INTERRUPTED,
    LATENCY,
    MANIFEST,
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

from keras_bert_scratch.commands.main import handle_errors
from keras_bert_scratch.config import NAMED_SIZES, BertConfig
from keras_bert_scratch.data.corpus.blocks import BLOCK_BYTES
from keras_bert_scratch.data.pretraining.reader import PLANS
from keras_bert_scratch.training.options import RunOptions

CORPORA = {"BERT's, 3.3 billion words": CORPUS.value, "100 GB": 100e9, "10 TB": 10e12}
WORKERS = (1, 10, 100, 1000)
NETWORKS = {"10 Gbit/s": 10e9 / 8, "100 Gbit/s": 100e9 / 8, "400 Gbit/s": 400e9 / 8}
GPUS = 8  # per host
SAVE_SECONDS = RunOptions().save_seconds


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
    """The facts from which everything else is computed."""
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
    """Rows of 128 per second that models consume, and the processes that deliver them."""
    headings = ("model", "rows/s of an H100", "of 8 H100", "of a TPU v4 host")
    hosts = [f"readers for {host}, {machine}" for host in ("8 H100", "a TPU v4 host") for machine in ("Xeon", "EPYC")]

    def row(name: str, config: BertConfig) -> Iterable[str]:
        rate = rows_per_second(config)
        gpus, tpus = GPUS * rate, rate * TPU_HOST.value / PEAK.value
        yield from (f"`{name}`", f"{rate:,.0f}", f"{gpus:,.0f}", f"{tpus:,.0f}")
        yield from (readers(rows, process.value) for rows in (gpus, tpus) for process in (ROW_RATE, ROW_RATE_EPYC))
        yield f"{math.ceil(planned_rows() / rate):,}"

    return markdown(
        (*headings, *hosts, "GPUs at which planning is the bottleneck"),
        (row(name, config) for name, config in models()),
    )


def readers(rows: float, per_process: float) -> str:
    """How many processes deliver so many rows per second, unless planning is too slow for any number of them."""
    return f"{math.ceil(rows / per_process)}" if rows <= planned_rows() else "not reachable"


def all_reduces() -> str:
    """Milliseconds of a step for computing, and for the all-reduce of the gradients."""
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
    headings = ("model", "state, MB", "writing, s", "fraction of the time, every 60 s")
    return markdown(
        (*headings, *(f"reading by {workers:,} hosts, s" for workers in WORKERS[1:])),
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
    headings = ("model", "hosts of 8 GPUs", "hours between losses", "best interval, s (Young)", "(Daly)")
    names = ("hours lost a day: best interval", "every 60 s", "every hour")

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
    """The limit of each design choice."""
    base, large = (BertConfig.preset(name) for name in ("bert-base", "bert-large"))
    huge = shards_of(CORPORA["10 TB"])
    tokens = CORPUS.value / TEXT_BYTES.value
    read = BATCH * STEPS * ((1 - SECOND_FRACTION) * (LENGTH - 3) + SECOND_FRACTION * (SECOND_LENGTH - 3))
    ratio = COPIES.value * GOOGLE_BYTES.value / RECORD_BYTES.value
    slowest = min(NETWORKS.values())
    efficient = all_reduce_seconds(4 * num_weights(base), 100, slowest, LATENCY.value)
    rows = (
        (
            "masks are computed when rows are read; there are no ten copies on disk",
            f"no limit by size: ten copies take {ratio:.0f} times the bytes",
            "",
        ),
        (
            "ten plans of pairs, used in turn",
            f"BERT's recipe reads its corpus {read / tokens:.0f} times; pairs repeat from epoch {PLANS + 1} on, "
            "masks do not",
            "more plans; the first batch of a late step then takes longer in proportion",
        ),
        (
            "each worker reads a slice of every batch, so all workers plan every shard",
            f"{planned_rows():,.0f} rows/s for all workers together: reached by "
            f"{math.ceil(planned_rows() / rows_per_second(base)):,} GPUs with bert-base, "
            f"{math.ceil(planned_rows() / rows_per_second(large)):,} with bert-large",
            "batches of rows from many shards, with separate shards for each worker",
        ),
        (
            "shards are read into memory, three at a time",
            f"3 x {rows_of_shard() * ROW_TOKENS.value * 2 / 1e6:.0f} MB of ids, for any corpus; only larger "
            "shards would reach a limit",
            "smaller shards",
        ),
        (
            "rows are counted by planning, and the counts are stored",
            f"starting at a late step of 10 TB without stored counts: {huge * PLAN.value / 3600:.1f} hours per epoch, "
            f"{PLANS * huge * PLAN.value / 3600:.0f} in total; a resumed run counts nothing again",
            "counts stored by the builder, for a few lengths",
        ),
        (
            "one reader process per machine",
            f"{ROW_RATE.value:,.0f} rows/s on a Xeon: one is enough for 8 GPUs with bert-base or larger, not for "
            "smaller models",
            "a process for each GPU (`--strategy multiworker`), which reads only for that GPU",
        ),
        (
            "only the chief writes states, while all other workers wait",
            f"a state of {0.05 * SAVE_SECONDS * DISK.value / 1e9:.0f} GB "
            f"({0.05 * SAVE_SECONDS * DISK.value / 12 / 1e6:,.0f} million weights) every 60 s at 1 GB/s costs 5% "
            "of the time",
            "a longer `--save-every`, see Lost workers; then writing in the background, or a part by each worker",
        ),
        (
            "every worker reads the whole state",
            f"1,000 hosts and bert-large: {1000 * state_bytes(large) / DISK.value / 3600:.1f} hours through one "
            "disk of 1 GB/s",
            "one worker reads it and sends it to the others",
        ),
        (
            "gradients are summed as float32, after the backward pass",
            f"bert-base, 100 hosts, 10 Gbit/s: the all-reduce takes {efficient / step_seconds(base):.0f} times as "
            "long as computing",
            "a faster network, more rows per step or `--accumulate`; then bfloat16 sums, or sums while computing",
        ),
        (
            "every process reads one manifest, and requests the size of every shard",
            f"10 TB: {huge * MANIFEST.value / 1e6:.0f} MB, and {huge * REQUEST.value / 60:.0f} minutes of requests to "
            "an object store",
            "larger shards; one listing instead of a request for each shard",
        ),
        (
            "one process cuts text into blocks for all cores of a machine",
            f"not measured: at least the {BUILD_RATE.value / 1e6:.1f} MB/s of the whole build on 2 cores of a Xeon "
            "(Text to records), of which it is a part; Beam has one process per file, so at most as many as there are "
            "files",
            "files of some 100 MB, not one of 10 TB",
        ),
    )
    return markdown(("choice", "ends at (computed)", "what would replace it"), rows, numbers=0)


def models() -> list[tuple[str, BertConfig]]:
    """The six named sizes."""
    return [(name, BertConfig.preset(name)) for name in NAMED_SIZES]


def markdown(headings: Sequence[str], rows: Iterable[Iterable[str]], numbers: int | None = None) -> str:
    """A table; its last `numbers` columns, by default all but the first, are right-aligned."""
    right = len(headings) - 1 if numbers is None else numbers
    lines = [headings, ["---"] * (len(headings) - right) + ["---:"] * right, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    typer.run(handle_errors(main))
