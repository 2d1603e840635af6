"""Which masking? Table 8 of Devlin et al. 2019 (appendix C.2) at the size of a laptop, and three rules that came later.

    python experiments/masking.py OUT [--tasks FOLDER] [--seeds 3] [--scale laptop] [--text FOLDER]

Claim: of the chosen tokens 80% should become `[MASK]`, 10% a random token, and 10% stay. With `[MASK]` alone the
network is worse where its vectors are used without fine-tuning, as it never met a text without `[MASK]`; fine-tuning
hardly notices. With random tokens alone it is worse everywhere.

Rows: six replacements of the table; 25 and 40% in place of 15% (Wettig et al. 2023: large models gain); whole words
(Google's README of May 2019); the same masks in every epoch (Liu et al. 2019: a little worse). Columns: words found
in held-out rows, a `[MASK]` in the place of each; SST-2 and WNUT-17 after fine-tuning; WNUT-17 by a new BiLSTM on the
vectors of the encoder as it is (the paper's feature-based column).

Cost at scale laptop: not measured yet. `--scale paper` has the paper's sizes, and wants its text.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Annotated

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import typer
from corpus import Corpus, prepare
from downstream import DROPOUT, SST2, WNUT, Downstream, at_hand, columns_of, fine_tuned, scores_of
from encoders import backbone_of, pretrained
from hidden_words import found, said_by, words_of
from lstm import WithBiLSTM
from scales import Scale, scale_of
from study import Claim, Column, Study

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import ends_well

BERT = "80/10/10, 15%"
RULES = {  # [MASK] / a random token / the token itself
    BERT: {},
    "100/0/0": {"replacements": (1.0, 0.0, 0.0)},
    "80/0/20": {"replacements": (0.8, 0.0, 0.2)},
    "80/20/0": {"replacements": (0.8, 0.2, 0.0)},
    "0/80/20": {"replacements": (0.0, 0.8, 0.2)},
    "0/100/0": {"replacements": (0.0, 1.0, 0.0)},
    "25%": {"fraction": 0.25},
    "40%": {"fraction": 0.4},
    "whole words": {"unit": "words"},
    "static masks": {},
}
FEATURES = "WNUT-17 features"
CLAIMS = [
    Claim(BERT, "100/0/0", FEATURES, "[MASK] alone is worse for features"),
    Claim(BERT, "0/100/0", FEATURES, "random tokens alone are worse for features"),
    Claim(BERT, "0/100/0", WNUT.name, "random tokens alone are worse for fine-tuning"),
    Claim(BERT, "100/0/0", WNUT.name, "[MASK] alone is worse for fine-tuning (the paper: hardly)"),
]


def main(
    out: Annotated[Path, typer.Argument(help="Folder of the study; the same command goes on with it.")],
    tasks: Annotated[Path | None, typer.Option(help="Folder with SST-2/, wnut17/.")] = None,
    seeds: Annotated[int, typer.Option(help="How often to measure each row.")] = 3,
    scale: Annotated[str, typer.Option(help="laptop; paper; or smoke, to see that it runs.")] = "laptop",
    text: Annotated[Path | None, typer.Option(help="Folder with train/ and held_out/; else packages' text.")] = None,
) -> None:
    """Measures every row with every seed, and prints the table."""
    sizes, there = scale_of(scale), at_hand((SST2, WNUT), tasks)
    columns = {"hidden": Column("hidden words found")} | columns_of(there)
    if WNUT in there:
        columns[FEATURES] = Column("WNUT-17 F1, features")
    settings = {"scale": scale, "text": str(text or "packages"), "tasks": [one.name for one in there]}
    claims = [claim for claim in CLAIMS if claim.metric in columns]
    study = Study(out, "Which masking?", settings, columns, claims)
    with study.alone():
        corpus = prepare(out, sizes, text)
    for seed in study.seeds(seeds):
        for row in RULES:
            study.measure(row, seed, functools.partial(_row, row, seed, out, corpus, sizes, there, tasks))
    print(f"\n{study.report()}")


def _row(
    row: str, seed: int, out: Path, corpus: Corpus, sizes: Scale, there: list[Downstream], tasks: Path
) -> dict[str, float]:
    """What one row gets with one seed."""
    masks = kbs.MaskingRule(**RULES[row])
    rules = kbs.ExampleRules(masking=masks, static_masks=row == "static masks", packing=True)
    run = out / "runs" / f"{row.split(',')[0].replace('/', '-').replace(' ', '-')}-{seed}"
    pretrained(run, corpus, sizes, seed, rules)
    words = words_of(corpus.held_out, sizes.hidden_words)
    measured = {"hidden": found(said_by(run, corpus.held_out, sizes.hidden_words), words)}
    measured |= scores_of(there, tasks, lambda: backbone_of(run, DROPOUT), corpus.tokenizer, sizes, seed)
    if WNUT in there:
        keras.utils.set_random_seed(seed)
        backbone = backbone_of(run, 0.0)
        backbone.trainable = False
        measured[FEATURES] = fine_tuned(WNUT, tasks, WithBiLSTM(backbone), corpus.tokenizer, sizes, seed)
        keras.backend.clear_session()
    return measured


if __name__ == "__main__":
    typer.run(ends_well(main))
