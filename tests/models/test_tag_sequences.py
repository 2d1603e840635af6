"""The token classifier with a conditional random field: its loss, its weights, its folders."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from models.every_model import CONFIG, INPUTS, LENGTH, MASK, ROWS, make

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.architectures import CRF_TRANSITIONS, model_shapes
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint
from keras_bert_scratch.layers.crf import best_tags, sequence_loss
from keras_bert_scratch.models.tag_sequences import MASKED_LOGIT

LABELS = np.array([[-1, 0, -1, 2, 1, -100, 0], [-1] * 7, [2, 1, 1, 0, 2, 0, 1]] * 2)[:ROWS]


def labelled(logits: np.ndarray, transitions: np.ndarray, row: int) -> tuple[float, int, int]:
    """Loss, number of right tags and length of one row's chain, selected with numpy."""
    at = np.flatnonzero((LABELS[row] >= 0) & (MASK[row] == 1))
    if not len(at):
        return 0.0, 0, 0
    chain = logits[row, at][None], transitions[row][None]
    loss = float(sequence_loss(*chain, LABELS[row, at][None], np.array([len(at)]))[0])
    best = np.asarray(best_tags(*chain, np.array([len(at)])))[0]
    return loss, int((best == LABELS[row, at]).sum()), len(at)


@pytest.mark.parametrize("weights", [None, np.arange(ROWS) % 3])
@pytest.mark.usefixtures("eagerly")
def test_the_chain_of_a_row_is_its_labels(weights):
    """Positions without a label are not part of the chain; the mean is over labels."""
    model = make("tag sequences")
    outputs = {name: np.asarray(value) for name, value in model(INPUTS).items()}
    losses, right, sizes = zip(
        *(labelled(outputs["logits"], outputs["transitions"], row) for row in range(ROWS)), strict=True
    )
    counts = np.ones(ROWS) if weights is None else weights
    model.compile(kbs.BertAdamW())
    for labels in (LABELS, LABELS[..., None]):
        found = model.evaluate(INPUTS, labels, sample_weight=weights, verbose=0, return_dict=True)
        assert found["loss"] == pytest.approx(np.dot(counts, losses) / np.dot(counts, sizes), rel=1e-5)
        assert found["accuracy"] == pytest.approx(np.dot(counts, right) / np.dot(counts, sizes), rel=1e-6)


@pytest.mark.usefixtures("eagerly")
def test_without_transitions_it_learns_as_without_a_crf():
    crf, plain = make("tag sequences"), make("tokens")
    for weight in plain.weights:
        weight.assign(next(other for other in crf.weights if other.path == weight.path))
    crf.transitions.transitions.assign(np.zeros((3, 3)))
    found = []
    for model in (crf, plain):
        model.compile(kbs.BertAdamW(1e-2))
        before = model.evaluate(INPUTS, LABELS, verbose=0, return_dict=True)
        model.fit(INPUTS, LABELS, batch_size=ROWS, verbose=0)
        found.append([before["loss"], before["accuracy"], np.asarray(model.classifier_head.kernel)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert np.abs(np.asarray(crf.transitions.transitions)).min() > 0


@pytest.mark.parametrize("labels", [np.full((ROWS, LENGTH), 3), np.full((ROWS, LENGTH), 0.5)])
@pytest.mark.usefixtures("eagerly")
def test_labels_that_cannot_be(labels):
    model = make("tag sequences")
    model.compile(kbs.BertAdamW())
    with pytest.raises(kbs.UserError, match=r"label 3 is too high|whole numbers"):
        model.evaluate(INPUTS, labels, verbose=0)
    objective = model.objectives[""]
    losses, _ = objective.loss(labels, model(INPUTS))
    assert np.isnan(np.asarray(losses)).all()


@pytest.mark.usefixtures("eagerly")
def test_weights_of_positions_are_refused():
    model = make("tag sequences")
    model.compile(kbs.BertAdamW())
    with pytest.raises(kbs.UserError, match=r"`sample_weight`: weights of shape .* do not fit"):
        model.evaluate(INPUTS, LABELS, sample_weight=MASK, verbose=0)
    with pytest.raises(kbs.UserError, match="`class_weight`"):
        model.fit(INPUTS, LABELS, class_weight={0: 2.0}, verbose=0)


def test_padding_has_logits_of_its_own():
    logits = np.asarray(make("tag sequences")(INPUTS)["logits"])
    np.testing.assert_array_equal(logits == np.float32(MASKED_LOGIT), np.repeat(MASK[..., None] == 0, 3, -1))


# --- folders


def named(crf: bool, names: tuple[str, ...] = ("a", "b", "c")) -> kbs.BertTokenClassifier:
    model = kbs.BertTokenClassifier(kbs.BertBackbone(CONFIG, pooler=False), 3, names, crf=crf)
    draws = np.random.default_rng(2)
    for weight in (*model.classifier_head.weights, *(model.transitions.weights if crf else ())):
        weight.assign(draws.normal(size=weight.shape))
    model.save_pretrained("model")
    return model


def loaded(caplog, **arguments) -> tuple[kbs.BertTokenClassifier, list[str]]:
    with caplog.at_level(logging.WARNING):
        model = kbs.BertTokenClassifier.from_pretrained("model", **arguments)
    return model, [record.getMessage() for record in caplog.records]


def test_its_weights_have_the_names_of_the_checkpoints():
    shapes = {weight.path: tuple(weight.shape) for weight in make("tag sequences").trainable_variables}
    assert shapes == model_shapes(CONFIG, "BertTokenClassifier", False, 3, crf=True)


@pytest.mark.parametrize(
    ("stored", "arguments", "logged"),
    [
        (True, {}, []),
        (False, {}, []),
        (False, {"crf": True}, ["model: has no crf/transitions; they start from zeros and need training"]),
        (True, {"crf": False}, ["model: its CRF is left out; give `crf=True` to load it"]),
        (
            True,
            {"num_classes": 4},
            ["model: has no crf/transitions, logits/bias, logits/kernel; they start from random"],
        ),
    ],
)
def test_what_a_folder_gives_a_crf(stored, arguments, logged, caplog):
    before = named(stored)
    after, messages = loaded(caplog, **arguments)
    assert after.crf == arguments.get("crf", stored)
    assert [message.startswith(line) for message, line in zip(messages, logged, strict=True)] == [True] * len(logged)
    if "num_classes" not in arguments:
        np.testing.assert_array_equal(after.classifier_head.kernel, before.classifier_head.kernel)
    if after.crf:
        kept = stored and "num_classes" not in arguments
        expected = before.transitions.transitions if kept else np.zeros((after.num_classes,) * 2)
        np.testing.assert_array_equal(after.transitions.transitions, expected)


def test_transitions_follow_the_labels(caplog):
    before = named(True)
    after, _ = loaded(caplog, label_names=("c", "a", "b"))
    moves = np.asarray(before.transitions.transitions)
    for row, one in enumerate("cab"):
        for column, other in enumerate("cab"):
            assert after.transitions.transitions[row, column] == moves["abc".index(one), "abc".index(other)]
    others, _ = loaded(caplog, label_names=("c", "a", "x"))
    assert not np.any(np.asarray(others.transitions.transitions))


@pytest.mark.parametrize(
    ("stored", "said"), [(True, "also holds crf/transitions"), (False, "lacks the tensor crf/trans")]
)
def test_a_folder_is_read_strictly(stored, said):
    named(stored)
    described = json.loads(Path("model/config.json").read_text())
    Path("model/config.json").write_text(json.dumps({**described, "crf": not stored}))
    with pytest.raises(kbs.UserError, match=said):
        read_checkpoint("model")


def test_other_formats_have_none():
    named(True)
    for format_, said in (("huggingface", "the transitions of the CRF are left out"), ("keras_hub", "left out, .*crf")):
        checkpoint = read_checkpoint("model")
        write_checkpoint(checkpoint, format_, format_)
        assert re.search(said, " ".join(checkpoint.notes))
    assert CRF_TRANSITIONS not in read_checkpoint("huggingface").weights
    with pytest.raises(kbs.UserError, match="do not support the head of a BertTokenClassifier"):
        write_checkpoint(read_checkpoint("model"), "google", "google")
    write_checkpoint(read_checkpoint("model"), "native", "native")
    assert read_checkpoint("native").has_crf
