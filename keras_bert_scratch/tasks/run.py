"""Fine-tuning for any task, with one seed or several; it has no task-specific code."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from keras_bert_scratch.checkpoints.formats import detect_format
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.tasks.data.batches import TaskData
from keras_bert_scratch.tasks.data.texts import Source
from keras_bert_scratch.tasks.evaluation import rounded
from keras_bert_scratch.tasks.fine_tuning import FineTuning
from keras_bert_scratch.tasks.registry import get_task
from keras_bert_scratch.tasks.repetition import repeat
from keras_bert_scratch.tasks.search import Grid, search_grid, with_values
from keras_bert_scratch.tasks.spec import Spec, as_json, options_of
from keras_bert_scratch.tasks.trial import Trial
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.training.options import RunOptions
from keras_bert_scratch.training.run_directory import RunDirectory, pin_start_commit

PLAIN = RunOptions()


DEFAULTS = FineTuning()


def finetune(
    task: str,
    init: AnyPath | str | BertConfig,
    train: Source,
    out: AnyPath | str,
    dev: Source | None = None,
    how: FineTuning = DEFAULTS,
    options: RunOptions = PLAIN,
    task_options: Mapping[str, Any] | None = None,
    header_names: Mapping[str, str] | None = None,
    on_bad_row: str = "fail",
    seed: int = 0,
    seeds: int = 1,
    tokenizer: BertTokenizer | None = None,
    strategy: tf.distribute.Strategy | None = None,
    search: Grid | None = None,
) -> RunDirectory:
    """Fine-tunes a model for a task (Devlin et al. 2019, section 4 and appendix A.3).

    Args:
        task: str. A task's name, such as `"classification"`.
        init: path of a pretrained model's folder in any known format, or a BertConfig for random weights.
        train: path of a table, or a mapping of columns. The training data.
        out: path, or an address such as `"gs://bucket/run"`. The run's folder; an unfinished run with the same
            settings is resumed, a finished one is left unchanged.
        dev: path, mapping or None, default None. Data to evaluate on after each epoch; the best epoch's model is
            kept.
        how: FineTuning. Epochs, batch size, learning rates, freezing, patience.
        options: RunOptions. Dtype, gradient accumulation, recomputation, saving, non-finite gradients.
        task_options: mapping or None, default None. The task's own options by name.
        header_names: mapping or None, default None. The tables' own names for columns, as `{"text": "review"}`.
        on_bad_row: str, default "fail". What to do with bad rows of the tables: `"fail"`, or `"skip"` and count them.
        seed: int, default 0. Seed of the new head, of dropout and of the order of examples.
        seeds: int, default 1. Number of runs, with the seeds `seed`, `seed + 1`...; each in a folder `seed-N` of `out`.
            The results then hold mean, standard deviation and confidence interval, and the best run's model is kept.
        tokenizer: BertTokenizer or None, default None. The tokenizer for a BertConfig; otherwise `init` provides it.
        strategy: from `make_strategy`; `None` for one device.
        search: mapping or None, default None. Values to try in every combination, by the names of arguments of
            `FineTuning` and of the task's own options, as `{"learning_rate": [2e-5, 5e-5]}`; `tasks.search.PAPER_GRID`
            is the paper's grid. Each combination runs in a folder of `out` named after it, and the model of the best
            one on `dev` is kept; with several seeds, the mean decides.

    Returns: the finished run; its `results` hold `dev` (the metrics of the best epoch), `best`, `evaluations`,
        `baselines` (the scores of simple baselines on `dev`) and `non_padding_fraction` (the fraction of positions
        that are not padding).

    Raises:
        UserError: sizes do not match, a table is bad, or `out` holds another run.
        Stopped, WorkerLostError: the run was asked to stop, or another worker is lost.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2)
        >>> rows = {"text": ["play", "playing"], "label": ["no", "yes"]}
        >>> how = FineTuning(epochs=1, batch_size=2, max_length=8)
        >>> run = finetune("classification", config, rows, "run", how=how, tokenizer=BertTokenizer(vocabulary))
        >>> run.results["steps"], [sorted(answer) for answer in predict("run", {"text": ["play"]})]
        (1, [['label', 'score', 'scores']])
    """
    if seeds < 1:
        raise UserError(f"`seeds`: must be at least 1, not {seeds}")
    if tokenizer is not None and not isinstance(init, BertConfig):
        raise UserError("`tokenizer`: comes with `init`; leave it out")
    if isinstance(init, BertConfig):
        how = how.for_random_weights(init)
    if search and dev is None:
        raise UserError("`search`: needs `dev`, data to select the best combination on")
    init = pin_start_commit(init, out)
    if not isinstance(init, BertConfig):
        detect_format(init)  # fails before the data are read
    found, strategy = get_task(task), strategy or tf.distribute.get_strategy()
    if not found.tunable:
        raise UserError(f"`task`: {task} is not trained by fine-tuning; see '{found.command('MODEL')}'")

    @functools.cache
    def data(max_length: int, own_options: Any) -> tuple[TaskData, TaskData | None]:
        given = {
            "header_names": dict(header_names or {}),
            "options": {**dataclasses.asdict(own_options), **as_json(found.PredictionOptions())},
        }
        spec, examples = found.read(train, Spec(task, (), max_length, **given), on_bad_row)
        own = tokenizer or found.tokenizer(spec, init, examples)
        train_data = TaskData(found, spec, examples, own)
        return train_data, None if dev is None else TaskData(found, *found.read(dev, spec, on_bad_row), own)

    @functools.cache
    def baselines(own_options: Any) -> dict[str, Any]:
        train_data, dev_data = data(how.max_length, own_options)
        return rounded(found.baselines(train_data.spec, train_data.examples, dev_data.examples))

    def trial(values: Mapping[str, Any]) -> Trial:
        how_now, task_options_now = with_values(values, how, task_options or {})
        own_options = options_of(task, found.Options, task_options_now)
        of_trial = functools.partial(baselines, own_options)
        train_data, dev_data = data(how_now.max_length, own_options)
        start = init
        if isinstance(init, BertConfig) and tokenizer is None:
            start = init.replace(vocab_size=len(train_data.tokenizer.vocabulary))
        made = Trial(found, start, train_data, dev_data, how_now, options, strategy, of_trial)
        made.check()
        return made

    numbers = [seed + number for number in range(seeds)]
    if not search:
        return repeat(trial({}), path_of(out), numbers)
    return search_grid(search, found, trial, path_of(out), numbers)
