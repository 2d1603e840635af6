"""The whole of GLUE: each task is fine-tuned in its own folder, evaluated, and predicted for the server."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from keras_bert_scratch.training.resumable import tokenizer_settings
from keras_bert_scratch.training.run_directory import (
    ADDED_LATER,
    differences_of,
    pin_start_commit,
    read_run,
    start_settings,
)

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
    r"""Fine-tunes a model for GLUE's tasks and evaluates it on their dev sets (Wang et al. 2019, arXiv:1804.07461).

    Each task is a `finetune` run in the subfolder of `out` with the task's name. The same call resumes unfinished runs
    and skips finished ones; a call with other tasks adds them to the table, which holds one model with one set of
    settings. If a task has a test file, its predictions are written to `out/submission` in the format of
    GLUE's server. `out/glue.json` holds the returned results.

    Args:
        init: path of a pretrained model's folder in any known format, or a BertConfig for random weights.
        data: path of the folder with GLUE's tasks, in files such as `CoLA/train.tsv`; or `"tfds:glue"`.
        out: path. The output folder.
        tasks: sequence of str, default all tasks in `data`. Names such as `"SST-2"`.
        how: FineTuning. Epochs, batch size, learning rates; by default the paper's.
        options: RunOptions. Dtype, gradient accumulation, recomputation, checkpoints.
        on_bad_row: str, default "fail". `"fail"` raises at a bad row of a table, `"skip"` skips and counts it.
        seed: int, default 0. Seed of new heads, dropout and order.
        seeds: int, default 1. Number of runs per task, with consecutive seeds from `seed` on.
        tokenizer: BertTokenizer or None, default None. The tokenizer, if `init` is a BertConfig.
        strategy: a single-process strategy from `make_strategy`; `None` for one device.
        say: called with a line about each step; by default the lines go to the log.

    Returns: `tasks`, by name: the run's folder; its `sets`, each with its metrics (mean, standard deviation and values
        by seed) and, as `majority`, the metrics of always predicting the most frequent label; and its `submission`.
        `left_out`: the tasks that were not run, with the reason. `published`: published results on the test sets.

    Raises:
        UserError: a task is unknown, a file is missing or bad, or `out` holds results of another model, of other
            settings or of other data.

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
        raise UserError("`strategy`: GLUE runs in one process, with any number of devices; run it without workers")
    out = path_of(out)
    init = pin_start_commit(init, *(out / name for name in GLUE))
    places, left_out = _chosen(data, tasks, out)
    files = {name: files_of(GLUE[name], place, on_bad_row) for name, place in places.items()}
    done = _done(out)
    _check_is_one_table(out, [*done, *files], _settings(init, how, options, seed, seeds, tokenizer))
    if others := [name for name in done if name not in files]:
        _check_data(out, others[0], str(data))
    for why in dict.fromkeys(left_out.values()):
        say(f"left out: {', '.join(name for name in left_out if left_out[name] == why)}: {why}")
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
    """The locations of the tasks to run, in GLUE's order; and the reasons why other tasks are left out."""
    there = tasks_in(data)
    asked = {glue_task(name).name for name in tasks}
    if absent := [name for name in asked if name not in there]:
        raise UserError(f"{data}: has no folder {absent[0]}; put GLUE's folder there, or remove the task from `tasks`")
    if not there:
        raise UserError(f"{data}: holds no GLUE task; each needs a folder such as CoLA, with train.tsv and dev.tsv")
    left_out = {} if asked else {name: f"not in {data}" for name in GLUE if name not in there}
    places = {name: there[name] for name in GLUE if name in (asked or there)}
    for name in list(places):
        other = GLUE[name].answered_by
        if not other or other in places or _finished(out / other):
            continue
        why = f"answered by the model of {other}, which is neither requested nor finished in {out}"
        if asked:
            raise UserError(f"`tasks`: {name} is {why}; add {other}")
        left_out[name] = why
        del places[name]
        if not places:
            raise UserError(f"{data}: holds only {name}, which is {why}; put {other} next to it")
    return places, left_out


def _finished(folder: AnyPath) -> bool:
    run = read_run(folder)
    return run is not None and run["status"] == "finished"


def _state(task: GlueTask, folder: AnyPath) -> str:
    if task.answered_by:
        return f"answered by {folder}"
    return f"{folder} is finished" if _finished(folder) else f"fine-tuning in {folder}"


def _done(out: AnyPath) -> dict[str, Any]:
    """Results that earlier calls measured, for runs that still exist unchanged."""
    file = out / RESULTS_FILE
    entries = atomic.read_json(file, "delete it").get("tasks", {}) if file.exists() else {}
    runs = {name: read_run(out / (GLUE[name].answered_by or name)) for name in entries if name in GLUE}
    return {name: entries[name] for name, run in runs.items() if run and run.get("ended") == entries[name].get("ended")}


def _settings(
    init: Any, how: FineTuning, options: RunOptions, seed: int, seeds: int, tokenizer: BertTokenizer | None
) -> dict[str, Any]:
    """The settings of this call that are the same for the runs of all tasks, by their names in `run.json`."""
    how = how.for_random_weights(init) if isinstance(init, BertConfig) else how
    settings = {
        **start_settings(init),
        **(tokenizer_settings(tokenizer) if tokenizer else {}),
        "spec": {"max_length": how.max_length},
        **({"batch_tokens": how.batch_tokens} if how.batch_tokens else {"batch_size": how.batch_size}),
        "epochs": how.epochs,
        "freeze_layers": how.freeze_layers,
        "patience": how.patience,
        "training": {name: value for name, value in vars(how.training_options(1)).items() if name != "steps"},
        "dtype": options.dtype,
        "seed": seed if seeds == 1 else None,
        "seeds": None if seeds == 1 else [seed + number for number in range(seeds)],
    }
    return json.loads(json.dumps(settings))  # as they are read back


def _check_is_one_table(out: AnyPath, tasks: Iterable[str], asked: Mapping[str, Any]) -> None:
    """Raises `UserError` if the run of one of the tasks has other settings; runs that do not exist yet have none."""
    for name in dict.fromkeys(GLUE[task].answered_by or task for task in tasks):
        settings = (read_run(out / name) or {}).get("settings")
        if settings is None:
            continue
        common = [key for key in asked if key in settings or key not in ADDED_LATER]
        held = {key: settings.get(key) for key in common}
        for key in ("spec", "training"):
            held[key] = {field: (held[key] or {}).get(field) for field in asked[key]}
        if differences := differences_of(held, {key: asked[key] for key in common}):
            raise UserError(
                f"{out}: holds {name} of {'; '.join(differences)}; use the same settings, or choose another `out`"
            )


def _check_data(out: AnyPath, task: str, data: str) -> None:
    held = atomic.read_json(out / RESULTS_FILE, "delete it").get("data")
    if held != data:
        raise UserError(
            f"{out}: holds {task} of the data {held}, not {data}; use the same data, or choose another `out`"
        )
