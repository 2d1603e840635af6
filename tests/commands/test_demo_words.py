import numpy as np

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.demo_words import MASKED, fill_before_and_after, top_words


class Knowing:
    """Stands in for a pretrainer whose most probable words at each `[MASK]` are `best`, in this order."""

    def __init__(self, vocabulary, best):
        self.vocabulary = vocabulary
        self.best = best

    def __call__(self, inputs):
        rows = np.arange(len(MASKED))
        hidden = inputs["token_ids"][rows, inputs["mask_positions"][:, 0]]
        assert (hidden == self.vocabulary.mask_id).all()
        assert (inputs["token_ids"][:, 0] == self.vocabulary.cls_id).all()
        last = inputs["padding_mask"].sum(axis=1) - 1
        assert (inputs["token_ids"][rows, last] == self.vocabulary.sep_id).all()
        logits = np.zeros((len(MASKED), 1, len(self.vocabulary)))
        for score, word in enumerate(reversed(self.best), start=1):
            logits[..., self.vocabulary.id(word)] = score
        return {"masked_lm": logits}


def test_the_likeliest_words_of_each_mask_come_first(tokenizer):
    vocabulary = tokenizer.vocabulary
    best = [*vocabulary.tokens[-3:]]
    assert top_words(Knowing(vocabulary, best), tokenizer) == [best] * len(MASKED)


def test_before_is_not_after(tokenizer, small):
    model = kbs.BertPretrainer(kbs.BertBackbone(small))
    model.save_pretrained("run", tokenizer)
    words = fill_before_and_after("run")
    assert words["texts"] == list(MASKED)
    assert words["after"] == top_words(model, tokenizer)
    assert words["before"] != words["after"]
