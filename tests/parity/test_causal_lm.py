"""The left-to-right model against transformers' `BertLMHeadModel`: logits, loss, gradients, files, generated tokens."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import transformers

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint
from keras_bert_scratch.checkpoints.names import huggingface_names, renamed
from keras_bert_scratch.data.pretraining.next_tokens import next_tokens
from keras_bert_scratch.tasks.data.sampling import sample

CLS, SEP = 2, 3
IDS = np.random.default_rng(0).integers(5, 40, (3, 9)).astype("int32")
MASK = (np.arange(9) < [[9], [6], [4]]).astype("int32")
INPUTS = {"token_ids": IDS, "segment_ids": np.zeros_like(IDS), "padding_mask": MASK}


@pytest.fixture(scope="module")
def theirs() -> transformers.BertLMHeadModel:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=24, initializer_range=0.3, is_decoder=True, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return transformers.BertLMHeadModel(config).eval()


@pytest.fixture(scope="module")
def folder(theirs, tmp_path_factory):
    path = tmp_path_factory.mktemp("theirs")
    theirs.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def ours(folder) -> kbs.BertCausalLM:
    return kbs.BertCausalLM.from_pretrained(folder)


def of_theirs(model, **more):
    ids, mask = torch.from_numpy(IDS).long(), torch.from_numpy(MASK).long()
    return model(input_ids=ids, attention_mask=mask, **more)


def test_the_folder_tells_its_direction(folder):
    checkpoint = read_checkpoint(folder)
    assert (checkpoint.architecture, checkpoint.config.direction) == ("BertCausalLM", "left-to-right")


def test_logits(ours, theirs):
    with torch.no_grad():
        expected = of_theirs(theirs).logits.numpy()
    found = ours(INPUTS).numpy()
    np.testing.assert_allclose(found[MASK == 1], expected[MASK == 1], atol=2e-5)


def test_loss_and_gradients(ours, theirs):
    theirs.zero_grad()
    labels = torch.where(torch.from_numpy(MASK) == 1, torch.from_numpy(IDS).long(), -100)
    loss = of_theirs(theirs, labels=labels).loss  # transformers shifts the labels itself
    loss.backward()
    y, weights = next_tokens(IDS, MASK)
    with tf.GradientTape() as tape:
        objective = ours.objectives[""]
        total, _, count = objective.sums(y, ours(INPUTS), objective.weights(y, INPUTS, weights), training=True)
        mean = total / count
    assert float(mean) == pytest.approx(float(loss), rel=1e-5)
    names, gradients = huggingface_names("BertCausalLM"), dict(theirs.named_parameters())
    for variable, gradient in zip(ours.weights, tape.gradient(mean, [v.value for v in ours.weights]), strict=True):
        expected = gradients[renamed(variable.path, names)].grad.numpy()
        found = keras.ops.convert_to_numpy(tf.convert_to_tensor(gradient))
        expected = expected.T if variable.path.endswith("/kernel") else expected
        np.testing.assert_allclose(found, expected, atol=2e-5, err_msg=variable.path)


def test_both_write_the_same(ours, theirs):
    beginnings = [[CLS, *row[:2]] for row in IDS.tolist()]
    expected = theirs.generate(
        torch.tensor(beginnings), attention_mask=torch.ones(3, 3).long(), max_length=20, do_sample=False,
        eos_token_id=SEP, pad_token_id=SEP,
    ).numpy()  # fmt: skip
    found = sample(
        ours.step, ours.empty_past(3), tf.ragged.constant(beginnings, tf.int32, row_splits_dtype=tf.int64),
        tf.constant(["a"] * 3), SEP, 20, 1, 1, 1.0, 1.0,
    )  # fmt: skip
    for row, (written,) in zip(expected.tolist(), found.to_list(), strict=True):
        assert [token for token in row[3:] if token != SEP] == written


def test_transformers_reads_what_is_written(ours, theirs, tmp_path):
    write_checkpoint(ours.to_checkpoint(), tmp_path / "back", "huggingface")
    back = transformers.BertLMHeadModel.from_pretrained(tmp_path / "back").eval()
    assert back.config.is_decoder
    with torch.no_grad():
        np.testing.assert_array_equal(of_theirs(back).logits.numpy(), of_theirs(theirs).logits.numpy())
