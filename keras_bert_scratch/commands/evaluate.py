"""`keras-bert evaluate`: measure a finished run on data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "keras-bert evaluate demo/sentiment --data demo/reviews/dev.csv"


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    data: Annotated[Path, typer.Option(help="A labelled table for a fine-tuned run, records for a pretrained one.")],
) -> None:
    """Measure a fine-tuned run on labelled texts, or a pretrained one on records."""
    from keras_bert_scratch.commands.tables import print_results
    from keras_bert_scratch.data.labelled_text import LabelledText
    from keras_bert_scratch.data.pretraining_input import PretrainingRecords
    from keras_bert_scratch.models.pretrainer import BertPretrainer
    from keras_bert_scratch.tasks.classification import Classifier
    from keras_bert_scratch.text.tokenizer import BertTokenizer
    from keras_bert_scratch.training.pretraining import evaluate_pretraining

    if data.is_dir():
        records = PretrainingRecords(data, BertTokenizer.load(run))
        model = BertPretrainer.from_pretrained(run)
        model.compile()
        print_results(f"{run} on {data}", evaluate_pretraining(model, records))
    else:
        classifier = Classifier.load(run)
        print_results(f"{run} on {data}", classifier.evaluate(LabelledText.read(data, classifier.label_names)))
