"""Fine-tuning, measuring and asking, for any task: knows `Task` and `Spec`, no single task."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.tasks.data.batches import TaskData
from keras_bert_scratch.tasks.data.texts import Source
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.fine_tuning import FineTuning, run_once, settings_of
from keras_bert_scratch.tasks.task import Spec, Task, get_task, options_of
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.training.options import RunOptions
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.strategies import check_batch, is_chief

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
) -> RunDirectory:
    """Fine-tunes a model for a task (Devlin et al. 2019, section 4 and appendix A.3).

    Args:
        task: str. A task's name, such as `"classification"`.
        init: path of a pretrained model's folder in any known format, or a BertConfig for random weights.
        train: path of a table, or a mapping of columns. What to learn from.
        out: path, or an address such as `"gs://bucket/run"`. The run's folder; an unfinished run of the same settings
            is continued, a finished one left as it is.
        dev: path, mapping or None, default None. What to measure on after each epoch; the best epoch's model is kept.
        how: FineTuning. Epochs, batch, rates, freezing, patience.
        options: RunOptions. Dtype, accumulation, recomputation, saving, gradients that are not finite.
        task_options: mapping or None, default None. The task's own options by name.
        header_names: mapping or None, default None. What the tables call a column, as `{"text": "review"}`.
        on_bad_row: str, default "fail". Of rows of the tables: `"fail"`, or `"skip"` and count them.
        seed: int, default 0. Of the new head, dropout and order.
        seeds: int, default 1. How many runs, with `seed` and the numbers after it; each in a folder `seed-N` of `out`.
            The results then hold mean and standard deviation, and the model is the best one's.
        tokenizer: BertTokenizer or None, default None. With a BertConfig: the tokenizer; else that of `init`.
        strategy: from `make_strategy`; `None` for one device.

    Returns: the finished run; its `results` hold `dev`, the metrics of the best epoch, `best`, `evaluations`, and
        `non_padding_fraction`, the fraction of positions that are no padding.

    Raises:
        UserError: sizes that do not fit, a bad table, a folder that holds another run.
        Stopped, WorkerLostError: the run was asked to stop, or another worker is gone.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2)
        >>> rows = {"text": ["play", "playing"], "label": ["no", "yes"]}
        >>> how = FineTuning(epochs=1, batch_size=2, max_length=8)
        >>> run = finetune("classification", config, rows, "run", how=how, tokenizer=BertTokenizer(vocabulary))
        >>> run.results["steps"], [sorted(answer) for answer in predict("run", {"text": ["play"]})]
        (1, [['label', 'score', 'scores']])
    """
    strategy = strategy or tf.distribute.get_strategy()
    check_batch(strategy, how.batch_size)
    if seeds < 1:
        raise UserError(f"`seeds`: must be at least 1, not {seeds}")
    if how.patience is not None and dev is None:
        raise UserError("`patience`: needs `dev`, data to measure on after each epoch")
    if isinstance(init, BertConfig) != (tokenizer is not None):
        raise UserError("`tokenizer`: give it with a BertConfig, and only then")
    found = get_task(task)
    own_options = dataclasses.asdict(options_of(found, task_options or {}))
    spec = Spec(task, (), how.max_length, header_names=dict(header_names or {}), options=own_options)
    tokenizer = tokenizer or BertTokenizer.load(init)
    train_data = TaskData(found, *found.read(train, spec, on_bad_row), tokenizer)
    dev_data = None
    if dev is not None:
        dev_data = TaskData(found, *found.read(dev, train_data.spec, on_bad_row), tokenizer)

    def one_run(seed: int, out: AnyPath) -> RunDirectory:
        return run_once(found, init, train_data, dev_data, out, how, options, seed, strategy)

    if seeds == 1:
        return one_run(seed, path_of(out))
    settings = {
        "task": task,
        "seeds": [seed + number for number in range(seeds)],
        **settings_of(init, train_data, dev_data, how),
        "dtype": options.dtype,
    }
    with RunDirectory(out, settings, writes=is_chief(strategy)) as summary:
        if summary.finished:
            return summary
        runs = {number: one_run(number, path_of(out) / f"seed-{number}") for number in settings["seeds"]}
        summary.finish(_summarise(found, summary, runs, is_chief(strategy)))
    return summary


def evaluate(
    run: AnyPath | str,
    data: Source,
    header_names: Mapping[str, str] | None = None,
    on_bad_row: str = "fail",
    task: str | None = None,
    task_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measures a fine-tuned model on labelled data, as its run measured it.

    Args:
        run: path. The folder of a finished fine-tuning run, or of a model in any known format.
        data: path of a table with the columns that the model was trained on, or a mapping of columns.
        header_names: mapping or None, default None. What the table calls a column, where not as the training table.
        on_bad_row: str, default "fail". `"fail"`, or `"skip"` and count.
        task: str or None, default None. What to use the model for; else what it was fine-tuned for.
        task_options: mapping or None, default None. The task's options for asking, such as `{"pooling": "max"}`.

    Returns: the task's metrics by name, `loss`, and how many `examples` there were.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2)
        >>> model = BertTextClassifier(BertBackbone(config), num_classes=2)
        >>> spec = Spec("classification", ("text",), 8, ("no", "yes"))
        >>> FineTuned(model, BertTokenizer(vocabulary), spec).save("tuned")
        >>> evaluate("tuned", {"text": ["play", "playing"], "label": ["no", "yes"]})["majority"]
        0.5
    """
    tuned = FineTuned.load(run, task=task, options=task_options)
    _, examples = tuned.task.read(data, tuned.spec.renamed(header_names or {}), on_bad_row)
    return tuned.evaluate(examples)


def predict(
    run: AnyPath | str,
    raw: Mapping[str, Sequence[str]],
    task: str | None = None,
    task_options: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """The answers of a fine-tuned model about some rows.

    Args:
        run: path. The folder of a finished fine-tuning run, or of a model in any known format.
        raw: mapping of the columns that the model was trained on, such as `{"text": ["A joy."]}`.
        task: str or None, default None. What to use the model for; else what it was fine-tuned for.
        task_options: mapping or None, default None. The task's options for asking, such as `{"pooling": "max"}`.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2)
        >>> model = BertTextClassifier(BertBackbone(config), num_classes=2)
        >>> spec = Spec("classification", ("text",), 8, ("no", "yes"))
        >>> FineTuned(model, BertTokenizer(vocabulary), spec).save("tuned")
        >>> [sorted(answer) for answer in predict("tuned", {"text": ["play"]})]
        [['label', 'score', 'scores']]
    """
    return FineTuned.load(run, task=task, options=task_options).predict(raw)


def _summarise(task: Task, summary: RunDirectory, runs: Mapping[int, RunDirectory], writes: bool) -> dict[str, Any]:
    """Mean and standard deviation of the runs' metrics; the best run's model becomes the folder's."""
    by_seed = {str(seed): run.results.get("dev") for seed, run in runs.items()}
    measured = [results for results in by_seed.values() if results]
    results: dict[str, Any] = {"dev_by_seed": by_seed}
    best = next(iter(runs.values()))
    if measured:
        numbers = {
            name: [results[name] for results in measured if isinstance(results.get(name), (int, float))]
            for name in measured[0]
        }
        results["dev"] = {name: round(statistics.fmean(values), 4) for name, values in numbers.items() if values}
        results["dev_sd"] = {
            name: round(statistics.stdev(values), 4)
            for name, values in numbers.items()
            if len(values) > 1 and name != "examples"
        }
        name, wanted = task.best_by
        sign = 1 if wanted == "max" else -1
        best = max(runs.values(), key=lambda run: sign * (run.results["dev"].get(name) or -sign * float("inf")))
    results["best_seed"] = int(best.path.name.removeprefix("seed-"))
    if writes:
        FineTuned.load(best.path).save(summary.folder)
    return results
