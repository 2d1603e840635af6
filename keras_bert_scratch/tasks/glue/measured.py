"""Results of a finished run of a GLUE task: its scores by set, and its predictions for the server."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.tasks.data.texts import Source
from keras_bert_scratch.tasks.evaluation import DIGITS
from keras_bert_scratch.tasks.examples import Examples
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.glue.catalogue import GlueTask
from keras_bert_scratch.tasks.glue.files import GlueFiles
from keras_bert_scratch.tasks.glue.submission import read_test, write_submission
from keras_bert_scratch.tasks.glue.three_classes import three_class_model, two_class_accuracy
from keras_bert_scratch.tasks.registry import get_task
from keras_bert_scratch.tasks.repetition import spread
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.training.run_directory import read_run


class Measured:
    """Measures a finished run and reuses what was measured before.

    Args:
        task: GlueTask. The task.
        files: GlueFiles. The task's tables.
        folder: path. The folder of the run; if another task's model answers the task, of that task's run.
        on_bad_row: str. `"fail"` raises at a bad row, `"skip"` skips and counts it.
        before: mapping. The entry of this task in `glue.json`, ignored if it is of another run; empty if none.
    """

    def __init__(
        self,
        task: GlueTask,
        files: GlueFiles,
        folder: AnyPath,
        on_bad_row: str,
        before: Mapping[str, Any],
    ) -> None:
        run = read_run(folder)
        self.ended = run["ended"]
        self._task, self._files, self._folder = task, files, folder
        self._on_bad_row = on_bad_row
        self._results = run["results"]
        self._spec = Spec.load(folder)
        self._before = before if before.get("ended") == self.ended else {}

    def sets(self) -> dict[str, Any]:
        """The metrics of each set, and the metrics of always predicting the most frequent label.

        The best epochs were selected on the first set, so the runs have its results; the other sets are evaluated here.
        """
        sets = {}
        for name, source in self._files.dev.items():
            first = name == self._task.sets[0].name
            examples = self._read(source)
            gold = examples.gold["label"] if self._spec.labels else None
            by_seed, digest = (self._of_runs(), None) if first else self._evaluated(name, examples)
            sets[name] = {
                "metrics": {
                    metric: over_seeds([results[metric] for results in by_seed]) for metric in self._task.metrics
                },
                "majority": majority_scores(self._spec, gold, self._task.metrics),
                "examples": by_seed[0]["examples"],
                "results_by_seed": by_seed,
                "digest": digest,
            }
        return sets

    def before_fine_tuning(self, init: Any, max_length: int) -> dict[str, Any] | None:
        """The accuracy of the initial model before fine-tuning, if it has three NLI classes and the task is NLI."""
        if not self._task.is_nli:
            return None
        if "three_class_init" in self._before:
            return self._before["three_class_init"]
        if (tuned := three_class_model(init, max_length)) is None:
            return None
        examples = self._read(self._files.dev[self._task.sets[0].name])
        gold = [self._spec.labels[number] for number in examples.gold["label"]]
        return {"accuracy": round(two_class_accuracy(tuned.predict(examples.raw), gold), DIGITS)}

    def submission(self, folder: AnyPath) -> dict[str, Any]:
        """The submission file of each set; written unless it already exists for this run and this test file."""
        files = {}
        for name, source in self._files.test.items():
            table, file = read_test(source, self._spec, self._on_bad_row), folder / f"{name}.tsv"
            entry = {"file": str(file), "rows": len(table), "digest": table.sha256}
            if self._before.get("submission", {}).get(name) != entry or not file.exists():
                write_submission(self._tuned, table, file, name)
            files[name] = entry
        return files

    @functools.cached_property
    def _tuned(self) -> FineTuned:
        return FineTuned.load(self._folder)

    def _of_runs(self) -> list[dict[str, Any]]:
        by_seed = self._results.get("dev_by_seed")
        return [self._results["dev"]] if by_seed is None else list(by_seed.values())

    def _read(self, source: Source) -> Examples:
        """The rows that runs are evaluated on; if bad rows are skipped, without those of labels that training lacks."""
        return get_task(self._spec.task).read(source, self._spec, self._on_bad_row)[1]

    def _evaluated(self, name: str, examples: Examples) -> tuple[list[dict[str, Any]], str]:
        """The results of each seed's model on this set, and the digest of the set's content."""
        known = self._before.get("sets", {}).get(name, {})
        if known.get("digest") == examples.digest:
            return known["results_by_seed"], examples.digest
        seeds = self._results.get("dev_by_seed")
        if seeds is None:
            return [self._tuned.evaluate(examples)], examples.digest
        models = (FineTuned.load(self._folder / f"seed-{seed}") for seed in seeds)
        return [model.evaluate(examples) for model in models], examples.digest


def over_seeds(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds whose metric is defined, and the values of all seeds.

    Example:
        >>> over_seeds([0.5, None, 0.7])
        {'mean': 0.6, 'sd': 0.1414, 'by_seed': [0.5, None, 0.7]}
    """
    defined = [value for value in values if value is not None]
    found = spread(defined) if defined else {"mean": None, "sd": None}
    return {"mean": found["mean"], "sd": found["sd"], "by_seed": list(values)}


def majority_scores(spec: Spec, gold: np.ndarray | None, metrics: Sequence[str]) -> dict[str, float | None]:
    """The metrics of always predicting the most frequent class in `gold`; `None` if undefined, as in regression.

    Example:
        >>> spec = Spec("classification", ("text",), 8, ("0", "1"))
        >>> majority_scores(spec, np.array([1, 1, 1, 0]), ("f1", "accuracy", "matthews"))
        {'f1': 0.8571, 'accuracy': 0.75, 'matthews': None}
    """
    if gold is None:
        return dict.fromkeys(metrics)
    answer = np.eye(len(spec.labels))[np.bincount(gold).argmax()]
    scores = get_task(spec.task).score(spec, {"scores": np.tile(answer, (len(gold), 1))}, {"label": gold})
    return {metric: None if scores[metric] is None else round(scores[metric], DIGITS) for metric in metrics}
