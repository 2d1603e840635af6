"""What the studies measure, checked by brute force or by formulas."""

import importlib
import math
from pathlib import Path

import numpy as np
import pytest

import keras_bert_scratch as kbs


def test_hidden_words_are_in_the_middle_and_the_same_each_time(hidden_words, records):
    data = kbs.PretrainingRecords(records)
    first, again = (list(hidden_words.masked_examples(data, 50, batch=8, length=32)) for _ in range(2))
    assert sum(len(hidden.words) for hidden in first) == 50
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.words, other.words)
        sizes = one.inputs["padding_mask"].sum(axis=1)
        assert (one.positions >= sizes // 4).all()
        assert (one.positions < 3 * sizes // 4).all()
        np.testing.assert_array_equal(one.inputs["token_ids"][np.arange(len(one.words)), one.positions], one.words)


@pytest.mark.parametrize("direction", ["both", "left-to-right", "right-to-left"])
def test_a_model_is_asked_where_it_does_not_see_the_word(hidden_words, records, small, tokenizer, direction, eagerly):
    """The model's prediction depends on the visible neighbours, not on the hidden word."""
    model_class = kbs.BertMaskedLM if direction == "both" else kbs.BertCausalLM
    model = model_class(kbs.BertBackbone(small.replace(direction=direction, initializer_range=0.3), pooler=False))
    model.save_pretrained("model", tokenizer)
    data = kbs.PretrainingRecords(records)
    hidden = list(hidden_words.masked_examples(data, 12, batch=12, length=32))
    said = hidden_words.masked_log_probs(Path("model"), data, 12, batch=12, length=32)
    np.testing.assert_allclose(np.exp(said).sum(axis=1), 1, rtol=1e-4)

    def asked(change):
        token_ids = hidden[0].inputs["token_ids"].copy()
        rows = np.arange(12)
        token_ids[rows, hidden[0].positions + change] = 7
        inputs = {**hidden[0].inputs, "token_ids": token_ids}
        with pytest.MonkeyPatch.context() as patch:
            same = hidden_words.MaskedExamples(inputs, hidden[0].positions, hidden[0].words)
            patch.setattr(hidden_words, "masked_examples", lambda *args, **kwargs: iter([same]))
            return hidden_words.masked_log_probs(Path("model"), data, 12)

    np.testing.assert_allclose(asked(0), said, atol=1e-5)
    for change, seen in ((-1, direction != "right-to-left"), (1, direction != "left-to-right")):
        assert (np.abs(asked(change) - said).max() > 1e-3) == seen


def test_models_of_other_words_or_in_the_wrong_place_are_refused(hidden_words, records, small, tokenizer, eagerly):
    reversed_words = kbs.Vocabulary((*tokenizer.vocabulary.tokens[:5], *reversed(tokenizer.vocabulary.tokens[5:])))
    for direction in ("both", "left-to-right", "right-to-left"):
        model_class = kbs.BertMaskedLM if direction == "both" else kbs.BertCausalLM
        model = model_class(kbs.BertBackbone(small.replace(direction=direction), pooler=False))
        model.save_pretrained(direction, kbs.BertTokenizer(reversed_words))
    both, left, right = Path("both"), Path("left-to-right"), Path("right-to-left")
    with pytest.raises(kbs.UserError, match=r"^right-to-left: its direction is right-to-left, not left-to-right; "):
        hidden_words.main(both, right, left, records, records, 10, 32)
    with pytest.raises(kbs.UserError, match=r"^both: its vocabulary is not that of the held-out records; "):
        hidden_words.main(both, left, right, records, records, 10, 32)


def test_two_one_way_models_are_joined_by_bayes(hidden_words):
    """If left and right are independent given the word, the joined models find the best word of the exact posterior."""
    draws = np.random.default_rng(0)
    prior = np.array([1.0, 4.0, 20.0])
    left, right = draws.dirichlet(np.ones(4), 3), draws.dirichlet(np.ones(5), 3)  # P(neighbour | word)
    posterior = prior[:, None, None] * left[:, :, None] * right[:, None, :]
    of_left, of_right = (prior[:, None] * one / (prior[:, None] * one).sum(0) for one in (left, right))
    for at_left in range(4):
        told = hidden_words.joined(np.log(of_left[:, [at_left] * 5].T), np.log(of_right.T), prior)
        np.testing.assert_array_equal(told.argmax(1), posterior[:, at_left].argmax(0))


def test_frequencies_are_those_of_the_words_in_rows(hidden_words, records, monkeypatch):
    monkeypatch.setattr(hidden_words, "COUNTED", 300)
    data = kbs.PretrainingRecords(records)
    found = hidden_words.frequencies(data)
    assert found.min() == 0.5
    assert found.sum() == pytest.approx(300 + 0.5 * data.vocab_size)
    rows = list(hidden_words.rows_of(data, 40))
    assert len(rows) == 40
    assert not {0, 2, 3, 4} & {int(word) for row in rows for word in row}  # special tokens
    assert not found[[0, 2, 3, 4]].max() > 0.5


def test_counting_reaches_what_its_formulas_say():
    """The text, with a vocabulary of three words: 0 1 0 1 2 0 1."""
    counted, tokens = importlib.import_module("counted_bounds"), np.array([0, 1, 0, 1, 2, 0, 1])
    left, hidden, right = np.array([0, 1]), np.array([1, 2]), np.array([2, 0])
    found = counted.bounds(tokens, tokens[:-1], tokens[1:], left, hidden, right, 3)
    frequency = np.array([4, 4, 2]) / 10
    pairs = np.array([[0, 3, 0], [1, 0, 1], [1, 0, 0]])

    def losses(weight, both):
        for one, word, other in zip(left, hidden, right, strict=True):
            scores = (pairs[one] + weight * frequency) / (pairs[one].sum() + weight)
            if both:
                scores = scores * (pairs[:, other] + weight * frequency[other]) / (pairs.sum(1) + weight)
            yield -math.log(scores[word] / scores.sum())

    best = [min(np.mean(list(losses(weight, both))) for weight in counted.WEIGHTS) for both in (False, True)]
    expected = [-np.log(frequency[hidden]).mean(), *best]
    assert [loss for loss, _ in found.values()] == pytest.approx(expected, rel=1e-5)
    assert found["bigram"][1] == 0.5


def test_what_a_task_is_measured_on_is_not_learned_from():
    corpus = importlib.import_module("corpus")
    seen = "A film that is as long as it is good, or nearly so."
    documents = [["One.", "A Film, that is as long", "as it is good, or nearly so; yes."], ["Two."], ["Good film."]]
    assert list(corpus.without(documents, [seen, "Good film."])) == documents[1:]


def test_features_leave_the_encoder_as_it_is(small, eagerly):
    features, lstm = importlib.import_module("features"), importlib.import_module("lstm")
    backbone = kbs.BertBackbone(small.replace(num_layers=4))
    ones = np.ones((2, 6), "int32")
    inputs = {"token_ids": ones * np.arange(5, 11, dtype="int32"), "segment_ids": 0 * ones, "padding_mask": ones}
    layers = [np.asarray(one) for one in backbone.encode_layers(inputs)]
    for layers_of, how in features.LAYERS.values():
        on_top = features.Features(backbone, layers_of, how)
        model = kbs.BertTokenClassifier(on_top, num_classes=2)
        seen = []
        assert {id(weight) for one in on_top.lstms for weight in one.weights} <= {
            id(weight) for weight in model.trainable_weights
        }
        for one in on_top.lstms:
            one.call = lambda vectors, mask=None, seen=seen, **_: (seen.append(np.asarray(vectors)), vectors)[1]
        on_top(inputs)
        chosen = layers[layers_of]
        expected = np.mean(chosen, axis=0) if how == "weighted" else np.concatenate(chosen, axis=-1)
        np.testing.assert_allclose(seen[0], expected, atol=1e-5)
        assert not {id(weight) for weight in model.trainable_weights} & {id(weight) for weight in backbone.weights}
    backbone.trainable = True
    with_lstm = lstm.WithBiLSTM(backbone)
    assert tuple(kbs.BertTextClassifier(with_lstm, num_classes=3)(inputs).shape) == (2, 3)
    assert with_lstm(inputs)["sequence_output"].shape == (2, 6, small.hidden_size)


def test_the_drop_is_where_three_readings_are_below_what_counting_reaches(tmp_path):
    losses = [7.0, 4.0, 7.0, 5.0, 5.0, 4.9, 4.0, 6.0]  # one low reading is chance
    rows = [f"{number},{60 * number},{loss}" for number, loss in enumerate(losses)]
    (tmp_path / "metrics.csv").write_text("\n".join(["step,seconds,loss", *rows]))
    drop = importlib.import_module("when_it_pays")._drop
    # The training loss of a model with a loss of 5.4 at masked tokens is 0.9 * 5.4 + 0.2 ln 2 = 5.0.
    assert drop(tmp_path, 5.402) == 5
    assert drop(tmp_path, 4.8) is None
    (tmp_path / "metrics.csv").write_text("step,seconds,loss\n20,1.0,4.0\n")
    assert drop(tmp_path, 5.4) is None
