"""Makes `decoders/`: a small left-to-right model and a small translator of transformers, and what they compute.

    pip install -c constraints.txt '.[parity]'
    python tests/golden/make_decoders.py

Beside each model `outputs.npz`: its inputs, logits, loss, and of every gradient two numbers that tell it from others
(`seeded_bert.digest`). Nothing of keras_bert_scratch is imported.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from seeded_bert import digest

OUT = Path(__file__).with_name("decoders")
SIZES = {
    "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 12,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip


def drawn(model: Any) -> Any:
    """With random biases and LayerNorms, too."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def causal() -> tuple[Any, dict[str, np.ndarray], Any]:
    """Next tokens of three rows; transformers shifts the labels itself."""
    config = transformers.BertConfig(vocab_size=40, num_hidden_layers=2, is_decoder=True, **SIZES)
    model = drawn(transformers.BertLMHeadModel(config))
    ids = np.random.default_rng(0).integers(5, 40, (3, 8))
    mask = (np.arange(8) < [[8], [5], [3]]).astype(int)
    labels = np.where(mask == 1, ids, -100)
    found = model(*map(torch.from_numpy, (ids, mask)), labels=torch.from_numpy(labels))
    return model, {"token_ids": ids, "padding_mask": mask}, found


def translator() -> tuple[Any, dict[str, np.ndarray], Any]:
    """Three sources, of which the targets' next tokens are told, as if all were shifted before."""
    encoder = transformers.BertConfig(vocab_size=40, num_hidden_layers=1, **SIZES)
    decoder = transformers.BertConfig(
        vocab_size=30, num_hidden_layers=2, is_decoder=True, add_cross_attention=True, **SIZES
    )
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    model = drawn(transformers.EncoderDecoderModel(config))
    draws = np.random.default_rng(1)
    ids, mask = draws.integers(5, 40, (3, 7)), (np.arange(7) < [[7], [4], [2]]).astype(int)
    target, target_mask = draws.integers(5, 30, (3, 6)), (np.arange(6) < [[6], [3], [5]]).astype(int)
    following = draws.integers(5, 30, (3, 6))
    found = model(
        input_ids=torch.from_numpy(ids),
        attention_mask=torch.from_numpy(mask),
        decoder_input_ids=torch.from_numpy(target),
        decoder_attention_mask=torch.from_numpy(target_mask),
    )
    logits = found.logits.reshape(-1, 30)
    wanted = torch.from_numpy(np.where(target_mask == 1, following, -100)).reshape(-1)
    found.loss = torch.nn.functional.cross_entropy(logits, wanted)
    inputs = {
        "token_ids": ids, "padding_mask": mask, "decoder_token_ids": target, "decoder_padding_mask": target_mask,
        "following": following,
    }  # fmt: skip
    return model, inputs, found


def main() -> None:
    """Computes both and writes their folders."""
    shutil.rmtree(OUT, ignore_errors=True)
    for name, make in {"causal": causal, "translator": translator}.items():
        torch.manual_seed(3)
        model, inputs, found = make()
        found.loss.backward()
        gradients = {
            f"gradient/{key}": np.array(digest(p.grad.numpy()))
            for key, p in model.named_parameters()
            if p.grad is not None
        }
        model.save_pretrained(OUT / name)
        (OUT / name / "generation_config.json").unlink(missing_ok=True)
        computed = {"logits": found.logits.detach().numpy(), "loss": np.array(found.loss.item())}
        np.savez_compressed(OUT / name / "outputs.npz", **inputs, **computed, **gradients)
        print(name, round(found.loss.item(), 4))


if __name__ == "__main__":
    main()
