"""Filling masks, against calls of the model row by row."""

import itertools
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tasks.answers import check_same
from tasks.small_masked_model import (
    DOT,
    ED,
    EMPTY,
    ING,
    KYO,
    MASK,
    PAD,
    PLAY,
    SEP,
    TASK,
    TOKENS,
    UNK,
    UNUSED,
    WHOLE,
    A,
    B,
    all_probabilities,
    log_likelihood,
    masked_model,
    probabilities,
)

import keras_bert_scratch as kbs
from keras_bert_scratch.serving.saved_model import SavedModel
from keras_bert_scratch.tasks import fill_mask

WORDS = {A, B, PLAY, DOT, KYO}  # the pieces that can start a word


def chain(model: kbs.FineTuned, pieces: list[int], fillings: list[dict[int, int]]) -> list[float]:
    """The probability of each filling, a token by position; the masks are filled from left to right."""
    rows = []
    for filling in fillings:
        row = list(pieces)
        for position, token in filling.items():
            rows.append((list(row), position, token))
            row[position] = token
    true = all_probabilities(model, [row[:2] for row in rows])
    of_pieces = true[np.arange(len(rows)), [token for *_, token in rows]]
    return of_pieces.reshape(len(fillings), -1).prod(axis=1).tolist()


# --- masks

MASKED = {
    "a [MASK] b.": [A, MASK, B, DOT],
    "[MASK]": [MASK],
    "A [MASK] play [MASK].": [A, MASK, PLAY, MASK, DOT],
    "[MASK] [MASK] b": [MASK, MASK, B],
    "play[MASK] a": [PLAY, MASK, A],
    "[MASK][MASK]ing a": [MASK, MASK, UNK, A],
    "京[MASK].": [KYO, MASK, DOT],
    "b-[MASK]": [B, UNK, MASK],
}
GLUED = {"play[MASK] a": {1}, "[MASK][MASK]ing a": {1}, "京[MASK].": {1}}


def allowed(text: str, position: int) -> set[int]:
    return WORDS | {ING, ED} if position in GLUED.get(text, ()) else WORDS


@pytest.fixture(scope="module")
def answers(model) -> dict[str, dict]:
    """The answers for texts with different numbers of masks, in one call."""
    return dict(zip(MASKED, model.predict({"text": list(MASKED)}), strict=True))


@pytest.mark.parametrize("text", MASKED)
def test_each_mask_by_itself_is_what_the_model_says(model, answers, text):
    """Probabilities are over all tokens; the answer leaves out the tokens that are not allowed there."""
    pieces, answer = MASKED[text], answers[text]
    positions = [position for position, piece in enumerate(pieces) if piece == MASK]
    assert len(answer["masks"]) == len(positions)
    for found, position in zip(answer["masks"], positions, strict=True):
        true = probabilities(model, pieces, position)
        best = sorted(allowed(text, position), key=lambda token: -true[token])[:5]
        assert [row["token"] for row in found] == [TOKENS[token] for token in best]
        assert [row["score"] for row in found] == pytest.approx(true[best], abs=1e-5)


@pytest.mark.parametrize("text", MASKED)
def test_a_beam_that_keeps_all_finds_what_trying_everything_finds(model, answers, text):
    pieces, answer = MASKED[text], answers[text]
    positions = [position for position, piece in enumerate(pieces) if piece == MASK]
    all_tokens = list(itertools.product(*(allowed(text, position) for position in positions)))
    scores = chain(model, pieces, [dict(zip(positions, tokens, strict=True)) for tokens in all_tokens])
    every = dict(zip(all_tokens, scores, strict=True))
    best = sorted(every, key=lambda tokens: -every[tokens])[:5]
    assert [found["tokens"] for found in answer["fillings"]] == [[TOKENS[token] for token in row] for row in best]
    assert [found["score"] for found in answer["fillings"]] == pytest.approx([every[row] for row in best], rel=1e-4)
    assert (answer["filled"], answer["score"]) == (answer["fillings"][0]["text"], answer["fillings"][0]["score"])


def test_neighbours_are_not_filled_by_their_own_tops(answers):
    """Otherwise no search would be needed."""
    answer = answers["[MASK] [MASK] b"]
    assert answer["fillings"][0]["tokens"] != [mask[0]["token"] for mask in answer["masks"]]


def test_a_narrow_beam_keeps_the_best_beginnings(letters, monkeypatch):
    """Three masks and a beam of two, compared with the same search in plain Python."""
    monkeypatch.setattr(fill_mask, "BEAM_WIDTH", 2)
    model = masked_model(letters, top_k=2)
    pieces = [MASK, A, MASK, MASK]
    beams = [((), 1.0)]
    for position in (0, 2, 3):
        longer = []
        for tokens, score in beams:
            row = list(pieces)
            for place, token in zip((0, 2, 3), tokens, strict=False):
                row[place] = token
            true = probabilities(model, row, position)
            longer += [((*tokens, token), score * true[token]) for token in WORDS]
        beams = sorted(longer, key=lambda beam: -beam[1])[:2]
    (answer,) = model.predict({"text": ["[MASK] a [MASK] [MASK]"]})
    assert [found["tokens"] for found in answer["fillings"]] == [[TOKENS[token] for token in row] for row, _ in beams]
    assert [found["score"] for found in answer["fillings"]] == pytest.approx([score for _, score in beams], rel=1e-4)


def test_no_special_token_is_an_answer(letters):
    """Not even if the model is certain of it; nor is a vocabulary entry that no text can contain."""
    model = masked_model(letters, top_k=100)
    bias = model.model.masked_lm_head.bias
    bias.assign(tf.tensor_scatter_nd_add(bias.value, [[PAD], [UNK], [SEP], [MASK], [UNUSED], [EMPTY]], [9.0] * 6))
    (answer,) = model.predict({"text": ["a [MASK] play[MASK]"]})
    assert [len(mask) for mask in answer["masks"]] == [5, 5]  # the number of pieces that can start a word
    assert {row["token"] for row in answer["masks"][0]} == {TOKENS[token] for token in WORDS}
    said = {token for found in answer["fillings"] for token in found["tokens"]}
    assert said <= {TOKENS[token] for token in WORDS | {ING, ED}}


@pytest.mark.parametrize(
    ("text", "tokens", "filled"),
    [
        ("The  capital of [MASK] is Ä.", [A], "The  capital of a is Ä."),
        ("Play[MASK] [MASK]", [ING, B], "Playing b"),
        ("Play[MASK]", [B], "Play b"),
        ("Play[MASK]", [DOT], "Play."),
        ("京[MASK]", [KYO], "京京"),
        ("[MASK][MASK]!", [PLAY, ED], "played!"),
        ("[MASK][MASK]", [A, B], "a b"),
        ("([MASK])\n", [A], "(a)\n"),
        ("no mask", [], "no mask"),
    ],
)
def test_a_filled_text_is_as_it_was_written(letters, text, tokens, filled):
    """In a batch with a text that has more masks."""
    texts = fill_mask.masked_texts(tf.constant([text, "[MASK] " * 3]), letters)
    fillings = tf.constant([[tokens + [B] * (3 - len(tokens))], [[A, A, A]]])
    found = texts.filled(fillings, letters.vocabulary).numpy().tolist()
    assert [row[0].decode() for row in found] == [filled, "a a a "]


# --- targets


TARGETS = {"b": [B], "Playing": [PLAY, ING], "##ed": [ED], "a play. b": [A, PLAY, DOT, B]}
# By text: the pieces before and after each gap.
GAPS = {
    "a [MASK] b": [([A], [B])],
    "[MASK] a [MASK].": [([], [A, MASK, DOT]), ([MASK, A], [DOT])],
    # Adjacent masks are one gap, which a target fills as a whole.
    "[MASK] [MASK] b [MASK]": [([], [B, MASK]), ([MASK, MASK, B], [])],
}


def test_a_target_is_scored_piece_by_piece(model):
    asked = model.with_prediction_options(targets=list(TARGETS)).predict({"text": list(GAPS)})
    for gaps, answer in zip(GAPS.values(), asked, strict=True):
        for found, (before, behind) in zip(answer["targets"], gaps, strict=True):
            for target, pieces in TARGETS.items():
                row = [*before, *[MASK] * len(pieces), *behind]
                (true,) = chain(model, row, [{len(before) + number: piece for number, piece in enumerate(pieces)}])
                assert found[target] == pytest.approx(true, rel=1e-3), target


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"targets": ["b", "chess"]}, "`targets`: 'chess' has a piece that is not in the vocabulary"),
        ({"targets": [" "]}, "`targets`: ' ' has no pieces"),
        ({"targets": ["[MASK]"]}, r"`targets`: '\[MASK\]' has a piece"),
        ({"targets": "play"}, "`targets`: is a single word, 'play'; give a list of words"),
        ({"targets": ["a", "a"]}, "`targets`: name a word twice"),
        ({"top_k": 0}, "`top_k`: must be at least 1"),
        ({"beams": 3}, "`beams`: is not an option of fill-mask; its options are top_k, targets"),
    ],
)
def test_options_that_cannot_be_are_named(model, options, named):
    with pytest.raises(kbs.UserError, match=named):
        model.with_prediction_options(**options).predict({"text": ["[MASK]"]})


# --- texts without a mask


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a b", r"has no \[MASK\]; write \[MASK\] where"),
        ("a [mask] b", r"has '\[mask\]', but no \[MASK\]; write it as \[MASK\]"),
        ("a <mask> b", r"has '<mask>', but no"),
        (b"a b", r"has no \[MASK\]"),
    ],
)
def test_a_text_without_mask_is_named(model, text, named):
    with pytest.raises(kbs.UserError, match=f"row 2 {named}"):
        model.predict({"text": ["[MASK]", text]})


def test_bad_rows_of_a_file_are_named_or_left_out(model, caplog):
    Path("t.csv").write_text("sentence\na [MASK]\nb\n[MASK] b\n")
    with pytest.raises(kbs.UserError, match=r"t\.csv: line 3 has no \[MASK\].*`on_bad_row='skip'`"):
        list(model.predict_file("t.csv", {}, "fail"))
    answered = [row["text"] for row, _ in model.predict_file("t.csv", {}, "skip")]
    assert answered == ["a [MASK]", "[MASK] b"]
    assert r"left out 1 rows: no [MASK]" in caplog.text
    with pytest.raises(kbs.UserError, match=r"t\.csv: line 2 has a \[MASK\], but evaluation needs complete texts"):
        TASK.read("t.csv", model.spec)
    _, examples = TASK.read("t.csv", model.spec, "skip")
    assert (examples.raw["text"], dict(examples.skipped)) == (["b"], {"has [MASK]": 2})
    Path("t.csv").write_text("text\nb\n")
    with pytest.raises(kbs.UserError, match="every row is bad"):
        list(model.predict_file("t.csv", {}, "skip"))


def test_one_text_is_answered_as_many_are(model, answers, monkeypatch):
    monkeypatch.setattr(fill_mask, "ROWS_AT_ONCE", 3)
    for text in ("play[MASK] a", "[MASK] [MASK] b"):
        check_same(model.predict({"text": [text]})[0], answers[text])


@pytest.mark.slow
def test_the_exported_signature_answers_as_predict_does(model):
    """For a text without a mask it returns the log-likelihood, which `evaluate` uses."""
    tuned = model.with_prediction_options(top_k=2, targets=["playing"])
    kbs.export_saved_model(tuned, "exported", warm_up=False)
    saved = SavedModel(Path("exported"))
    texts = [*MASKED, "a " * 30 + "[MASK]"]
    for ours, theirs in zip(tuned.predict({"text": texts}), saved.predict({"text": texts}), strict=True):
        check_same(json.loads(json.dumps(ours)), theirs)
    with pytest.raises(kbs.UserError, match=r"row 2 has no \[MASK\]"):
        saved.predict({"text": ["[MASK]", "a"]})
    outputs = tf.saved_model.load("exported").signatures["serving_default"](text=tf.constant(["a [MASK]", *WHOLE]))
    assert {int(value.shape[0]) for value in outputs.values()} == {5}
    true = [0.0, *(log_likelihood(model, pieces) for pieces in WHOLE.values())]
    assert outputs["log_likelihood"].numpy().tolist() == pytest.approx(true, abs=1e-4)
    assert outputs["num_masks"].numpy().tolist() == [1, 0, 0, 0, 0]


# --- models


@pytest.mark.parametrize("made", [kbs.BertPretrainer, kbs.BertMaskedLM])
def test_a_pretrained_model_fills_masks(model, letters, made, caplog):
    own = made(kbs.BertBackbone(model.model.backbone.config))
    own.save_pretrained("model", letters)
    loaded = kbs.FineTuned.load("model")
    assert loaded.spec == kbs.Spec("fill-mask", ("text",), 16, options={"top_k": 5, "targets": []})
    assert "treated as a model for fill-mask" in caplog.text
    assert "start from random numbers" not in caplog.text
    assert np.array_equal(loaded.model.masked_lm_head.bias, own.masked_lm_head.bias)
    loaded.with_prediction_options(top_k=2, targets=["a"]).save("again")
    assert kbs.Spec.load("again").options == {"top_k": 2, "targets": ["a"]}
    # The embedding has one row more than `vocab.txt`, whose last line is empty: it counts in the probabilities.
    (mask,) = kbs.predict("model", {"text": ["[MASK]"]}, top_k=3)[0]["masks"]
    true = probabilities(loaded, [MASK], 0)
    assert [row["score"] for row in mask] == pytest.approx(sorted(true[list(WORDS)], reverse=True)[:3], abs=1e-5)


def test_rows_are_no_longer_than_those_of_the_pretraining(model, letters):
    """The position embeddings beyond that length were never trained."""
    kbs.BertMaskedLM(kbs.BertBackbone(model.model.backbone.config)).save_pretrained("run", letters)
    for settings, length in (({"max_length": 8}, 8), ({"max_length": 8, "second_phase": {"max_length": 12}}, 12)):
        Path("run/run.json").write_text(json.dumps({"settings": settings, "status": "finished"}))
        assert kbs.Spec.load("run").max_length == length


def test_what_has_no_head_is_refused(letters, small):
    kbs.BertTextClassifier(kbs.BertBackbone(small), 2).save_pretrained("classifier")
    with pytest.raises(kbs.UserError, match=r"a BertTextClassifier, which has no head.*'keras-bert pretrain RECORDS"):
        kbs.FineTuned.load("classifier", task="fill-mask")
    with pytest.raises(kbs.UserError, match=r"`task`: fill-mask is not trained.*'keras-bert pretrain RECORDS --init"):
        kbs.finetune("fill-mask", "classifier", {"text": ["a"]}, "out")


@pytest.mark.slow
def test_a_pretrained_model_finds_its_language_likelier_than_a_random_one(records, config, documents):
    """And likelier than the same words in reverse order."""
    tokenizer = kbs.BertTokenizer.load(records)
    keras.utils.set_random_seed(0)
    model = kbs.BertMaskedLM(kbs.BertBackbone(config.replace(initializer_range=0.1), pooler=False))
    spec = kbs.Spec("fill-mask", ("text",), 32, options={"top_k": 1, "targets": []})
    texts = [document[0] for document in documents[:20]]
    shuffled = [" ".join(reversed(text.split())) for text in texts]

    def measured(texts: list[str]) -> float:
        tuned = kbs.FineTuned(model, tokenizer, spec)
        return tuned.evaluate(TASK.read({"text": texts}, spec)[1])["pseudo_perplexity"]

    before = measured(texts)
    tf.config.run_functions_eagerly(False)
    model.compile(kbs.BertAdamW(5e-3, bias_correction=True))
    batches = kbs.PretrainingRecords(records).batches(max_length=32, rules=kbs.ExampleRules(pairs="none"))
    model.fit(batches, steps_per_epoch=300, verbose=0)
    tf.config.run_functions_eagerly(True)
    assert measured(texts) < 0.2 * before
    assert measured(texts) < 0.5 * measured(shuffled)
