"""Filled masks and pseudo-perplexity against transformers: its pipeline, and a plain loop over its model."""

import math

import keras
import pytest
import torch
import transformers

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import write_checkpoint

MASKED = ["Day 1: the [MASK] watches the old river.", "The [MASK]."]
TEXTS = ["Day 1: the heron watches the old river before dawn.", "Otters remembered the unforgettable harbours!", "A"]


@pytest.fixture
def folder(tmp_path, config, tokenizer):
    """A network with random weights and confident predictions, in a format that transformers reads."""
    keras.utils.set_random_seed(0)
    model = kbs.BertMaskedLM(kbs.BertBackbone(config.replace(initializer_range=0.5), pooler=False))
    write_checkpoint(model.to_checkpoint(tokenizer), tmp_path / "model", to="huggingface")
    return tmp_path / "model"


def test_tops_and_targets_are_those_of_its_pipeline(folder, tokenizer, record):
    """Its list also has special tokens and `##` pieces, which ours omits; it looks up targets as single tokens."""
    theirs = transformers.pipeline("fill-mask", model=str(folder), top_k=len(tokenizer.vocabulary), device="cpu")
    targets = [token for token in tokenizer.vocabulary.tokens if token.isalnum()][-3:]
    answers = kbs.predict(folder, {"text": MASKED}, top_k=100, targets=targets)
    for text, answer in zip(MASKED, answers, strict=True):
        scores = {row["token_str"]: row["score"] for row in theirs(text)}
        found = {row["token"]: row["score"] for row in answer["masks"][0]}
        for token, score in found.items():
            record("probability of a token", abs(score - scores[token]))
            assert score == pytest.approx(scores[token], abs=1e-5)
        kept = [token for token in scores if not token.startswith(("##", "["))]
        assert list(found) == kept[: len(found)]
        for row in theirs(text, targets=targets):
            assert answer["targets"][0][row["token_str"]] == pytest.approx(row["score"], abs=1e-5)


def test_pseudo_perplexity_is_that_of_a_loop_over_its_model(folder, record):
    """Within-word l2r of Kauf and Ivanova 2023: a piece is masked together with the later pieces of its word."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.BertForMaskedLM.from_pretrained(folder).eval()
    total, pieces = 0.0, 0
    for text in TEXTS:
        encoded = tokenizer(text, return_tensors="pt")
        ids, words = encoded["input_ids"][0], encoded.word_ids()
        tokens = tokenizer.convert_ids_to_tokens(ids)
        for position in range(1, len(ids) - 1):
            hidden = ids.clone()
            hidden[position] = tokenizer.mask_token_id
            for later in range(position + 1, len(ids) - 1):
                if words[later] != words[position] or not tokens[later].startswith("##"):
                    break
                hidden[later] = tokenizer.mask_token_id
            with torch.no_grad():
                logits = model(hidden[None]).logits[0, position]
            total += torch.log_softmax(logits.double(), 0)[ids[position]].item()
            pieces += 1
    results = kbs.evaluate(folder, {"text": TEXTS}, task="fill-mask")
    assert results["pieces"] == pieces
    assert pieces > results["words"] > 15
    record("mean loss of a piece", abs(results["loss"] + total / pieces))
    assert results["loss"] == pytest.approx(-total / pieces, abs=1e-4)  # it is rounded to four digits
    assert results["pseudo_perplexity"] == pytest.approx(math.exp(-total / pieces), rel=1e-4)
