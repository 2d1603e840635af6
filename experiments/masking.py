"""Which masking? Table 8 of Devlin et al. 2019 (appendix C.2) at the size of a laptop, and three rules that came later.

    python experiments/masking.py OUT [--tasks FOLDER] [--seeds 3] [--scale laptop] [--text FOLDER]

Claim: of the chosen tokens 80% should become `[MASK]`, 10% a random token, and 10% stay the same. With `[MASK]` alone
the network is worse if its vectors are used without fine-tuning, because it never saw a text without `[MASK]`; after
fine-tuning it is hardly worse. With random tokens alone it is worse everywhere.

Rows: the six of the table, in its order: mask, same, random; 25 and 40% in place of 15% (Wettig et al. 2023: large
models gain); whole words (Google's README of May 2019; in rows of 16 tokens two are chosen, which leaves out longer
words); 1% of the text, which is seen dozens of times, with dynamic masks, new in each epoch, and with static ones,
which repeat every ten epochs (Liu et al. 2019: a little worse). There is no next-sentence prediction. Columns: accuracy
on one masked token in each held-out row (not measured for a network that never saw `[MASK]`); SST-2 and CoNLL-2003
after fine-tuning; CoNLL-2003 with a new BiLSTM on the concatenated last four blocks of the frozen encoder (the paper's
feature-based column; on both blocks if there are two).

Expected: of the table's rows, the paper's has the highest means on CoNLL-2003 both ways; `[MASK]` alone is about as
good after fine-tuning and some six points of F1 worse as features; random tokens alone are worst. 25 and 40% are ahead
of 15% by some two points of masked-token accuracy and of F1. Static masks lose four points of masked-token accuracy.

Cost at scale laptop, on one core: about 13 minutes a row, 2.5 hours a seed. The learning rate was chosen with seed 0:
at a peak of 2e-3, which suits the paper's rule, a network that never sees a chosen token unchanged still knew only
frequencies after 5,400 steps; at 1e-3 it learned more. So all rows have 1e-3, and the seeds begin at 1. `--scale paper`
has the paper's sizes, and needs its text.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path
from typing import Annotated

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import typer
from corpus import Corpus, prepare, small_part
from downstream import (
    CONLL,
    DROPOUT,
    SST2,
    Downstream,
    available_tasks,
    columns_of,
    fine_tuned,
    scores_of,
    settings_of,
    texts_of_dev,
)
from encoders import backbone_of, pretrained
from features import RATE, Features
from hidden_words import accuracy, masked_log_probs, words_of
from scales import Scale, scale_of
from study import Claim, Column, Study

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import handle_errors

BERT = "mask 80, same 10, random 10; 15%"
MASKS_ALONE, RANDOM_ALONE = "mask 100", "random 100"
SMALL, SMALL_STATIC = "1% of the text, dynamic masks", "1% of the text, static masks"
RULES = {  # in the library's order: mask, random token, same
    BERT: {},
    MASKS_ALONE: {"replacements": (1.0, 0.0, 0.0)},
    "mask 80, random 20": {"replacements": (0.8, 0.2, 0.0)},
    "mask 80, same 20": {"replacements": (0.8, 0.0, 0.2)},
    "same 20, random 80": {"replacements": (0.0, 0.8, 0.2)},
    RANDOM_ALONE: {"replacements": (0.0, 1.0, 0.0)},
    "25%": {"fraction": 0.25},
    "40%": {"fraction": 0.4},
    "whole words": {"unit": "words"},
    SMALL: {},
    SMALL_STATIC: {},
}
LAPTOP_STEPS, LAPTOP_RATE, FIRST_SEED = 4000, 1e-3, 1
PART = 100  # the small text has one document in this many
FEATURES = "CoNLL-2003 features"
CLAIMS = [
    Claim(BERT, MASKS_ALONE, FEATURES, "[MASK] alone is worse for features"),
    Claim(BERT, RANDOM_ALONE, FEATURES, "random tokens alone are worse for features"),
    Claim(BERT, RANDOM_ALONE, CONLL.name, "random tokens alone are worse for fine-tuning"),
    Claim(BERT, MASKS_ALONE, CONLL.name, "[MASK] alone is worse for fine-tuning (the paper: hardly)"),
    Claim(BERT, "40%", "hidden", "for a small network 15% is better than 40%: masked tokens"),
    Claim(BERT, "40%", SST2.name, "for a small network 15% is better than 40%: SST-2"),
    Claim(BERT, "40%", CONLL.name, "for a small network 15% is better than 40%: CoNLL-2003"),
    Claim("whole words", BERT, CONLL.name, "whole-word masking is better for fine-tuning"),
    Claim(SMALL, SMALL_STATIC, "hidden", "masked tokens: dynamic masks are better than static ones"),
]


def main(
    out: Annotated[Path, typer.Argument(help="Folder of the study; the same command resumes it.")],
    tasks: Annotated[Path | None, typer.Option(help="Folder with SST-2/, conll2003/.")] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds for each row.")] = 3,
    scale: Annotated[str, typer.Option(help="laptop, paper, or smoke (only checks that it runs).")] = "laptop",
    text: Annotated[
        Path | None, typer.Option(help="Folder with train/ and held_out/; default: packages' text.")
    ] = None,
) -> None:
    """Measures every row with every seed, and prints the table."""
    sizes, available = scale_of(scale), available_tasks((SST2, CONLL), tasks)
    if scale == "laptop":
        sizes = dataclasses.replace(sizes, steps=LAPTOP_STEPS, learning_rate=LAPTOP_RATE)
    columns = {"hidden": Column("masked-token accuracy")} | columns_of(available)
    if CONLL in available:
        columns[FEATURES] = Column("CoNLL-2003 F1, features")
    claims = [claim for claim in CLAIMS if claim.metric in columns]
    corpus = prepare(out, sizes, text, texts_of_dev(available, tasks))
    small = small_part(corpus, out, PART)
    study = Study(out, "Which masking?", settings_of(scale, sizes, corpus, available, tasks), columns, claims)
    for seed in study.seeds(seeds, FIRST_SEED):
        for row in RULES:
            learned = small if row in (SMALL, SMALL_STATIC) else corpus
            study.measure(row, seed, functools.partial(_row, row, seed, out, learned, sizes, available, tasks))
    print(f"\n{study.report()}")


def _row(
    row: str, seed: int, out: Path, corpus: Corpus, sizes: Scale, available: list[Downstream], tasks: Path
) -> dict[str, float | None]:
    """Measures one row with one seed."""
    masks = kbs.MaskingRule(**RULES[row])
    rules = kbs.ExampleRules("none", masking=masks, static_masks=row == SMALL_STATIC, packing=True)
    run = out / "runs" / f"{list(RULES).index(row)}-{seed}"
    pretrained(run, corpus, sizes, seed, rules)
    measured: dict[str, float | None] = {"hidden": None}
    if masks.replacements[0]:
        words = words_of(corpus.held_out, sizes.hidden_words)
        measured["hidden"] = accuracy(masked_log_probs(run, corpus.held_out, sizes.hidden_words), words)
    measured |= scores_of(available, tasks, lambda: backbone_of(run, DROPOUT), corpus.tokenizer, sizes, seed)
    if CONLL in available:
        keras.utils.set_random_seed(seed)
        backbone = backbone_of(run, 0.0)
        encoder = Features(backbone, slice(-min(4, backbone.config.num_layers), None), "concatenated")
        how = dataclasses.replace(sizes, tuning_rate=RATE)
        measured[FEATURES] = fine_tuned(CONLL, tasks, encoder, corpus.tokenizer, how, seed)
        keras.backend.clear_session()
    return measured


if __name__ == "__main__":
    typer.run(handle_errors(main))
