"""FLOPs of a step (Devlin et al. 2019, appendix A.2: attention is quadratic in the length, all else linear)."""

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.training.flops import step_flops


@pytest.mark.parametrize("length", [128, 512])
def test_attention_grows_with_the_square_of_the_length(length):
    config, rows = kbs.BertConfig.preset("bert-mini"), 2

    def encoder(length: int) -> float:
        return step_flops(config, rows, length, predictions=0, examples=0, last_only_read=False)

    # Scores and weighted sums: two products of length x head_size x length in each head, in three passes.
    quadratic = 3 * rows * config.num_layers * 2 * 2 * length**2 * config.hidden_size
    assert encoder(2 * length) - 2 * encoder(length) == pytest.approx(2 * quadratic)
