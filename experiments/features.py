"""Features instead of fine-tuning: Table 7 of Devlin et al. 2019 (section 5.3) on CoNLL-2003.

    python experiments/features.py OUT --tasks FOLDER [--init MODEL] [--seeds 3] [--steps N] [--scale laptop]

Claim: the encoder's vectors are useful without fine-tuning, too: a BiLSTM on the last four layers, concatenated, comes
within 0.3 F1 of fine-tuning all of bert-base; the last layer alone is worse, the embeddings far worse.

Rows: fine-tuning all; then, with the encoder frozen and a new BiLSTM of two layers and a linear layer on top: the
embeddings; the second-to-last layer; the last; a weighted sum of the last four, with learnt weights; the last four,
concatenated; a weighted sum of all layers. MODEL is any encoder that `from_pretrained` reads; by default
all-MiniLM-L6-v2 of the extra `demo`: 6 layers of 384, uncased, while the paper's model is cased.

Expected: the last four layers, concatenated, come within 1.5 F1 of fine-tuning, far ahead of the last layer; with this
encoder the embeddings are better than the last layer, unlike in the paper.

Cost at scale laptop: about 45 minutes for each seed, on one core. `--init hf://google-bert/bert-base-cased
--scale paper` has the paper's sizes.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import typer
from downstream import CONLL, check_has, checksums, fine_tuned
from keras import ops
from scales import scale_of
from study import Claim, Column, Study

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.demo import REAL_PACKAGE, REAL_WEIGHTS
from keras_bert_scratch.commands.main import handle_errors
from keras_bert_scratch.data.corpus.files import package_folder

TUNED, LAST_FOUR, LAST, EMBEDDINGS = "fine-tuning all", "last four layers, concatenated", "last layer", "embeddings"
RATE = 1e-3  # learning rate of a new BiLSTM
# The layers of each row, as a slice of all, and how they are combined.
LAYERS: dict[str, tuple[slice, str]] = {
    EMBEDDINGS: (slice(0, 1), "alone"),
    "second-to-last layer": (slice(-2, -1), "alone"),
    LAST: (slice(-1, None), "alone"),
    "last four layers, weighted": (slice(-4, None), "weighted"),
    LAST_FOUR: (slice(-4, None), "concatenated"),
    "all layers, weighted": (slice(1, None), "weighted"),
}
CLAIMS = [
    Claim(TUNED, LAST_FOUR, "f1", "fine-tuning is better than the last four layers (the paper: by 0.3)"),
    Claim(LAST_FOUR, LAST, "f1", "four layers are better than the last"),
    Claim(LAST, EMBEDDINGS, "f1", "the last layer is better than the embeddings"),
]


@keras.saving.register_keras_serializable(package="experiments")
class WeightedSum(keras.layers.Layer):
    """The sum of several layers' vectors, with learnt weights that add up to 1."""

    def build(self, shapes: Any) -> None:
        self.scores = self.add_weight(shape=(len(shapes),), initializer="zeros", name="scores")

    def call(self, layers: list[Any]) -> Any:
        weights = ops.softmax(self.scores)
        return sum(weights[number] * layer for number, layer in enumerate(layers))


class Features:
    """A frozen encoder with a new BiLSTM on some of its layers; it has the interface that token heads need.

    The BiLSTM has two layers, as in the paper; both directions together have the encoder's hidden size.

    Args:
        backbone: BertBackbone. It is frozen.
        layers: slice. Which outputs of the embeddings and the blocks are read.
        how: str. `"alone"`, `"weighted"` or `"concatenated"`.
    """

    def __init__(self, backbone: kbs.BertBackbone, layers: slice, how: str) -> None:
        backbone.trainable = False
        self.backbone, self.layers, self.how = backbone, layers, how
        self.config, self.embeddings, self.pooler = backbone.config, backbone.embeddings, None
        self.packed = False
        self.sum = WeightedSum(name="weighted_sum")
        half = self.config.hidden_size // 2
        self.lstms = [
            keras.layers.Bidirectional(keras.layers.LSTM(half, return_sequences=True), name=f"bilstm_{number}")
            for number in range(2)
        ]

    @property
    def weights(self) -> list[Any]:
        return [weight for part in (self.backbone, self.sum, *self.lstms) for weight in part.weights]

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        chosen = self.backbone.encode_layers(inputs)[self.layers]
        if self.how == "weighted":
            vectors = self.sum(chosen)
        else:
            vectors = chosen[0] if len(chosen) == 1 else ops.concatenate(chosen, axis=-1)
        for lstm in self.lstms:
            vectors = lstm(vectors, mask=ops.cast(inputs["padding_mask"], "bool"))
        return {"sequence_output": ops.copy(vectors)}  # drops Keras's mask, which heads do not expect


def main(
    out: Annotated[Path, typer.Argument(help="Folder of the study; the same command resumes it.")],
    tasks: Annotated[Path, typer.Option(help="Folder with conll2003/.")],
    init: Annotated[str | None, typer.Option(help="Encoder; default: all-MiniLM-L6-v2 (extra `demo`).")] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds for each row.")] = 3,
    steps: Annotated[int | None, typer.Option(help="Fine-tuning steps; default: those of the scale.")] = None,
    scale: Annotated[str, typer.Option(help="laptop, paper, or smoke (only checks that it runs).")] = "laptop",
) -> None:
    """Measures every row with every seed, and prints the table."""
    sizes = scale_of(scale)
    sizes = dataclasses.replace(sizes, tuning_steps=steps or sizes.tuning_steps)
    encoder = init or str(package_folder(REAL_PACKAGE) / REAL_WEIGHTS)
    settings = {"scale": scale, "init": init or REAL_WEIGHTS.name, "sizes": dataclasses.asdict(sizes)}
    check_has(CONLL, tasks)
    settings["conll"] = checksums([tasks / CONLL.train, tasks / CONLL.dev])
    study = Study(out, "Features instead of fine-tuning", settings, {"f1": Column("dev F1")}, CLAIMS)
    tokenizer = kbs.BertTokenizer.load(encoder)

    def row(name: str, seed: int) -> dict[str, float]:
        keras.utils.set_random_seed(seed)
        if name == TUNED:
            backbone = kbs.BertBackbone.from_pretrained(encoder)
            rate = 1e-4 if scale != "paper" else sizes.tuning_rate
        else:
            backbone = kbs.BertBackbone.from_pretrained(encoder, hidden_dropout=0.0, attention_dropout=0.0)
            backbone, rate = Features(backbone, *LAYERS[name]), RATE
        tuning = dataclasses.replace(sizes, tuning_rate=rate)
        score = fine_tuned(CONLL, tasks, backbone, tokenizer, tuning, seed)
        keras.backend.clear_session()
        return {"f1": score}

    for seed in study.seeds(seeds):
        for name in (TUNED, *LAYERS):
            study.measure(name, seed, functools.partial(row, name, seed))
    print(f"\n{study.report()}")


if __name__ == "__main__":
    typer.run(handle_errors(main))
