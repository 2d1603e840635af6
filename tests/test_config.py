import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.config import MINIATURES, PRESET_NAMES, SIZES

# Millions of parameters with the masked LM head, as printed in Turc et al. 2019 with one decimal.
PUBLISHED_MILLIONS = {
    128: (4.4, 4.8, 5.2, 5.6, 6.0, 6.4),
    256: (9.7, 11.3, 12.8, 14.4, 16.0, 17.6),
    512: (22.8, 29.1, 35.4, 41.7, 48.0, 54.3),
    768: (39.2, 53.4, 67.5, 81.7, 95.9, 110.1),
}
# Parameters of the encoder alone, as KerasHub publishes them with its presets.
PUBLISHED_ENCODERS = {
    "bert-tiny": 4_385_920,
    "bert-small": 28_763_648,
    "bert-medium": 41_373_184,
    "bert-base": 109_482_240,
    "bert-large": 335_141_888,
}


def number_of_parameters(config: kbs.BertConfig) -> tuple[int, int]:
    """Of the encoder and of the masked LM head, from the paper's sizes; a test compares the networks with it."""
    h, f = config.hidden_size, config.intermediate_size
    norm, square = 2 * h, h * h + h
    embeddings = (config.vocab_size + config.max_position_embeddings + config.num_segments) * h + norm
    block = 4 * square + norm + (h * f + f) + (f * h + h) + norm
    return embeddings + config.num_layers * block + square, square + norm + config.vocab_size


@pytest.mark.parametrize(
    ("layers", "hidden", "published"),
    [(layers, h, row[i]) for h, row in PUBLISHED_MILLIONS.items() for i, layers in enumerate((2, 4, 6, 8, 10, 12))],
)
def test_miniatures_have_the_published_size(layers, hidden, published):
    encoder, head = number_of_parameters(kbs.BertConfig.preset(f"bert-l{layers}-h{hidden}"))
    # The paper rounds some figures down and some up.
    assert abs((encoder + head) / 1e6 - published) < 0.1


@pytest.mark.parametrize(("name", "published"), PUBLISHED_ENCODERS.items())
def test_named_presets_have_the_published_size(name, published):
    assert number_of_parameters(kbs.BertConfig.preset(name))[0] == published


@pytest.mark.parametrize("name", ["bert-tiny", "bert-l6-h128", "bert-l2-h512"])
def test_the_network_has_as_many_parameters_as_the_formula(name):
    config = kbs.BertConfig.preset(name)
    model = kbs.BertPretrainer(kbs.BertBackbone(config))
    encoder, head = number_of_parameters(config)
    assert model.backbone.count_params() == encoder
    assert model.count_params() == encoder + head + 2 * config.hidden_size + 2  # and the next sentence head


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert-base", "bert-large", *MINIATURES])
def test_every_network_has_as_many_parameters_as_the_formula(name):
    config = kbs.BertConfig.preset(name)
    assert kbs.BertBackbone(config).count_params() == number_of_parameters(config)[0]


def test_presets_follow_the_paper():
    assert len(MINIATURES) == 24
    for name in PRESET_NAMES:
        config = kbs.BertConfig.preset(name)
        assert (config.num_heads, config.intermediate_size) == (config.hidden_size // 64, 4 * config.hidden_size)
    assert kbs.BertConfig() == kbs.BertConfig.preset("bert-base")
    assert kbs.BertConfig.preset("bert-large").num_heads == 16


@pytest.mark.parametrize("path", ["config.json", "ram://configs/config.json"])
def test_json_brings_back_the_same_config(path):
    config = kbs.BertConfig.preset("bert-mini", vocab_size=100, activation="gelu_tanh")
    config.save(path)
    assert kbs.BertConfig.load(path) == config


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"hidden_size": 0}, "`hidden_size`: must be a whole number of at least 1, not 0"),
        ({"hidden_size": "768"}, "`hidden_size`: .* not '768'"),
        ({"hidden_size": None}, "`hidden_size`: .* not None"),
        ({"vocab_size": 1.5}, "`vocab_size`"),
        ({"num_layers": True}, "`num_layers`: .* not True"),
        ({"num_heads": None}, "`num_heads`: .* not None"),
        ({"intermediate_size": "0"}, "`intermediate_size`"),
        ({"hidden_size": 100, "num_heads": 3}, "`num_heads`: 3 does not divide"),
        ({"hidden_dropout": 1.0}, "`hidden_dropout`: .* not 1.0"),
        ({"hidden_dropout": "0.1"}, "`hidden_dropout`: .* not '0.1'"),
        ({"attention_dropout": -0.1}, "`attention_dropout`"),
        ({"attention_dropout": None}, "`attention_dropout`"),
        ({"classifier_dropout": float("nan")}, "`classifier_dropout`: .* not nan"),
        ({"layer_norm_epsilon": "1e-12"}, "`layer_norm_epsilon`: must be a number above 0, not '1e-12'"),
        ({"layer_norm_epsilon": 0.0}, "`layer_norm_epsilon`"),
        ({"initializer_range": None}, "`initializer_range`: .* not None"),
        ({"initializer_range": float("inf")}, "`initializer_range`"),
        ({"activation": "mish"}, "`activation`: 'mish' is unknown; choose one of gelu"),
        ({"activation": ["gelu"]}, "`activation`"),
    ],
)
def test_impossible_values_are_named(arguments, named):
    with pytest.raises(kbs.UserError, match=named):
        kbs.BertConfig(**arguments)


def test_a_trained_model_keeps_its_sizes():
    config = kbs.BertConfig.preset("bert-tiny")
    changed = config.override(hidden_dropout=0.0, classifier_dropout=0.3, hidden_size=128)
    assert (changed.hidden_dropout, changed.head_dropout, changed.hidden_size) == (0.0, 0.3, 128)
    for size in SIZES:
        with pytest.raises(kbs.UserError, match=f"`{size}`: is .* in the weights and cannot become 4096"):
            config.override(**{size: 4096})


@pytest.mark.parametrize(
    ("rows", "tokens", "outcome"),
    [
        (30522, 30522, None),
        (30528, 30522, None),  # padded to a multiple of 8
        (30592, 30522, None),  # of 64 and 128
        (40, 5, "warning"),
        (30522, 28996, "warning"),
        (30522, 30523, "error"),
    ],
)
def test_rows_without_tokens_are_padding_and_tokens_without_rows_an_error(rows, tokens, outcome, caplog):
    config = kbs.BertConfig.preset("bert-tiny", vocab_size=rows)
    if outcome == "error":
        with pytest.raises(kbs.UserError, match=f"vocab.txt: the vocabulary has {tokens} tokens, .* only {rows} rows"):
            config.check_vocabulary(tokens, "vocab.txt")
        return
    config.check_vocabulary(tokens, "vocab.txt")
    logged = [record.getMessage() for record in caplog.records]
    assert [f"has {tokens} tokens, but the model's token embedding has {rows} rows" in line for line in logged] == (
        [True] if outcome else []
    )


def test_pairs_need_two_kinds_of_segment():
    kbs.BertConfig.preset("bert-tiny").check_pairs()
    with pytest.raises(kbs.UserError, match=r"`num_segments`: the model has 1 segment type .* text pairs"):
        kbs.BertConfig.preset("bert-tiny", num_segments=1).check_pairs()


def test_unknown_names_are_named(tmp_path):
    with pytest.raises(kbs.UserError, match="bert-huge"):
        kbs.BertConfig.preset("bert-huge")
    with pytest.raises(kbs.UserError, match="n_layer"):
        kbs.BertConfig.from_dict({"n_layer": 2})
    (tmp_path / "config.json").write_text('{"num_layers": 0}')
    with pytest.raises(kbs.UserError, match=r"^config\.json: `num_layers`: must be"):
        kbs.BertConfig.load("config.json")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(kbs.UserError, match=r"^config\.json: should hold"):
        kbs.BertConfig.load("config.json")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(kbs.UserError, match=r"config\.json"):
        kbs.BertConfig.load("config.json")
