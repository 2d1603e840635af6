"""The translator against transformers' `EncoderDecoderModel` of two BERTs: logits, loss, gradients, beams, files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import transformers

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint
from keras_bert_scratch.checkpoints.huggingface_translator import translator_names
from keras_bert_scratch.checkpoints.names import renamed
from keras_bert_scratch.tasks.data.beam_search import beam_search

SIZES = {
    "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 24,
    "initializer_range": 0.3, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
CLS, SEP = 2, 3


@pytest.fixture(scope="module")
def theirs() -> transformers.EncoderDecoderModel:
    torch.manual_seed(0)
    encoder = transformers.BertConfig(vocab_size=40, num_hidden_layers=2, **SIZES)
    decoder = transformers.BertConfig(
        vocab_size=50, num_hidden_layers=3, is_decoder=True, add_cross_attention=True, **SIZES
    )
    both = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    return transformers.EncoderDecoderModel(both).eval()


@pytest.fixture(scope="module")
def folder(theirs, tmp_path_factory):
    path = tmp_path_factory.mktemp("theirs")
    theirs.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def ours(folder) -> kbs.BertTranslator:
    return kbs.BertTranslator.from_pretrained(folder)


def batch() -> dict[str, np.ndarray]:
    draws = np.random.default_rng(0)
    source, target = draws.integers(5, 40, (3, 7)), draws.integers(5, 50, (3, 6))
    return {
        "token_ids": source.astype("int32"),
        "segment_ids": np.zeros((3, 7), "int32"),
        "padding_mask": (np.arange(7) < [[7], [4], [5]]).astype("int32"),
        "decoder_token_ids": target.astype("int32"),
        "decoder_padding_mask": (np.arange(6) < [[6], [3], [5]]).astype("int32"),
    }


def as_theirs(inputs) -> dict[str, torch.Tensor]:
    names = {"token_ids": "input_ids", "padding_mask": "attention_mask"}
    names |= {"decoder_token_ids": "decoder_input_ids", "decoder_padding_mask": "decoder_attention_mask"}
    return {theirs: torch.from_numpy(inputs[ours]).long() for ours, theirs in names.items()}


def test_logits_loss_and_gradients(ours, theirs, record):
    inputs = batch()
    labels = np.random.default_rng(1).integers(5, 50, (3, 6)).astype("int32")
    counted = torch.from_numpy(np.where(inputs["decoder_padding_mask"], labels, -100)).long()
    theirs.zero_grad()
    outputs = theirs(**as_theirs(inputs))
    loss = torch.nn.functional.cross_entropy(outputs.logits.reshape(-1, 50), counted.reshape(-1))
    loss.backward()
    with tf.GradientTape() as tape:
        logits = ours(inputs)
        total, _, weight = ours.objectives[""].sums(labels, logits, ours.objectives[""].weights(labels, inputs))
        our_loss = total / weight
    off = np.abs(np.asarray(logits) - outputs.logits.detach().numpy()).max()
    record("logits", off)
    assert off < 2e-5
    assert float(our_loss) == pytest.approx(float(loss.detach()), rel=1e-5)
    gradients = {name: weight.grad.numpy() for name, weight in theirs.named_parameters() if weight.grad is not None}
    names = translator_names()
    largest = max(np.linalg.norm(gradient) for gradient in gradients.values())
    variables = ours.trainable_variables
    for variable, found in zip(variables, tape.gradient(our_loss, [v.value for v in variables]), strict=True):
        name = renamed(variable.path, names)
        if found is None:
            assert "pooler" in name
            continue
        expected = gradients[name].T if variable.path.endswith("kernel") else gradients[name]
        off = np.linalg.norm(np.asarray(tf.convert_to_tensor(found)) - expected)
        record("gradients, of the largest", off / largest)
        assert off < 1e-5 * max(np.linalg.norm(expected), 0.01 * largest), name


def test_beams(ours, theirs, record):
    """Theirs divides by the number of tokens, ours by a power of it; without a length penalty both find the same."""
    inputs = batch()
    source = ours.encode(inputs)

    found = beam_search(ours.step, ours.empty_past(3), source, tf.constant(3), CLS, SEP, 12, 4, 0.0, wanted=4)
    expected = theirs.generate(
        **{name: value for name, value in as_theirs(inputs).items() if "decoder" not in name},
        decoder_start_token_id=CLS, eos_token_id=SEP, pad_token_id=SEP, bos_token_id=CLS, num_beams=4,
        num_return_sequences=4, max_new_tokens=12, length_penalty=0.0, early_stopping="never", do_sample=False,
        return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip
    scores = expected.sequences_scores.numpy().reshape(3, 4)
    record("scores of beams", np.abs(found.scores - scores).max())
    np.testing.assert_allclose(found.scores, scores, atol=1e-3)
    for ours_of_row, theirs_of_row in zip(
        found.tokens.numpy(), expected.sequences.numpy().reshape(3, 4, -1), strict=True
    ):
        for text, other in zip(ours_of_row, theirs_of_row[:, 1:], strict=True):
            assert text[: len(other)].tolist() == other.tolist()


def test_a_folder_written_by_us_is_read_by_them(folder, theirs, tmp_path):
    write_checkpoint(read_checkpoint(folder), tmp_path / "ours", "huggingface")
    again, report = transformers.EncoderDecoderModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    weights = dict(again.named_parameters())
    for name, weight in theirs.named_parameters():
        assert torch.equal(weights[name], weight), name


def test_shared_embeddings_are_written_for_both(theirs, tmp_path):
    config = kbs.BertConfig(vocab_size=30, num_layers=1, hidden_size=16, num_heads=2)
    keras.utils.set_random_seed(0)
    model = kbs.BertTranslator(kbs.BertBackbone(config, pooler=False))
    write_checkpoint(model.to_checkpoint(), tmp_path / "ours", "huggingface")
    again = transformers.EncoderDecoderModel.from_pretrained(tmp_path / "ours").eval()
    inputs = {name: np.minimum(value, 29) for name, value in batch().items()}
    with torch.no_grad():
        expected = again(**as_theirs(inputs)).logits.numpy()
    np.testing.assert_allclose(np.asarray(model(inputs)), expected, atol=1e-5)
