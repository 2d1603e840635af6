"""Memory that saving takes, in addition to the model itself: of a training state, and of a model's folder.

    python benchmarks/saving.py [--preset bert-small]

Each is saved in a separate process; the increase of its peak memory is printed, together with the file's size.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import typer

KINDS = ("state", "model")


def main(
    preset: Annotated[str, typer.Option(help="Size of the network.")] = "bert-small",
    kind: Annotated[str | None, typer.Option(help="Used internally by child processes: what to save.")] = None,
) -> None:
    """Prints a line for each kind."""
    if kind is None:
        for kind in KINDS:
            subprocess.run([sys.executable, __file__, "--preset", preset, "--kind", kind], check=True)
        return
    import numpy as np

    import keras_bert_scratch as kbs
    from keras_bert_scratch.training.run_directory import RunDirectory

    model = kbs.BertPretrainer(kbs.BertBackbone(kbs.BertConfig.preset(preset)))
    model.compile(kbs.BertAdamW(1e-4))
    model.optimizer.build(model.trainable_variables)
    with tempfile.TemporaryDirectory() as folder, RunDirectory(Path(folder) / "run", {}) as run:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if kind == "state":
            run.save_state(model)
        else:
            model.save_pretrained(run.path)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        largest = max(file.stat().st_size for file in Path(folder).rglob("*.h5"))
    weights = sum(int(np.prod(variable.shape)) for variable in model.weights) * 4
    print(
        f"{preset}, {kind}: file {largest / 1e6:.0f} MB, peak {(after - before) * 1024 / 1e6:+.0f} MB "
        f"(the model's weights: {weights / 1e6:.0f} MB)"
    )


if __name__ == "__main__":
    typer.run(main)
