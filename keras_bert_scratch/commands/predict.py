"""`keras-bert predict`: ask a model about texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = 'keras-bert predict demo/saved_model "A joy from start to end."'


def predict(
    model: Annotated[Path, typer.Argument(help="A fine-tuned run, or a SavedModel made by 'keras-bert export'.")],
    text: Annotated[list[str], typer.Argument(help="The texts.")],
) -> None:
    """Print the label of each text, its score and the text, parted by tabs."""
    if (model / "saved_model.pb").exists():
        # Nothing of the network's code is imported on this way: the SavedModel answers by itself.
        from keras_bert_scratch.serving.saved_model import answer

        answers = [(label, max(scores)) for label, scores in answer(model, text)]
    else:
        from keras_bert_scratch.tasks.classification import Classifier

        answers = [(label, scores[label]) for label, scores in Classifier.load(model).answer(text)]
    for (label, score), asked in zip(answers, text, strict=True):
        print(f"{label}\t{score:.3f}\t{asked}")
