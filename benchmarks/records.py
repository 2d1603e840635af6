"""Speed and memory of turning raw text into records for pretraining: ours, Google's script, and the others.

    pip install 'keras_bert_scratch[parity,test]' datasets psutil
    python benchmarks/records.py TEXT --vocab vocab.txt
    python benchmarks/records.py TEXT --vocab vocab.txt --repeated-to 1000

TEXT is a folder of text files, each a document with one paragraph per line. Every job is a separate process, timed from
start to end; they take turns for several rounds; the best time and the highest memory of each count. Each also runs on
a few kilobytes: this measures its start (imports, graphs), which its rate on more text leaves out. Google's script
(`create_pretraining_data.py`, from the package bert-tensorflow) gets less text, split into sentences beforehand. The
jobs of Hugging Face and KerasHub follow their own guides: they make no sentence pairs, and KerasHub's truncates
paragraphs at 128 tokens. With `--repeated-to N` only our jobs run: on the text, and on the text repeated to N
megabytes, to compare their memory. No other process may have TensorFlow loaded meanwhile, as it would share memory.
"""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import psutil
import typer
from rich.console import Console
from rich.table import Table

# The jobs import the libraries, so that their time includes the imports. They inherit these settings.
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
LENGTH, PREDICTIONS = 128, 20
START_MEGABYTES = 0.005  # in each of four files
SAMPLE_EVERY = 0.1  # seconds
SPAWN = multiprocessing.get_context("spawn")
RECORDS = "records"  # the folder for a job's result; what the job writes beside it is not counted

# Makes records in a folder, from a folder of text, with a vocab.txt, with lower-casing or without.
Job = Callable[[Path, Path, bool, Path], None]


def ours_documents(text: Path, vocab: Path, lowercase: bool, out: Path) -> None:
    """Our documents: pairs and masks are made later, at reading time."""
    _build_documents(text, vocab, lowercase, out / RECORDS)


def ours_google(text: Path, vocab: Path, lowercase: bool, out: Path) -> None:
    """Our documents, and from them finished examples in Google's schema."""
    from keras_bert_scratch.data.google.writer import write_google_examples

    _build_documents(text, vocab, lowercase, out / "documents")
    write_google_examples(out / "documents", out / RECORDS, LENGTH, dupe_factor=1)


def _build_documents(text: Path, vocab: Path, lowercase: bool, directory: Path) -> Any:
    import keras_bert_scratch as kbs

    tokenizer = kbs.BertTokenizer(vocab, lowercase)
    return kbs.build_records([text], tokenizer, directory, form=kbs.CorpusForm(documents="files"))


def google(text: Path, vocab: Path, lowercase: bool, out: Path) -> None:
    """Google's script, unchanged; the text is already in its format."""
    from absl import flags
    from bert import create_pretraining_data

    logging.disable()  # it prints its first examples
    options = {
        "input_file": f"{text}/*",
        "output_file": out / RECORDS / "examples.tfrecord",
        "vocab_file": vocab,
        "do_lower_case": lowercase,
        "max_seq_length": LENGTH,
        "max_predictions_per_seq": PREDICTIONS,
        "dupe_factor": 1,
    }
    flags.FLAGS(["create_pretraining_data.py", *(f"--{name}={value}" for name, value in options.items())])
    (out / RECORDS).mkdir()
    create_pretraining_data.main(None)


def hugging_face(text: Path, vocab: Path, lowercase: bool, out: Path) -> None:
    """Blocks of 128 tokens in Arrow files, with the steps of transformers' example `run_mlm.py`."""
    import datasets
    import transformers

    tokenizer = transformers.BertTokenizerFast(vocab=str(vocab), do_lower_case=lowercase, model_max_length=1 << 30)

    def tokenize(rows: dict[str, list[str]]) -> Any:
        return tokenizer(rows["text"], return_special_tokens_mask=True)

    def group(rows: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        joined = {name: list(itertools.chain.from_iterable(lists)) for name, lists in rows.items()}
        whole = len(joined["input_ids"]) // LENGTH * LENGTH
        return {name: [ids[at : at + LENGTH] for at in range(0, whole, LENGTH)] for name, ids in joined.items()}

    files = [str(path) for path in sorted(text.iterdir())]
    lines = datasets.load_dataset("text", data_files=files, split="train", cache_dir=str(out / "cache"))
    cores = os.cpu_count()
    tokens = lines.map(tokenize, batched=True, num_proc=cores, remove_columns=["text"])
    tokens.map(group, batched=True, num_proc=cores).save_to_disk(out / RECORDS)


def keras_hub(text: Path, vocab: Path, lowercase: bool, out: Path) -> None:
    """Paragraphs, masked once, as `tf.train.Example`s."""
    import keras_hub as hub
    import tensorflow as tf

    tokenizer = hub.models.BertTokenizer(vocabulary=str(vocab), lowercase=lowercase)
    preprocessor = hub.models.BertMaskedLMPreprocessor(
        tokenizer, sequence_length=LENGTH, mask_selection_length=PREDICTIONS
    )
    batches = (
        tf.data.TextLineDataset([str(path) for path in sorted(text.iterdir())])
        .filter(lambda line: tf.strings.length(tf.strings.strip(line)) > 0)
        .batch(256)
        .map(preprocessor, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    (out / RECORDS).mkdir()
    with tf.io.TFRecordWriter(str(out / RECORDS / "examples.tfrecord")) as writer:
        for inputs, mask_ids, mask_weights in batches.as_numpy_iterator():
            columns = inputs | {"mask_ids": mask_ids, "mask_weights": mask_weights}
            for row in zip(*(values.astype(int) for values in columns.values()), strict=True):
                lists = (tf.train.Int64List(value=values) for values in row)
                feature = {
                    name: tf.train.Feature(int64_list=values) for name, values in zip(columns, lists, strict=True)
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


OURS: dict[str, Job] = {"keras_bert_scratch, documents": ours_documents, "keras_bert_scratch, google": ours_google}
GOOGLE = "Google's script"
JOBS: dict[str, Job] = OURS | {
    GOOGLE: google,
    "Hugging Face datasets": hugging_face,
    "KerasHub in tf.data": keras_hub,
}


class Corpus(NamedTuple):
    """Text that jobs read: the folder, and the number of bytes and tokens of the raw text."""

    folder: Path
    num_bytes: int
    num_tokens: int


class Cost(NamedTuple):
    """What a job needed; memory is the peak, in bytes.

    Args:
        seconds: from the start of its process to the end.
        memory: of all its processes together; shared memory is counted once (PSS).
        largest: of the largest process (RSS).
        disk: bytes of the result.
    """

    seconds: float
    memory: int
    largest: int
    disk: int


def cost_of(job: Job, text: Path, vocab: Path, lowercase: bool) -> Cost:
    """Runs a job in a separate process."""
    with tempfile.TemporaryDirectory() as out:
        process = SPAWN.Process(target=job, args=(text, vocab, lowercase, Path(out)))
        start = time.perf_counter()
        process.start()
        samples: list[tuple[int, int]] = [(0, 0)]
        done = threading.Event()
        watcher = threading.Thread(target=lambda: samples.extend(_watched(process.pid, done)))
        watcher.start()
        process.join()
        seconds = time.perf_counter() - start
        done.set()
        watcher.join()
        if process.exitcode:
            raise SystemExit(f"{job.__name__}: ended with exit code {process.exitcode}")
        memory, largest = map(max, zip(*samples, strict=True))
        return Cost(seconds, memory, largest, _num_bytes(Path(out, RECORDS)))


def _watched(root: int, done: threading.Event) -> Iterator[tuple[int, int]]:
    """Yields samples of the memory of a process and its children: together (PSS), and of the largest one (RSS)."""
    while not done.wait(SAMPLE_EVERY):
        try:
            tree = [root, *(child.pid for child in psutil.Process(root).children(recursive=True))]
        except psutil.NoSuchProcess:
            continue
        memory = [facts for pid in tree if (facts := _memory(pid))]
        if memory:
            yield sum(facts["Pss"] for facts in memory), max(facts["Rss"] for facts in memory)


def _memory(pid: int) -> dict[str, int]:
    """Returns the sums in `/proc/PID/smaps_rollup`, in bytes; empty if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {name: int(amount.split()[0]) * 1024 for name, _, amount in (line.partition(":") for line in lines)}


def _num_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_text(files: Iterable[Path], folder: Path, megabytes: float) -> None:
    """Copies so many megabytes of the files, as valid UTF-8; the last file is cut at the end of a line."""
    folder.mkdir()
    left = int(megabytes * 1e6)
    for number, file in enumerate(files):
        data = file.read_text(encoding="utf-8", errors="replace").encode()
        fits = len(data) <= left
        data = data if fits else data[: data.rfind(b"\n", 0, left) + 1]
        (folder / f"{number:06d}.txt").write_bytes(data)
        left -= len(data)
        if not fits:
            break


def write_sentences(text: Path, folder: Path) -> None:
    """Writes text in the format of Google's script: one sentence per line, a blank line between documents."""
    import keras_bert_scratch as kbs

    folder.mkdir()
    documents = kbs.read_documents([text], kbs.CorpusForm(documents="files"))
    (folder / "sentences.txt").write_text("\n\n".join("\n".join(sentences) for sentences in documents) + "\n")


def count_tokens(text: Path, vocab: Path, lowercase: bool) -> int:
    """Returns how many tokens our tokenizer finds."""
    with tempfile.TemporaryDirectory() as folder:
        return _build_documents(text, vocab, lowercase, Path(folder) / RECORDS).total("tokens")


def table(runs: list[tuple[str, Corpus]], found: list[Cost], starts: dict[str, float], standard: str) -> Table:
    """Returns all measurements, with each rate as a multiple of the first one that is called `standard`."""
    rates = [corpus.num_bytes / (cost.seconds - starts[name]) for (name, corpus), cost in zip(runs, found, strict=True)]
    unit = rates[[name for name, _ in runs].index(standard)]
    printed = Table("job", title=f"times: the rate of {standard}")
    columns = ("MB of text", "s", "of it start", "MB/s beyond", "times", "bytes per token", "memory, MB", "largest, MB")
    for column in columns:
        printed.add_column(column, justify="right")
    for (name, corpus), cost, rate in zip(runs, found, rates, strict=True):
        times = (f"{corpus.num_bytes / 1e6:.1f}", f"{cost.seconds:.1f}", f"{starts[name]:.1f}")
        speeds = (f"{rate / 1e6:.2f}", f"{rate / unit:.2f}")
        sizes = (f"{cost.disk / corpus.num_tokens:.2f}", f"{cost.memory / 1e6:,.0f}", f"{cost.largest / 1e6:,.0f}")
        printed.add_row(name, *times, *speeds, *sizes)
    return printed


def main(
    text: Annotated[Path, typer.Argument(help="Folder of text files, each a document.")],
    vocab: Annotated[Path, typer.Option(help="The vocab.txt that all contenders use.")],
    cased: Annotated[bool, typer.Option("--cased")] = False,
    megabytes: Annotated[float, typer.Option(help="Maximum megabytes of text.")] = 45.0,
    google_megabytes: Annotated[float, typer.Option(help="Megabytes of it for Google's script.")] = 3.0,
    repeated_to: Annotated[
        float | None, typer.Option(help="Measure only our memory, also on this many megabytes.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the best one counts.")] = 3,
) -> None:
    """Measure and print the table."""
    files = sorted(text.rglob("*.txt"))
    # The preparation runs in processes that end, so that none runs beside the jobs.
    pool = ProcessPoolExecutor(1, SPAWN, max_tasks_per_child=1)
    with tempfile.TemporaryDirectory() as temporary, pool:

        def corpus(name: str, files: Iterable[Path], megabytes: float, as_sentences: bool = False) -> Corpus:
            folder = sentences = Path(temporary, name)
            write_text(files, folder, megabytes)
            num_tokens = pool.submit(count_tokens, folder, vocab, not cased).result()
            if as_sentences:
                sentences = Path(temporary, f"{name}-sentences")
                pool.submit(write_sentences, folder, sentences).result()
            return Corpus(sentences, _num_bytes(folder), num_tokens)

        whole = corpus("whole", files, megabytes)
        if repeated_to:
            repeated = corpus("repeated", itertools.cycle(files), repeated_to)
            runs = [(name, each) for name in OURS for each in (whole, repeated)]
        else:
            part = corpus("part", files, min(google_megabytes, megabytes), as_sentences=True)
            runs = [(name, part if name == GOOGLE else whole) for name in JOBS]
        write_text([whole.folder / "000000.txt"], Path(temporary, "short"), START_MEGABYTES)
        few = corpus("few", [Path(temporary, "short", "000000.txt")] * 4, 4 * START_MEGABYTES, as_sentences=True)
        starts = dict.fromkeys(dict(runs), float("inf"))
        rounds_of: list[list[Cost]] = [[] for _ in runs]
        for _ in range(rounds):
            for name in starts:
                folder = few.folder if name == GOOGLE else few.folder.with_name("few")
                starts[name] = min(starts[name], cost_of(JOBS[name], folder, vocab, not cased).seconds)
            for costs, (name, each) in zip(rounds_of, runs, strict=True):
                costs.append(cost_of(JOBS[name], each.folder, vocab, not cased))
    found = [Cost(min(times), *map(max, sizes)) for times, *sizes in (zip(*costs, strict=True) for costs in rounds_of)]
    Console(width=130).print(table(runs, found, starts, next(iter(OURS)) if repeated_to else GOOGLE))


if __name__ == "__main__":
    typer.run(main)
