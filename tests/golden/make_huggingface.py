"""Makes `huggingface/`: a small model of every BERT class of transformers, with its logits, and two old-style files.

pip install -c constraints.txt '.[parity]'
python tests/golden/make_huggingface.py
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
import transformers

OUT = Path(__file__).with_name("huggingface")
VOCABULARY = Path(__file__).with_name("google") / "vocab.txt"
CLASSES = (
    "BertModel",
    "BertForPreTraining",
    "BertForMaskedLM",
    "BertForNextSentencePrediction",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
    "BertForMultipleChoice",
)
LABELS = ("alpha", "beta", "gamma")


def small_model(class_name: str, **changes: object) -> transformers.PreTrainedModel:
    """A network of that class with 40 words and random weights, biases and LayerNorms too."""
    torch.manual_seed(3)
    sizes = {
        "vocab_size": 40,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 12,
    }
    config = transformers.BertConfig(**sizes | changes)
    if class_name in ("BertForSequenceClassification", "BertForTokenClassification"):
        config.id2label = dict(enumerate(LABELS))
        config.label2id = {name: number for number, name in enumerate(LABELS)}
    model = getattr(transformers, class_name)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def small_batch(class_name: str) -> dict[str, np.ndarray]:
    """Three rows, two segments, padding behind two of them; twice as many for choices."""
    position, size = np.arange(9)[None], np.array([9, 4, 1])[:, None]
    batch = {
        "input_ids": np.random.default_rng(0).integers(0, 40, (3, 9)),
        "token_type_ids": ((position >= size // 2) & (position < size)).astype(int),
        "attention_mask": (position < size).astype(int),
    }
    if class_name == "BertForMultipleChoice":
        batch = {name: np.stack([values, values[::-1]], axis=1) for name, values in batch.items()}
    return batch


def outputs(model: transformers.PreTrainedModel, batch: dict[str, np.ndarray]) -> list[np.ndarray]:
    """What the model gives, in the order of its fields."""
    with torch.no_grad():
        found = model(**{name: torch.from_numpy(values) for name, values in batch.items()})
    return [value.numpy() for value in found.to_tuple()]


def main() -> None:
    """Writes a folder per class, and one with torch's own files of either age."""
    shutil.rmtree(OUT, ignore_errors=True)
    for class_name in CLASSES:
        model, folder = small_model(class_name), OUT / class_name
        model.save_pretrained(folder)
        batch = small_batch(class_name)
        np.savez_compressed(folder / "expected.npz", *outputs(model, batch), **batch)
    transformers.BertTokenizer(str(VOCABULARY)).save_pretrained(OUT / "BertForMaskedLM")
    state = small_model("BertForPreTraining").state_dict()
    torch.save(state, OUT / "BertForPreTraining" / "new.bin")
    torch.save(state, OUT / "BertForPreTraining" / "old.bin", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
