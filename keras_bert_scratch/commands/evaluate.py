"""`keras-bert evaluate`: measure a finished run on data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "keras-bert evaluate demo/sentiment --data demo/held_out.csv"


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    data: Annotated[Path, typer.Option(help="A labelled table for a fine-tuned run, records for a pretrained one.")],
    length: Annotated[int | None, typer.Option(help="Tokens per row of records; else as the run was trained.")] = None,
) -> None:
    """Measure a fine-tuned run on labelled texts, or a pretrained one on records."""
    from keras_bert_scratch.commands.tables import print_results
    from keras_bert_scratch.data.google.reader import open_records
    from keras_bert_scratch.data.labelled_text import LabelledText
    from keras_bert_scratch.data.pretraining.rules import ExampleRules
    from keras_bert_scratch.models.masked_lm import BertMaskedLM
    from keras_bert_scratch.models.pretrainer import BertPretrainer
    from keras_bert_scratch.tasks.classification import Classifier
    from keras_bert_scratch.text.tokenizer import BertTokenizer
    from keras_bert_scratch.training.pretraining import evaluate_pretraining
    from keras_bert_scratch.training.run_directory import read_run

    if data.is_dir():
        records = open_records(data, BertTokenizer.load(run))
        settings = (read_run(run) or {}).get("settings", {})
        rules = ExampleRules(settings.get("rules", {}).get("pairs", "next"))
        model = (BertMaskedLM if rules.pairs == "none" else BertPretrainer).from_pretrained(run)
        model.compile()
        length = length or settings.get("max_length") or model.backbone.config.max_position_embeddings
        results = evaluate_pretraining(model, records, max_length=length, rules=rules)
        print_results(f"{run} on {data}", results)
    else:
        classifier = Classifier.load(run)
        print_results(f"{run} on {data}", classifier.evaluate(LabelledText.read(data, classifier.label_names)))
