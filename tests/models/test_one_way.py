"""One-way and joined models: attention masks, pooled positions, and generation with cached keys and values."""

import dataclasses

import keras
import numpy as np
import pytest
import safetensors.numpy
from fast_and_slow import slow_but

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint
from keras_bert_scratch.checkpoints.joining import join
from keras_bert_scratch.layers.attention_bias import MASKED_SCORE, attention_bias, one_way, packed_attention_bias

CONFIG = kbs.BertConfig(
    vocab_size=50, num_layers=2, hidden_size=16, num_heads=2, max_position_embeddings=12, initializer_range=0.3,
    hidden_dropout=0.0, attention_dropout=0.0,
)  # fmt: skip
ONE_WAY = ("left-to-right", "right-to-left")
one_ways = pytest.mark.parametrize("direction", ONE_WAY)
IDS = np.random.default_rng(0).integers(5, 50, (3, 8)).astype("int32")
MASK = (np.arange(8) < [[8], [5], [3]]).astype("int32")
# First row: three examples, of 3, 4 and 1 tokens. Second row: two, of 2 and 3 tokens, and padding.
EXAMPLES = np.array([[1, 1, 1, 2, 2, 2, 2, 3], [1, 1, 2, 2, 2, 0, 0, 0]], "int32")
STARTS = np.array([[0, 3, 7], [0, 2, 0]], "int32")


def inputs_of(token_ids, padding_mask) -> dict[str, np.ndarray]:
    return {"token_ids": token_ids, "segment_ids": np.zeros_like(token_ids), "padding_mask": padding_mask}


def seen(direction: str, query: int, key: int) -> bool:
    return {"both": True, "left-to-right": key <= query, "right-to-left": key >= query}[direction]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("direction", ["both", *ONE_WAY])
def test_who_sees_whom(direction, dtype):
    """Also for positions so large that bfloat16 cannot represent all whole numbers."""
    mask = np.ones((1, 600), "int32")
    mask[:, 590:] = 0
    bias = np.asarray(one_way(attention_bias(mask, dtype), direction)).astype("float64") + np.zeros((600, 600))
    expected = [[seen(direction, query, key) and key < 590 for key in range(600)] for query in range(600)]
    np.testing.assert_array_equal(bias[0, 0] == 0, expected)
    assert bias.min() == pytest.approx(MASKED_SCORE, rel=0.01)


@one_ways
def test_who_sees_whom_in_packed_rows(direction):
    mask = (EXAMPLES > 0).astype("int32")
    bias = np.asarray(one_way(packed_attention_bias(EXAMPLES, mask), direction))
    for row, examples in enumerate(EXAMPLES):
        for query, key in np.ndindex(8, 8):
            expected = examples[query] == examples[key] and seen(direction, query, key)
            assert (bias[row, 0, query, key] == 0) == expected


@one_ways
def test_nothing_depends_on_what_is_not_seen(direction):
    """In the whole model: a changed token leaves the output the same at every position that does not see it."""
    model = kbs.BertCausalLM(kbs.BertBackbone(CONFIG.replace(direction=direction), pooler=False))
    before = np.asarray(model(inputs_of(IDS, MASK)))
    for changed in range(8):
        other = IDS.copy()
        other[:, changed] = (other[:, changed] + 7) % 45 + 5
        after = np.asarray(model(inputs_of(other, MASK)))
        for position in range(8):
            same = np.abs(after - before)[0, position].max() < 1e-6
            assert same == (not seen(direction, position, changed)), (changed, position)


@one_ways
def test_padding_changes_nothing(direction):
    model = kbs.BertCausalLM(kbs.BertBackbone(CONFIG.replace(direction=direction), pooler=False))
    whole = np.asarray(model(inputs_of(IDS, MASK)))
    for row, length in enumerate(MASK.sum(axis=1)):
        alone = np.asarray(model(inputs_of(IDS[row : row + 1, :length], MASK[row : row + 1, :length])))
        np.testing.assert_allclose(whole[row, :length], alone[0], atol=1e-5)


@one_ways
def test_packed_examples_are_what_they_are_alone(direction):
    config = CONFIG.replace(direction=direction)
    packed = kbs.BertPretrainer(kbs.BertBackbone(config, packed=True))
    alone = kbs.BertPretrainer(kbs.BertBackbone(config))
    alone.set_weights(packed.get_weights())
    ids, mask = IDS[:2], (EXAMPLES > 0).astype("int32")
    together = packed(
        {
            **inputs_of(ids, mask),
            "example_ids": EXAMPLES,
            "example_starts": STARTS,
            "mask_positions": np.arange(8)[None].repeat(2, 0),
        }
    )
    for row, examples in enumerate(EXAMPLES):
        for number in range(1, examples.max() + 1):
            mine = np.flatnonzero(examples == number)
            some = inputs_of(ids[row, mine][None], np.ones((1, len(mine)), "int32"))
            expected = alone({**some, "mask_positions": np.arange(len(mine))[None]})
            np.testing.assert_allclose(together["masked_lm"][row].numpy()[mine], expected["masked_lm"][0], atol=1e-5)
            np.testing.assert_allclose(
                together["next_sentence"][row, number - 1], expected["next_sentence"][0], atol=1e-5
            )


@pytest.mark.parametrize(
    ("direction", "single", "packed"),
    [
        ("both", [[0], [0], [0]], STARTS.tolist()),
        ("right-to-left", [[0], [0], [0]], STARTS.tolist()),
        ("left-to-right", [[7], [4], [2]], [[2, 6, 7], [1, 4, 0]]),
    ],
)
def test_a_text_is_summed_up_where_all_of_it_is_seen(direction, single, packed):
    config = CONFIG.replace(direction=direction)
    [tower] = kbs.BertBackbone(config).towers
    assert np.asarray(tower.summary_positions(inputs_of(IDS, MASK))).tolist() == single
    of_packed = inputs_of(IDS[:2], (EXAMPLES > 0).astype("int32"))
    of_packed |= {"example_ids": EXAMPLES, "example_starts": STARTS}
    [tower] = kbs.BertBackbone(config, packed=True).towers
    assert np.asarray(tower.summary_positions(of_packed)).tolist() == packed


@pytest.mark.parametrize("direction", ["both", *ONE_WAY])
def test_a_classifier_sees_the_whole_text(direction):
    """Its output depends on every token, and equals the head of the pooled vector."""
    backbone = kbs.BertBackbone(CONFIG.replace(direction=direction))
    model = kbs.BertTextClassifier(backbone, num_classes=2)
    before = np.asarray(model(inputs_of(IDS, MASK)))
    head = model.classifier_head(backbone(inputs_of(IDS, MASK))["pooled_output"])
    np.testing.assert_allclose(before, head, atol=1e-5)
    for changed in range(8):
        other = IDS.copy()
        other[:, changed] = (other[:, changed] + 7) % 45 + 5
        after = np.asarray(model(inputs_of(other, MASK)))
        moved = np.abs(after - before).max(axis=1) > 1e-6
        assert moved.tolist() == (MASK[:, changed] == 1).tolist()


@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-5), ("mixed_bfloat16", 0.2)])
def test_writing_step_by_step_gives_what_the_whole_gives(dtype, atol):
    backbone = kbs.BertBackbone(CONFIG.replace(direction="left-to-right"), dtype=dtype, pooler=False)
    model = kbs.BertCausalLM(backbone)
    whole = np.asarray(model(inputs_of(IDS, np.ones_like(IDS))))
    past = model.empty_past(3)
    for position in range(8):
        logits, past = model.step(IDS[:, position], position, past)
        assert past[0][0].dtype == model.compute_dtype
        np.testing.assert_allclose(logits, whole[:, position], atol=atol)


@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-5), ("mixed_bfloat16", 0.2)])
def test_translating_step_by_step_gives_what_the_whole_gives(dtype, atol):
    model = kbs.BertTranslator(kbs.BertBackbone(CONFIG, dtype=dtype, pooler=False))
    source = inputs_of(IDS[::-1], MASK)
    target = {"decoder_token_ids": IDS, "decoder_padding_mask": np.ones_like(IDS)}
    whole = np.asarray(model({**source, **target}))
    encoded = model.encode(source)
    past, visible = model.empty_past(3), np.zeros((3, 2, 0), bool)
    for position in range(8):  # two hypotheses for each row, which see only their own positions
        visible = np.concatenate([visible, np.tile(np.eye(2, dtype=bool), (3, 1, 1))], axis=2)
        two = np.stack([IDS[:, position], (IDS[:, position] + 1) % 50], axis=1)
        logits, past = model.step(two, position, past, visible, encoded)
        assert past[0][0].dtype == model.compute_dtype
        np.testing.assert_allclose(logits[:, 0], whole[:, position], atol=atol)


def test_a_model_that_sees_what_it_predicts_is_refused():
    with pytest.raises(kbs.UserError, match="attends to both sides and so sees the tokens it predicts"):
        kbs.BertCausalLM(kbs.BertBackbone(CONFIG, pooler=False))
    with pytest.raises(kbs.UserError, match="`direction`: 'up' is unknown; choose one of both, left-to-right"):
        CONFIG.replace(direction="up")


def test_the_direction_is_stored_where_it_is_not_berts():
    assert "direction" not in CONFIG.to_dict()
    for direction in ("both", *ONE_WAY):
        config = CONFIG.replace(direction=direction)
        assert kbs.BertConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("direction", "to"), [("left-to-right", "google"), ("right-to-left", "huggingface"), ("right-to-left", "keras_hub")]
)
def test_formats_without_one_way_models_refuse_them(direction, to, tmp_path):
    model = kbs.BertCausalLM(kbs.BertBackbone(CONFIG.replace(direction=direction), pooler=False))
    with pytest.raises(kbs.UserError, match=f"`to`: {to} has no {direction} models; choose native"):
        write_checkpoint(model.to_checkpoint(), tmp_path / "other", to)
    assert not (tmp_path / "other").exists()


def test_hugging_face_pools_a_left_to_right_model_at_another_token(tmp_path):
    """So its files hold no pooler of ours, and theirs is left out."""
    config = CONFIG.replace(direction="left-to-right")
    model = kbs.BertBackbone(config)
    checkpoint = model.to_checkpoint()
    write_checkpoint(checkpoint, tmp_path / "theirs", "huggingface")
    held = safetensors.numpy.load_file(tmp_path / "theirs" / "model.safetensors")
    assert not [name for name in held if "pooler" in name]
    assert any("pooler is left out" in note for note in checkpoint.notes)
    pooler = {"pooler.dense.weight": np.ones((16, 16), "float32"), "pooler.dense.bias": np.ones(16, "float32")}
    safetensors.numpy.save_file({**held, **pooler}, tmp_path / "theirs" / "model.safetensors")
    found = read_checkpoint(tmp_path / "theirs")
    assert not found.has_pooler
    assert any("pooler is left out" in note for note in found.notes)
    again = kbs.BertBackbone.from_pretrained(tmp_path / "theirs")(inputs_of(IDS, MASK))
    assert list(again) == ["sequence_output"]
    expected = model(inputs_of(IDS, MASK))["sequence_output"]
    np.testing.assert_allclose(again["sequence_output"], expected, atol=1e-6)


def pair(tmp_path, tokenizer) -> dict[str, kbs.BertCausalLM]:
    """Two one-way models by direction, saved in folders of the same names."""
    models = {}
    for direction in ONE_WAY:
        config = CONFIG.replace(direction=direction, vocab_size=len(tokenizer.vocabulary))
        models[direction] = kbs.BertCausalLM(kbs.BertBackbone(config, pooler=False))
        models[direction].save_pretrained(tmp_path / direction, tokenizer)
    return models


def test_joined_models_are_both_side_by_side(tmp_path, tokenizer):
    models = pair(tmp_path, tokenizer)
    write_checkpoint(
        join(*(read_checkpoint(tmp_path / direction) for direction in ONE_WAY)), tmp_path / "both", "native"
    )
    joined = kbs.BertBackbone.from_pretrained(tmp_path / "both")
    found = joined(inputs_of(IDS, MASK))["sequence_output"].numpy()
    assert found.shape == (3, 8, 32)
    for half, direction in enumerate(ONE_WAY):
        alone = models[direction].backbone(inputs_of(IDS, MASK))["sequence_output"].numpy()
        np.testing.assert_allclose(found[:, :, 16 * half : 16 * (half + 1)][MASK == 1], alone[MASK == 1], atol=1e-5)


JOINED = CONFIG.replace(direction="joined")
HEADS = {
    "BertTextClassifier": {"num_classes": 2},
    "BertTokenClassifier": {"num_classes": 3},
    "BertQuestionAnswerer": {},
    "BertNextSentencePredictor": {},
    "BertMaskedLM": {},
}


@pytest.mark.parametrize("name", slow_but(["BertTextClassifier", "BertMaskedLM"], HEADS))
def test_heads_of_a_joined_model_are_stored_and_read(name, tmp_path):
    pooled = name in ("BertTextClassifier", "BertNextSentencePredictor")
    model = getattr(kbs, name)(kbs.BertBackbone(JOINED, pooler=pooled), **HEADS[name])
    model.save_pretrained(tmp_path / "model")
    inputs = inputs_of(IDS, MASK)
    if name == "BertMaskedLM":
        inputs["mask_positions"] = IDS[:, :2] % 3
    before, after = model(inputs), type(model).from_pretrained(tmp_path / "model")(inputs)
    keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), before, after)


def test_a_joined_model_sums_up_what_both_have_seen():
    """It pools the last token of one model and the first of the other; also in packed rows and in `encode_pooled`."""
    backbone = kbs.BertBackbone(JOINED)
    outputs = backbone(inputs_of(IDS, MASK))
    x, last = outputs["sequence_output"].numpy(), MASK.sum(axis=1) - 1
    both = np.concatenate([x[np.arange(3), last, :16], x[:, 0, 16:]], axis=1)
    w = {variable.path: variable.numpy() for variable in backbone.pooler.weights}
    expected = np.tanh(both @ w["pooler/dense/kernel"] + w["pooler/dense/bias"])
    np.testing.assert_allclose(outputs["pooled_output"], expected, atol=1e-5)
    np.testing.assert_allclose(backbone.encode_pooled(inputs_of(IDS, MASK)), expected, atol=1e-5)
    packed = kbs.BertBackbone(JOINED, packed=True)
    packed.set_weights(backbone.get_weights())
    of_packed = {
        **inputs_of(IDS[:2], (EXAMPLES > 0).astype("int32")),
        "example_ids": EXAMPLES,
        "example_starts": STARTS,
    }
    found = packed(of_packed)["pooled_output"].numpy()
    alone = backbone(inputs_of(IDS[:1, 3:7], np.ones((1, 4), "int32")))["pooled_output"].numpy()
    np.testing.assert_allclose(found[0, 1], alone[0], atol=1e-5)
    inside = backbone.look_inside(inputs_of(IDS, MASK))
    assert inside["attention_weights"][0].shape == (3, 4, 8, 8)
    np.testing.assert_allclose(inside["pooled_output"], expected, atol=1e-5)


def test_what_cannot_be_joined_is_refused(tmp_path, tokenizer):
    pair(tmp_path, tokenizer)
    forward, backward = (read_checkpoint(tmp_path / direction) for direction in ONE_WAY)
    other = dataclasses.replace(backward, config=backward.config.replace(hidden_dropout=0.1))
    strange = dataclasses.replace(backward, vocabulary=kbs.Vocabulary((*tokenizer.vocabulary.tokens, "zzz")))
    for one, two, said in (
        (backward, forward, "the first model reads right-to-left; give one that reads left-to-right"),
        (forward, forward, "the second model reads left-to-right; give one that reads right-to-left"),
        (forward, other, "different sizes or rates"),
        (forward, strange, "different vocabularies"),
    ):
        with pytest.raises(kbs.UserError, match=said):
            join(one, two)
    with pytest.raises(kbs.UserError, match="is a joined model, trained without sentence pairs; use BertMaskedLM"):
        kbs.BertPretrainer(kbs.BertBackbone(JOINED))
