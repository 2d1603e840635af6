"""Writes folders of runs as training leaves them, without training."""

import json
from pathlib import Path

from keras_bert_scratch.training.run_directory import RunDirectory

HEADING = "step,seconds,learning_rate,accuracy,loss,tokens"


def a_run(folder: str, rows=((20, 36.0, 1e-4, 0.1, 9.0, 500), (40, 72.0, 0.0, 0.2, 8.0, 1000)), **changes) -> Path:
    """`changes` are settings, except `results` and `finished`, which says whether the run is finished."""
    results, finished = changes.pop("results", {}), changes.pop("finished", False)
    settings = {"task": "pretraining", "training": {"steps": 40, "learning_rate": 1e-4}, "vocabulary": "a" * 64}
    with RunDirectory(folder, {**settings, **changes}) as run:
        run.add_results(**results)
        if finished:
            run.finish(results)
    lines = [",".join(map(str, row)) for row in rows]
    if rows is not None:
        Path(folder, "metrics.csv").write_text("\n".join([HEADING, *lines]) + "\n")
    return Path(folder)


def measured(*losses: float, every: int = 20) -> dict:
    """Results of a run that was evaluated every `every` steps."""
    entries = [{"step": every * number, "loss": loss, "examples": 50} for number, loss in enumerate(losses, 1)]
    return json.loads(json.dumps({"evaluations": entries, "best": min(entries, key=lambda entry: entry["loss"])}))
