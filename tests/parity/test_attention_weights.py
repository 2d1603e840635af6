"""The attention that `keras-bert attend` shows is transformers' own."""

import numpy as np
import torch
import transformers

from keras_bert_scratch.attention.maps import attention_maps


def test_attention_weights(tokenizer, tmp_path, record):
    config = transformers.BertConfig(
        vocab_size=len(tokenizer.vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=1.0,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    theirs = transformers.BertModel(config).eval()
    theirs.save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    inputs = transformers.AutoTokenizer.from_pretrained(tmp_path)("The heron sleeps.", "An otter.", return_tensors="pt")
    with torch.no_grad():
        expected = torch.concat(theirs(**inputs, output_attentions=True).attentions).numpy()
    maps = attention_maps(tmp_path, "The heron sleeps.", "An otter.")
    difference = float(np.abs(maps.weights - expected).max())
    record("attention", difference)
    assert difference <= 1e-5
