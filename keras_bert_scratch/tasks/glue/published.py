"""Published GLUE results, all on the test sets and scored by GLUE's server."""

from __future__ import annotations

SOURCES = (
    "base: Devlin et al. 2019, table 1. Medium to Tiny: README of google-research/bert (11 March 2020), 4 epochs, for "
    "each task the best of 5 batch sizes and 4 rates."
)

# For each model and set, the values of `GlueTask.metrics` in percent; `None` if a value is not published.
PUBLISHED: dict[str, dict[str, list[float | None]]] = {
    "BERT-base": {
        "CoLA": [52.1],
        "SST-2": [93.5],
        "MRPC": [88.9, None],
        "QQP": [71.2, None],
        "STS-B": [None, 85.8],
        "MNLI-m": [84.6],
        "MNLI-mm": [83.4],
        "QNLI": [90.5],
        "RTE": [66.4],
    },
    "BERT-Medium": {
        "CoLA": [38.0],
        "SST-2": [89.6],
        "MRPC": [86.6, 81.6],
        "QQP": [69.6, 87.9],
        "STS-B": [80.4, 78.4],
        "MNLI-m": [80.0],
        "MNLI-mm": [79.1],
        "QNLI": [87.7],
        "RTE": [62.2],
        "WNLI": [62.3],
    },
    "BERT-Small": {
        "CoLA": [27.8],
        "SST-2": [89.7],
        "MRPC": [83.4, 76.2],
        "QQP": [68.1, 87.0],
        "STS-B": [78.8, 77.0],
        "MNLI-m": [77.6],
        "MNLI-mm": [77.0],
        "QNLI": [86.4],
        "RTE": [61.8],
        "WNLI": [62.3],
    },
    "BERT-Mini": {
        "CoLA": [0.0],
        "SST-2": [85.9],
        "MRPC": [81.1, 71.8],
        "QQP": [66.4, 86.2],
        "STS-B": [75.4, 73.3],
        "MNLI-m": [74.8],
        "MNLI-mm": [74.3],
        "QNLI": [84.1],
        "RTE": [57.9],
        "WNLI": [62.3],
    },
    "BERT-Tiny": {
        "CoLA": [0.0],
        "SST-2": [83.2],
        "MRPC": [81.1, 71.1],
        "QQP": [62.2, 83.4],
        "STS-B": [74.3, 73.6],
        "MNLI-m": [70.2],
        "MNLI-mm": [70.3],
        "QNLI": [81.5],
        "RTE": [57.2],
        "WNLI": [62.3],
    },
}
