"""The signature that returns attention weights."""

import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but
from serving.every_task import TEXTS, fine_tuned

import keras_bert_scratch as kbs


def asked(path, columns):
    signature = tf.saved_model.load(path).signatures["attention"]
    return {key: value.numpy() for key, value in signature(**{c: tf.constant(v) for c, v in columns.items()}).items()}


@pytest.mark.parametrize("weights", slow_but(["variables"], ["constants", "variables"]))
def test_the_weights_are_those_of_the_backbone(small, tokenizer, weights):
    """Each row has the weights that it has alone; there is nothing after its end."""
    tuned = fine_tuned("classification", small, tokenizer)
    kbs.export_saved_model(tuned, "saved", warm_up=False, weights=weights, attention=True)
    found = asked("saved", {"text": TEXTS})
    for row, text in enumerate(TEXTS):
        inputs = tuned.task.features(tuned.spec, tokenizer, {"text": tf.constant([text])}).inputs
        count = found["num_tokens"][row]
        assert count == min(found["token_count"][row], 32)
        ids = inputs["token_ids"].numpy()[0, :count]
        assert [token.decode() for token in found["tokens"][row, :count]] == [
            tokenizer.vocabulary.tokens[one] for one in ids
        ]
        layers = tuned.model.backbone.look_inside(inputs)["attention_weights"]
        ours = found["attention"][row]
        np.testing.assert_allclose(
            ours[..., :count, :count], [layer[0, :, :count, :count] for layer in layers], atol=1e-5
        )
        np.testing.assert_allclose(ours.sum(axis=-1)[..., :count], 1, atol=1e-5)
        assert not ours[..., count:, :].any()
        assert not ours[..., count:].any()
        assert not found["tokens"][row, count:].any()


@pytest.mark.parametrize("name", slow_but([], ["ner", "qa", "fill-mask", "long texts"]))
def test_of_a_text_in_windows_it_is_the_first(small, tokenizer, name):
    """Also if the previous row has several windows, or none."""
    tuned = fine_tuned(name, small, tokenizer)
    kbs.export_saved_model(tuned, "saved", warm_up=False, attention=True)
    columns = {column: [TEXTS[1], "", TEXTS[0]] for column in tuned.spec.columns}
    together = asked("saved", columns)
    for row in range(3):
        alone = asked("saved", {column: values[row : row + 1] for column, values in columns.items()})
        count = alone["num_tokens"][0]
        assert together["num_tokens"][row] == count
        assert together["tokens"][row, :count].tolist() == alone["tokens"][0, :count].tolist()
        theirs = alone["attention"][0, ..., :count, :count]
        np.testing.assert_allclose(together["attention"][row, ..., :count, :count], theirs, atol=1e-5)


@pytest.mark.parametrize("name", slow_but(["choice"], ["choice", "translation"]))
def test_what_is_no_single_sequence_is_refused(small, tokenizer, name):
    tuned = fine_tuned(name, small, tokenizer)
    with pytest.raises(kbs.UserError, match=f"`attention`: a row of {tuned.spec.task} is not a single sequence"):
        kbs.export_saved_model(tuned, "saved", attention=True)
