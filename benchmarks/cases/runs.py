"""Section 3, runs: one process at a time, reproducible results, saving in little memory, late steps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import keras_bert_scratch as kbs
from benchmarks.cases.case import Group, keras_bert
from benchmarks.cases.small import ROWS, classifier, config, corpus, records, sentences, tokenizer, tuned, vocab
from keras_bert_scratch.training.pretraining_evaluation import evaluate_pretrained
from keras_bert_scratch.training.training_state import save_checkpoint

noise, alone, results = Group("3 TF_CPP_MIN_LOG_LEVEL"), Group("3 two processes"), Group("3 evaluate = run.json")
saving, late = Group("3 saving a state"), Group("3 a late step")
GROUPS = (noise, alone, results, saving, late)

ROOT = Path(__file__).resolve().parents[2]


def command(*argv: Any, **environment: str | None) -> tuple[list[str], dict[str, str]]:
    """Returns command line and environment to run `keras-bert` in a separate process."""
    found = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), **environment}
    env = {name: value for name, value in found.items() if value is not None}
    return [sys.executable, "-m", "keras_bert_scratch", *map(str, argv)], env


for _level in (None, "3"):

    @noise.right(f"keras-bert inspect says nothing on stderr with TF_CPP_MIN_LOG_LEVEL={_level or 'unset'}", _level)
    def _(level: str | None) -> None:
        argv, env = command("inspect", vocab(), TF_CPP_MIN_LOG_LEVEL=level)
        done = subprocess.run(argv, env=env, capture_output=True, text=True)
        assert done.returncode == 0
        assert done.stderr == "", done.stderr


SMALL = ("--preset", "bert-l2-h128", "--batch", "2", "--length", "16")


def while_another_runs(what: tuple[Any, ...], lock: str) -> str:
    """Starts the command in another process, and, once that writes, runs the same command here."""
    argv, env = command(*what)
    with Path("stderr.txt").open("w") as stderr:
        other = subprocess.Popen(argv, env=env, stdout=stderr, stderr=stderr, start_new_session=True)
    try:
        until = time.monotonic() + 60
        while not Path(lock).exists() and other.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        assert Path(lock).exists(), Path("stderr.txt").read_text()[-300:]
        return keras_bert(*what)
    finally:
        os.killpg(other.pid, signal.SIGKILL)  # with its workers
        other.wait()


@alone.clear("a second keras-bert pretrain with the same --out", "run: is being written by process", "until it ends")
def _() -> str:
    return while_another_runs(("pretrain", records(), *SMALL, "--steps", "100000", "--out", "run"), "run/.lock")


@alone.clear("a second keras-bert finetune with the same --out", "run: is being written by process", "until it ends")
def _() -> str:
    Path("t.csv").write_text("text,label\na,x\nb,y\n")
    what = ("finetune", "--train", "t.csv", "--vocab", vocab(), *SMALL, "--epochs", "100000", "--out", "run")
    return while_another_runs(what, "run/.lock")


@alone.clear("a second build of records into the same --out", "built: is being written by process", "until it ends")
def _() -> str:
    Path("large.txt").write_text((corpus().read_text() + "\n\n") * 2000)
    return while_another_runs(("tfrecords", "large.txt", "--vocab", vocab(), "--out", "built"), ".lock-built")


@alone.right("the process that wrote a run is killed: the next one continues it")
def _() -> None:
    what = ("pretrain", records(), *SMALL, "--steps", "2", "--out", "run")
    Path("run").mkdir()
    Path("run/.lock").write_text("process 1 on elsewhere")
    keras_bert(*what)
    assert json.loads(Path("run/run.json").read_text())["status"] == "finished"


RULES = {
    "pairs, whole words": kbs.ExampleRules(masking=kbs.MaskingRule(unit="words")),
    "packing": kbs.ExampleRules(packing=True),
    "no pairs, static masks": kbs.ExampleRules(pairs="none", static_masks=True),
}
for _name, _rules in RULES.items():

    @results.right(f"of a pretrained run: {_name}", _rules)
    def _(rules: kbs.ExampleRules) -> str:
        data = kbs.PretrainingRecords(records())
        how = kbs.TrainingOptions(steps=2, learning_rate=1e-2)
        run = kbs.pretrain(data, config(), "run", how, 4, 32, held_out=data, rules=rules)
        expected = json.loads(Path("run/run.json").read_text())["results"]["held_out_after"]
        assert expected == run.results["held_out_after"]
        found = evaluate_pretrained("run", records())
        assert found == expected, (found, expected)
        return str(found)


@results.right("keras-bert evaluate of a pretrained run prints what run.json says")
def _() -> str:
    what = ("pretrain", records(), "--eval", records(), *SMALL, "--steps", "1", "--packing", "--masking", "words")
    keras_bert(*what, "--out", "run")
    expected = json.loads(Path("run/run.json").read_text())["results"]["held_out_after"]
    shown = keras_bert("evaluate", "run", "--data", records())
    assert all(f"{value:,}" in shown for value in expected.values()), (shown, expected)
    return str(expected)


@results.right("of a fine-tuned run")
def _() -> str:
    expected = json.loads((tuned() / "run.json").read_text())["results"]["dev"]
    found = kbs.evaluate(tuned(), ROWS)
    assert found == expected, (found, expected)
    return str({name: found[name] for name in ("accuracy", "loss")})


@saving.right("a state is written with no more than one of its variables in memory beside the model")
def _() -> str:
    model = classifier(vocab_size=40_000, max_position_embeddings=40_000)  # two variables of 2.6 MB, and their moments
    model.compile(kbs.BertAdamW())
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(1)
    largest = 40_000 * 16 * 4
    tracemalloc.start()
    try:
        save_checkpoint(Path("run"), model)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = sum(file.stat().st_size for file in Path("run").rglob("*") if file.is_file())
    assert size > 6 * largest
    assert peak < 1.5 * largest, f"{peak} bytes, the largest variable has {largest}"
    return f"{size / 1e6:.1f} MB written, {peak / 1e6:.1f} MB in memory"


def first_batch(folder: Path, step: int) -> tuple[float, Any]:
    """Returns the seconds to open the records and make the batch of a step, and the batch."""
    began = time.perf_counter()
    found = next(kbs.PretrainingRecords(folder).batches(8, 64, first_step=step).as_numpy_iterator())
    return time.perf_counter() - began, found


@late.right("once rows are counted, the first batch of a late step takes no longer than that of step 0")
def _() -> str:
    Path("text.txt").write_text("\n\n".join("\n".join(sentences(number) * 10) for number in range(4000)))
    kbs.build_records(["text.txt"], tokenizer(), "records", num_shards=32)
    counting, expected = first_batch(Path("records"), 10**6)
    found = [first_batch(Path("records"), 10**6) for _ in range(3)]
    near = min(first_batch(Path("records"), 0)[0] for _ in range(3))
    tf.nest.map_structure(np.testing.assert_array_equal, found[0][1], expected)
    far = min(seconds for seconds, _ in found)
    assert far < 2 * near + 0.1, (near, far, counting)
    return f"step 0 {near:.2f} s; step 1,000,000 {far:.2f} s, {counting:.2f} s when its rows had to be counted"


@late.right("a stream that begins at a step goes on as one that began at 0")
def _() -> None:
    whole = kbs.PretrainingRecords(records()).batches(4, 32).skip(150).take(2).as_numpy_iterator()
    begun = kbs.PretrainingRecords(records()).batches(4, 32, first_step=150).take(2).as_numpy_iterator()
    for one, other in zip(whole, begun, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)
