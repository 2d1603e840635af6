"""Does size help? Table 6 of Devlin et al. 2019 (section 5.2) at the size of a laptop.

    python experiments/size.py OUT [--tasks FOLDER] [--seeds 3] [--scale laptop] [--text FOLDER]

Claim: with the same text and the same steps, a larger network predicts masked words better and is better on every task
that it is fine-tuned for, both with more layers L and with a larger width H.

Rows: networks of L layers of width H, without next sentences, trained for the same steps. At scale laptop these are
4,000, in rows of 16 tokens, and of 40 for the last 40%; texts of tasks are cut into windows of 40 or truncated. The
peak learning rates fall with the width, as 1/H, from 2e-3 for the width of 128, and random weights have a standard
deviation of sqrt(0.46 / H) (at the paper's scale both stay as published). Other rates were not better with seed 0. The
held-out loss of L=2, H=64 was 4.91 at 2e-3, 4.90 at 4e-3 (used) and 6.30 at 8e-3; that of L=4, H=128 was 4.66 at 1e-3
and 4.51 at 2e-3 (used); that of L=2, H=256 was 4.34 at 1e-3 (used), and above 6 until step 2,000 at 2e-3. The rate of
L=4, H=256 was not compared here.

Columns: parameters without the token embeddings; operations of a step in the first part, relative to the first row's;
the held-out perplexity of masked words, as in the table; SST-2 and CoNLL-2003 after fine-tuning (the paper: MNLI, MRPC
and SST-2).

Expected: perplexities of 135, 93, 97, 77 and 81 in the order of the rows; CoNLL-2003 F1 of 66, 73, 74, 77 and 78%. The
larger width helps for both (shown). Four layers help on CoNLL-2003 in each seed, but not for masked words, where two
layers of the same width are better in each seed.

Cost at scale laptop, on one core: 4, 8, 17, 24 and about 36 minutes for the rows, 1.5 hours a seed; beside other work,
rows took up to 61 minutes. `--scale paper` has five of the six sizes of the table, and needs the paper's text.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from pathlib import Path
from typing import Annotated

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import typer
from corpus import Corpus, prepare
from downstream import (
    CONLL,
    DROPOUT,
    SST2,
    Downstream,
    available_tasks,
    columns_of,
    scores_of,
    settings_of,
    texts_of_dev,
)
from encoders import backbone_of, config_of, pretrained
from scales import Scale, scale_of
from study import Claim, Column, Study

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import handle_errors
from keras_bert_scratch.data.pretraining.shard_plan import max_examples_of
from keras_bert_scratch.training.flops import step_flops

TASKS = (SST2, CONLL)
RULES = kbs.ExampleRules("none", packing=True)
SIZES = {  # layers, width
    "smoke": [(1, 32), (2, 64)],
    "laptop": [(2, 64), (2, 128), (4, 128), (2, 256), (4, 256)],
    "paper": [(3, 768), (6, 768), (12, 768), (12, 1024), (24, 1024)],
}
PAIRS = {  # larger and smaller: in all, in layers alone, in width alone
    "smoke": [((2, 64), (1, 32))],
    "laptop": [((4, 256), (2, 64)), ((4, 128), (2, 128)), ((2, 256), (2, 128))],
    "paper": [((24, 1024), (3, 768)), ((12, 768), (6, 768)), ((12, 1024), (12, 768))],
}
LAPTOP = {"steps": 4000, "second_batch": 48, "second_length": 40, "second_fraction": 0.4, "window": 40}
WIDTH = 128  # the width that the learning rates of scale laptop are meant for


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
    sizes, available = scale_of(scale), available_tasks(TASKS, tasks)
    if scale == "laptop":
        sizes = dataclasses.replace(sizes, **LAPTOP)
    columns = {
        "parameters": Column("parameters, millions", ".2f"),
        "operations": Column("operations", ".2g"),
        "perplexity": Column("perplexity", ".1f", "low"),
    } | columns_of(available)
    rows = SIZES[scale]
    claims = [
        Claim(_name(*larger), _name(*smaller), metric, f"{metric}: {_name(*larger)} is better than {_name(*smaller)}")
        for larger, smaller in PAIRS[scale]
        for metric in ("perplexity", *(one.name for one in available))
    ]
    corpus = prepare(out, sizes, text, texts_of_dev(available, tasks))
    study = Study(out, "Does size help?", settings_of(scale, sizes, corpus, available, tasks), columns, claims)
    for seed in study.seeds(seeds, first=5):  # lower seeds chose the learning rates
        for layers, width in rows:
            run = functools.partial(_row, layers, width, seed, out, corpus, sizes, scale, available, tasks)
            study.measure(_name(layers, width), seed, run)
    print(f"\n{study.report()}")


def _name(layers: int, width: int) -> str:
    return f"L={layers}, H={width}"


def _row(
    layers: int,
    width: int,
    seed: int,
    out: Path,
    corpus: Corpus,
    sizes: Scale,
    scale: str,
    available: list[Downstream],
    tasks: Path,
) -> dict[str, float]:
    """Measures one row with one seed."""
    if scale != "paper":
        wider = width / WIDTH
        sizes = dataclasses.replace(
            sizes,
            learning_rate=sizes.learning_rate / wider,
            tuning_rate=sizes.tuning_rate / wider,
            initializer_range=sizes.initializer_range / math.sqrt(wider),
        )
    config = _config(layers, width, sizes, corpus)
    run = out / "runs" / f"l{layers}-h{width}-{seed}"
    results = pretrained(run, corpus, sizes, seed, RULES, config)
    backbone = kbs.BertBackbone.from_pretrained(run)
    measured = {
        "parameters": (backbone.count_params() - config.vocab_size * width) / 1e6,
        "operations": _operations(config, sizes) / _operations(_config(*SIZES[scale][0], sizes, corpus), sizes),
        "perplexity": math.exp(results["held_out_after"]["loss"]),
    }
    return measured | scores_of(available, tasks, lambda: backbone_of(run, DROPOUT), corpus.tokenizer, sizes, seed)


def _config(layers: int, width: int, sizes: Scale, corpus: Corpus) -> kbs.BertConfig:
    heads = max(1, width // 64)
    return config_of(sizes, corpus, num_layers=layers, hidden_size=width, num_heads=heads, intermediate_size=4 * width)


def _operations(config: kbs.BertConfig, sizes: Scale) -> float:
    """Returns the operations of the matrix products of a step, in the first part of pretraining."""
    predictions, examples = RULES.masking.num_predictions(sizes.length), max_examples_of(sizes.length, RULES)
    return step_flops(config, sizes.batch, sizes.length, predictions, examples)


if __name__ == "__main__":
    typer.run(handle_errors(main))
