"""Text generation: likelihoods, continuations and their options."""

import math
from pathlib import Path

import numpy as np
import pytest
from commands.calls import keras_bert, refused

import keras_bert_scratch as kbs
from keras_bert_scratch.serving.saved_model import SavedModel
from keras_bert_scratch.tasks.data.decoding_loop import FORBIDDEN_TOKENS

TEXTS = ["the heron", "Day 2: the otter crosses", "", "the " * 40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small, tokenizer) -> Path:
    path = tmp_path_factory.mktemp("causal") / "model"
    config = small.replace(direction="left-to-right", max_position_embeddings=24, initializer_range=0.5)
    kbs.BertCausalLM(kbs.BertBackbone(config, pooler=False)).save_pretrained(path, tokenizer)
    return path


@pytest.fixture(scope="module")
def model(folder) -> kbs.FineTuned:
    return kbs.FineTuned.load(folder)


def test_likelihoods_are_those_of_the_chain_rule(model, tokenizer):
    for text, answer in zip(TEXTS, model.predict({"text": TEXTS}), strict=True):
        vocabulary = tokenizer.vocabulary
        [pieces] = tokenizer.tokenize([text]).to_list()
        row = np.array([[vocabulary.cls_id, *pieces[:22], vocabulary.sep_id]], "int32")
        inputs = {"token_ids": row, "segment_ids": 0 * row, "padding_mask": 0 * row + 1}
        logits = model.model(inputs).numpy()[0].astype("float64")
        log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        expected = sum(log_probs[at, row[0, at + 1]] for at in range(row.shape[1] - 1))
        assert answer["log_likelihood"] == pytest.approx(expected, rel=1e-4)
        assert answer["num_pieces"] == row.shape[1] - 1


@pytest.mark.slow
def test_the_perplexity_is_that_of_all_pieces(model):
    found = model.evaluation_of({"text": TEXTS[:2]}).results
    answers = model.predict({"text": TEXTS[:2]})
    mean = sum(answer["log_likelihood"] for answer in answers) / sum(answer["num_pieces"] for answer in answers)
    assert found["perplexity"] == pytest.approx(math.exp(-mean), rel=1e-4)
    assert found["loss"] == pytest.approx(-mean, rel=1e-4)


def test_what_no_text_holds_is_never_written(model, tokenizer):
    """Not even if its logits are the highest."""
    asked, bias = model.with_prediction_options(continuations=3, max_new_tokens=6), model.model.next_token_head.bias
    expected, before = asked.predict({"text": TEXTS}), bias.numpy()
    likely = before.copy()
    likely[[tokenizer.vocabulary.id(token) for token in FORBIDDEN_TOKENS]] = 50.0
    bias.assign(likely)
    found = asked.predict({"text": TEXTS})
    bias.assign(before)
    assert [row["continuations"] for row in found] == [row["continuations"] for row in expected]


@pytest.mark.slow
def test_continuations_do_not_depend_on_the_batch(model):
    asked = model.with_prediction_options(continuations=3, max_new_tokens=6)
    together = asked.predict({"text": TEXTS})
    for text, answer in zip(TEXTS, together, strict=True):
        [alone] = asked.predict({"text": [text]})
        assert alone["continuations"] == answer["continuations"]
        assert len(answer["continuations"]) == 3
    assert len(set(together[0]["continuations"])) > 1
    assert model.with_prediction_options(continuations=3, max_new_tokens=6, seed=1).predict({"text": TEXTS}) != together
    assert all(len(text.split()) <= 1 for text in together[3]["continuations"])  # there is no room for more


def test_a_piece_goes_behind_its_text(model, tokenizer):
    """One new token: with a space if it starts a word, without one if it continues the text's last word."""
    tokens = set(tokenizer.vocabulary.tokens)
    answers = model.with_prediction_options(max_new_tokens=1, top_k=0, continuations=40).predict({"text": TEXTS[:3]})
    for text, answer in zip(TEXTS, answers, strict=False):
        for new in answer["continuations"]:
            attached = f"##{new}" in tokens or new in "!?.,:" or not text
            assert new[:1] == " " or attached
            assert new.strip() in {*tokens, ""} or f"##{new}" in tokens
    assert any(f"##{new}" in tokens for new in answers[0]["continuations"])
    assert any(new[:1] == " " for new in answers[0]["continuations"])


@pytest.mark.slow
def test_the_exported_model_writes_the_same(model, tmp_path):
    asked = model.with_prediction_options(continuations=2, max_new_tokens=6, top_p=0.9, temperature=1.5)
    kbs.export_saved_model(asked, tmp_path / "saved", warm_up=False)
    saved = SavedModel(tmp_path / "saved")
    for ours, theirs in zip(asked.predict({"text": TEXTS}), saved.predict({"text": TEXTS}), strict=True):
        assert ours["continuations"] == theirs["continuations"]
        assert ours["log_likelihood"] == pytest.approx(theirs["log_likelihood"], rel=1e-4)


@pytest.mark.slow
def test_by_commands(folder, small, tokenizer):
    result = keras_bert("predict", folder, "the heron", "--top-k", "1", "--max-new-tokens", "3")
    assert result.exit_code == 0, result.output
    assert result.output.count("\t") >= 1
    Path("t.txt").write_text("the heron\nthe otter\n")
    assert "perplexity" in keras_bert("evaluate", folder, "--data", "t.txt").output
    kbs.BertMaskedLM(kbs.BertBackbone(small, pooler=False)).save_pretrained("masked", tokenizer)
    refused(
        "predict", "masked", "a", "--task", "generate", saying="holds a BertMaskedLM, which has no head for generate"
    )
    reverse = small.replace(direction="right-to-left")
    kbs.BertCausalLM(kbs.BertBackbone(reverse, pooler=False)).save_pretrained("reverse", tokenizer)
    refused("predict", "reverse", "a", saying="direction right-to-left; only a left-to-right model generates text")
    for flag, value, said in (
        ("--top-p", "0", "--top-p: must be above 0 and at most 1, not 0.0"),
        ("--temperature", "0", "--temperature: must be a number above 0, not 0.0"),
        ("--continuations", "0", "--continuations: must be at least 1, not 0"),
    ):
        refused("predict", folder, "a", flag, value, saying=said)
