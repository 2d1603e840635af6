"""The cases of the comparison with transformers: sizes, a batch, and weights that anyone can draw again from a name.

Both sides begin here: `make_transformers.py` and `tests/parity` with torch, the tests without. Names and shapes of the
tensors are those of transformers' `BertForPreTraining`, spelled out; none of the library's code is used.
"""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np

EVERY = 997  # of a word's 30,522 scores, one in so many is kept


@dataclasses.dataclass(frozen=True)
class Case:
    """Sizes of a network and of the batch that goes through it."""

    layers: int
    hidden: int
    vocab: int = 30522
    activation: str = "gelu"
    length: int = 16
    gradients: bool = True

    @property
    def big(self) -> bool:
        """Whether it takes some seconds; smaller ones differ from it in nothing else."""
        return self.hidden >= 512 or self.layers * self.hidden > 512

    def has_no_gradient(self, tensor: str) -> bool:
        """Whether softmax takes no notice of it: a key's bias never counts; of a single position nothing does."""
        return tensor.endswith("key.bias") or (self.length == 1 and (".query." in tensor or ".key." in tensor))

    @property
    def config(self) -> dict:
        """As in the `config.json` of transformers."""
        return {
            "model_type": "bert",
            "architectures": ["BertForPreTraining"],
            "vocab_size": self.vocab,
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "num_attention_heads": self.hidden // 64,
            "intermediate_size": 4 * self.hidden,
            "hidden_act": self.activation,
            "max_position_embeddings": 512,
            "type_vocab_size": 2,
            "layer_norm_eps": 1e-12,
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
        }


CASES = {
    **{f"l{layers}-h{h}": Case(layers, h) for layers in (2, 4, 6, 8, 10, 12) for h in (128, 256, 512, 768)},
    "large": Case(24, 1024, gradients=False),
    "length 1": Case(2, 128, length=1),
    "length 512": Case(2, 128, length=512),
    "tanh GELU": Case(4, 256, activation="gelu_new"),
    "cased vocabulary": Case(2, 128, vocab=28996),
    "Chinese vocabulary": Case(2, 128, vocab=21128),
}


def shapes(case: Case) -> dict[str, tuple[int, ...]]:
    """The tensors of `BertForPreTraining`."""
    hidden, inner = case.hidden, 4 * case.hidden

    def dense(name: str, inputs: int, outputs: int) -> dict:
        return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}

    def norm(name: str) -> dict:
        return {f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)}

    found = {
        "bert.embeddings.word_embeddings.weight": (case.vocab, hidden),
        "bert.embeddings.position_embeddings.weight": (512, hidden),
        "bert.embeddings.token_type_embeddings.weight": (2, hidden),
        **norm("bert.embeddings.LayerNorm"),
    }
    for index in range(case.layers):
        layer = f"bert.encoder.layer.{index}"
        for name in ("query", "key", "value"):
            found |= dense(f"{layer}.attention.self.{name}", hidden, hidden)
        found |= dense(f"{layer}.attention.output.dense", hidden, hidden)
        found |= norm(f"{layer}.attention.output.LayerNorm")
        found |= dense(f"{layer}.intermediate.dense", hidden, inner)
        found |= dense(f"{layer}.output.dense", inner, hidden)
        found |= norm(f"{layer}.output.LayerNorm")
    found |= dense("bert.pooler.dense", hidden, hidden)
    found |= {"cls.predictions.bias": (case.vocab,)}
    found |= dense("cls.predictions.transform.dense", hidden, hidden)
    found |= norm("cls.predictions.transform.LayerNorm")
    found |= dense("cls.seq_relationship", hidden, 2)
    return found


def weights(case: Case) -> dict[str, np.ndarray]:
    """Numbers for each tensor from its name alone: spread 0.02 as in BERT, around 1 in what scales a LayerNorm."""
    drawn = {}
    for name, shape in shapes(case).items():
        values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, np.float32) * np.float32(0.02)
        drawn[name] = values + np.float32(1) if name.endswith("LayerNorm.weight") else values
    return drawn


def batch(case: Case) -> dict[str, np.ndarray]:
    """Two segments per row, padding behind the second row, some positions to predict; by transformers' names."""
    rng = np.random.default_rng(case.length)
    size = np.array([case.length, max(1, case.length - 5)])[:, None]
    position = np.arange(case.length)[None]
    labels = np.full((2, case.length), -100)
    predicted = mask_positions(case)
    labels[np.arange(2)[:, None], predicted] = rng.integers(0, case.vocab, predicted.shape)
    return {
        "input_ids": rng.integers(0, case.vocab, (2, case.length)),
        "token_type_ids": ((position >= size // 2) & (position < size)).astype(int),
        "attention_mask": (position < size).astype(int),
        "labels": labels,
        "next_sentence_label": np.array([0, 1]),
    }


def mask_positions(case: Case) -> np.ndarray:
    """Where words are predicted, the same number in both rows, none of it padding."""
    return np.array([[0, 3, 7], [1, 2, 9]]) if case.length > 1 else np.array([[0], [0]])


def digest(gradient: np.ndarray) -> tuple[float, float]:
    """Its norm, and its product with a wave over all its elements, which a wrong position or sign changes."""
    wide = gradient.astype(np.float64).ravel()
    return float(np.linalg.norm(wide)), float(wide @ np.cos(np.arange(wide.size)))
