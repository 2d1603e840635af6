"""Fine-tuning against transformers + torch, step by step: rows of pairs, warmup, clipping, decay, bias correction.

Without dropout both depend only on the initial weights, so the losses must agree at every step.
"""

import numpy as np
import pytest
import torch
import transformers

import keras_bert_scratch as kbs
from keras_bert_scratch.training.schedules import LinearWarmupDecay

STEPS, RATE, BATCH = 40, 1e-3, 8
DECAY, CLIPNORM = 0.1, 0.05  # so large that the test notices if one is left out
WORDS = ("heron", "otter", "river", "meadow", "crosses", "guards", "old", "the", "dawn", "night")
TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS)


def rows() -> dict[str, list[str]]:
    draws = np.random.default_rng(0)
    texts = [" ".join(draws.choice(WORDS, draws.integers(2, 14))) for _ in range(2 * BATCH * STEPS)]
    first, second = texts[::2], texts[1::2]
    labels = ["yes" if set(one.split()) & {"heron"} else "no" for one in second]
    return {"text": first, "text_pair": second, "label": labels}


@pytest.mark.parametrize("task_columns", [("text",), ("text", "text_pair")], ids=["texts", "pairs"])
def test_the_losses_of_a_fine_tuning(task_columns, tmp_path, record):
    config = transformers.BertConfig(
        vocab_size=len(TOKENS), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=2,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = transformers.BertForSequenceClassification(config).train()
    theirs.save_pretrained(tmp_path)
    before = theirs.classifier.weight.detach().clone()
    tokenizer = kbs.BertTokenizer(kbs.Vocabulary(TOKENS), lowercase=True)
    tokenizer.save(tmp_path)
    ours = kbs.BertTextClassifier.from_pretrained(tmp_path, num_classes=2)
    rates = LinearWarmupDecay(RATE, STEPS, warmup=0.1)
    ours.compile(kbs.BertAdamW(rates, weight_decay=DECAY, global_clipnorm=CLIPNORM, bias_correction=True))

    kept = [name for name, _ in theirs.named_parameters() if name.endswith("bias") or "LayerNorm" in name]
    groups = [
        {"params": [value for name, value in theirs.named_parameters() if name in kept], "weight_decay": 0.0},
        {"params": [value for name, value in theirs.named_parameters() if name not in kept], "weight_decay": DECAY},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE, eps=1e-6)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, STEPS // 10, STEPS)

    table = {name: values for name, values in rows().items() if name in (*task_columns, "label")}
    data = kbs.TaskData.read("classification", table, tokenizer, max_length=20)
    names = {"token_ids": "input_ids", "segment_ids": "token_type_ids", "padding_mask": "attention_mask"}
    found, expected = [], []
    for inputs, labels in data.training_batches(BATCH).take(STEPS):
        found.append(float(ours.train_on_batch(inputs, labels, return_dict=True)["loss"]))
        ours.reset_metrics()
        batch = {names[name]: torch.from_numpy(value.numpy()).long() for name, value in inputs.items()}
        loss = theirs(**batch, labels=torch.from_numpy(labels.numpy()).long()).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), CLIPNORM)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        expected.append(float(loss.detach()))
    assert len(found) == STEPS
    record("losses of 40 steps of fine-tuning", np.abs(np.subtract(found, expected)).max())
    np.testing.assert_allclose(found, expected, atol=5e-6)
    assert (before - theirs.classifier.weight).abs().max() > 5e-3  # the weights have moved
