"""Makes `transformers.npz`: what transformers computes for the cases of `seeded_bert.py`.

    pip install -c constraints.txt '.[parity]'
    python tests/golden/make_transformers.py

For each case: logits of both heads (of the words' scores every 997th), the loss, and of every gradient two numbers that
tell it from others (`seeded_bert.digest`). Nothing of keras_bert_scratch is imported.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers
from seeded_bert import CASES, EVERY, Case, batch, digest, mask_positions, weights


def reference(case: Case) -> transformers.BertForPreTraining:
    """transformers' model with the case's weights."""
    config = transformers.BertConfig(**{k: v for k, v in case.config.items() if k != "model_type"})
    model = transformers.BertForPreTraining(config).eval()
    state = {name: torch.from_numpy(tensor) for name, tensor in weights(case).items()}
    state["cls.predictions.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"]
    state["cls.predictions.decoder.bias"] = state["cls.predictions.bias"]
    model.load_state_dict(state)
    return model


def outputs(case: Case) -> tuple[np.ndarray, np.ndarray, float, dict[str, np.ndarray]]:
    """Logits at the positions to predict, logits of the pairs, the loss, the gradients by name."""
    model = reference(case)
    with torch.set_grad_enabled(case.gradients):
        found = model(**{name: torch.from_numpy(values) for name, values in batch(case).items()})
    gradients = {}
    if case.gradients:
        found.loss.backward()
        gradients = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    words = found.prediction_logits.detach().numpy()[np.arange(2)[:, None], mask_positions(case)]
    return words, found.seq_relationship_logits.detach().numpy(), found.loss.item(), gradients


def main() -> None:
    """Computes every case and writes the file."""
    stored: dict[str, np.ndarray] = {}
    for name, case in CASES.items():
        words, pairs, loss, gradients = outputs(case)
        stored |= {f"{name}/words": words[..., ::EVERY], f"{name}/pairs": pairs, f"{name}/loss": np.array(loss)}
        if gradients:
            stored[f"{name}/gradients"] = np.array([digest(gradients[tensor]) for tensor in sorted(gradients)])
        print(name, round(loss, 4))
    np.savez_compressed(Path(__file__).with_name("transformers.npz"), **stored)


if __name__ == "__main__":
    main()
