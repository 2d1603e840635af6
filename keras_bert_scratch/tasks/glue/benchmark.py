"""GLUE as a whole: each task fine-tuned in a folder of its own, measured, and answered for the server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_bert_scratch import atomic
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.tasks.data.named_table import NamedTable
from keras_bert_scratch.tasks.glue.catalogue import GLUE, GlueTask, glue_task
from keras_bert_scratch.tasks.glue.files import files_of, tasks_in
from keras_bert_scratch.tasks.glue.measured import Measured
from keras_bert_scratch.tasks.glue.published import PUBLISHED, SOURCES
from keras_bert_scratch.tasks.run import DEFAULTS, PLAIN, FineTuning, finetune
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.training.options import RunOptions
from keras_bert_scratch.training.run_directory import as_begun, read_run

RESULTS_FILE = "glue.json"
SUBMISSION_FOLDER = "submission"

log = logging.getLogger(__name__)


def glue(
    init: AnyPath | str | BertConfig,
    data: AnyPath | str,
    out: AnyPath | str,
    tasks: Sequence[str] = (),
    how: FineTuning = DEFAULTS,
    options: RunOptions = PLAIN,
    on_bad_row: str = "fail",
    seed: int = 0,
    seeds: int = 1,
    tokenizer: BertTokenizer | None = None,
    strategy: tf.distribute.Strategy | None = None,
    say: Callable[[str], None] = log.info,
) -> dict[str, Any]:
    r"""Fine-tunes a model for GLUE's tasks and measures it on their dev sets (Wang et al. 2019, arXiv:1804.07461).

    Each task is a run of `finetune` in the folder of `out` that is called as the task; the same call continues it, and
    leaves what is finished. Where a task has a test file, the answers go to `out/submission`, as GLUE's server reads
    them. `out/glue.json` holds what is returned.

    Args:
        init: path of a pretrained model's folder in any known format, or a BertConfig for random weights.
        data: path of the folder with GLUE's tasks, such as `CoLA/train.tsv`, or `"tfds:glue"`.
        out: path. The folder to make.
        tasks: sequence of str, default all that `data` has. Their names, such as `"SST-2"`.
        how: FineTuning. Epochs, batch, rates; by default the paper's.
        options: RunOptions. Dtype, accumulation, recomputation, saving.
        on_bad_row: str, default "fail". Of rows of the tables: `"fail"`, or `"skip"` and count them.
        seed: int, default 0. Of the new heads, dropout and order.
        seeds: int, default 1. How many runs of each task, with `seed` and the numbers after it.
        tokenizer: BertTokenizer or None, default None. With a BertConfig: the tokenizer.
        strategy: from `make_strategy`, of one process; `None` for one device.
        say: called with a line about each step; by default they go to the log.

    Returns: `tasks`, by name: the run's folder and its `sets`, each with its metrics (mean, standard deviation and each
        seed's) and as `majority` those of always answering the most frequent label; and the `submission`; `left_out`,
        the tasks that were not run, and why; `published`, what others reached on the test sets.

    Raises:
        UserError: a task is unknown, a file is missing or bad, or a folder holds another run.

    Example:
        >>> from pathlib import Path
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2)
        >>> Path("data/SST-2").mkdir(parents=True)
        >>> for part in ("train", "dev"):
        ...     _ = Path(f"data/SST-2/{part}.tsv").write_text("sentence\tlabel\nplay\t0\nplaying\t1\n")
        >>> how = FineTuning(epochs=1, batch_size=2, max_length=8)
        >>> results = glue(config, "data", "out", how=how, tokenizer=BertTokenizer(vocabulary))
        >>> results["tasks"]["SST-2"]["sets"]["SST-2"]["majority"]["accuracy"]
        0.5
    """
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        raise UserError("`strategy`: GLUE is run by one process, with any number of devices; leave the workers out")
    out = path_of(out)
    init = as_begun(init, *(out / name for name in GLUE))
    places, left_out = _chosen(data, tasks, out)
    files = {name: files_of(GLUE[name], place, on_bad_row) for name, place in places.items()}
    for why in dict.fromkeys(left_out.values()):
        say(f"left out: {', '.join(name for name in left_out if left_out[name] == why)}: {why}")
    done = _done(out)
    for number, (name, tables) in enumerate(files.items(), 1):
        task = GLUE[name]
        folder = out / (task.answered_by or name)
        say(f"{name}, {number} of {len(files)}: {_state(task, folder)}")
        if tables.train is not None:
            header_names = tables.train.header_names if isinstance(tables.train, NamedTable) else None
            dev = tables.dev[task.sets[0].name]
            arguments = (how, options, None, header_names, on_bad_row, seed, seeds, tokenizer, strategy)
            finetune(task.task, init, tables.train, folder, dev, *arguments)
        measured = Measured(task, tables, folder, on_bad_row, done.get(name, {}))
        done[name] = {
            "run": str(folder),
            "ended": measured.ended,
            "sets": measured.sets(),
            "three_class_init": measured.before_fine_tuning(init, how.max_length),
            "submission": measured.submission(out / SUBMISSION_FOLDER),
        }
        results = {
            "init": init.to_dict() if isinstance(init, BertConfig) else str(path_of(init)),
            "data": str(data),
            "tasks": {name: done[name] for name in GLUE if name in done},
            "left_out": left_out,
            "published": {"figures": PUBLISHED, "sources": SOURCES},
        }
        atomic.write_json(out / RESULTS_FILE, results)
    return results


def _chosen(data: AnyPath | str, tasks: Sequence[str], out: AnyPath) -> tuple[dict[str, str], dict[str, str]]:
    """Where the tasks to run lie, in GLUE's order; and why others are left out."""
    there = tasks_in(data)
    asked = {glue_task(name).name for name in tasks}
    if absent := [name for name in asked if name not in there]:
        raise UserError(f"{data}: has no folder {absent[0]}; put GLUE's there, or leave it out of `tasks`")
    if not there:
        raise UserError(f"{data}: holds no task of GLUE; they lie in folders such as CoLA, with train.tsv and dev.tsv")
    left_out = {} if asked else {name: f"not in {data}" for name in GLUE if name not in there}
    places = {name: there[name] for name in GLUE if name in (asked or there)}
    for name in list(places):
        other = GLUE[name].answered_by
        if not other or other in places or _finished(out / other):
            continue
        why = f"answered by the model of {other}, which is neither asked for nor finished in {out}"
        if asked:
            raise UserError(f"`tasks`: {name} is {why}; add {other}")
        left_out[name] = why
        del places[name]
        if not places:
            raise UserError(f"{data}: holds nothing but {name}, {why}; put {other} beside it")
    return places, left_out


def _finished(folder: AnyPath) -> bool:
    run = read_run(folder)
    return run is not None and run["status"] == "finished"


def _state(task: GlueTask, folder: AnyPath) -> str:
    if task.answered_by:
        return f"answered by {folder}"
    return f"{folder} is finished" if _finished(folder) else f"fine-tuning in {folder}"


def _done(out: AnyPath) -> dict[str, Any]:
    """What earlier calls measured of runs that are still there."""
    file = out / RESULTS_FILE
    entries = atomic.read_json(file, "delete it").get("tasks", {}) if file.exists() else {}
    runs = {name: read_run(out / (GLUE[name].answered_by or name)) for name in entries if name in GLUE}
    return {name: entries[name] for name, run in runs.items() if run and run.get("ended") == entries[name].get("ended")}
