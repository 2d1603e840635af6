"""Embedding settings of sentence-transformers folders are followed or refused by name, and other formats keep them."""

import json
import shutil
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.checkpoint import Embedding
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint
from keras_bert_scratch.tasks.embed import TASK

GOLDEN = Path(__file__).parents[1] / "golden" / "huggingface" / "BertModel"
MODES = {
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
}
MODULES = ("Transformer", "Pooling", "Normalize")


def folder(modules=MODULES, modes=None, transformer=None, prompts=None, tokenizer=None, normalize=None) -> Path:
    """A model's folder as sentence-transformers writes it."""
    found = Path("model")
    shutil.copytree(GOLDEN, found)
    folders = ("", "1_Pooling", "2_Normalize", "3_Dense")
    described = [
        {"idx": number, "name": str(number), "path": where, "type": f"sentence_transformers.models.{name}"}
        for number, (name, where) in enumerate(zip(modules, folders, strict=False))
    ]
    (found / "modules.json").write_text(json.dumps(described))
    (found / "1_Pooling").mkdir()
    (found / "2_Normalize").mkdir()
    modes = modes if "pooling_mode" in (modes or {}) else {**MODES, **(modes or {})}
    (found / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    for name, values in (
        ("sentence_bert_config", transformer),
        ("config_sentence_transformers", prompts),
        ("tokenizer_config", tokenizer),
        ("2_Normalize/config", normalize),
    ):
        if values is not None:
            (found / f"{name}.json").write_text(json.dumps(values))
    return found


SINCE_6 = {
    "transformer_task": "feature-extraction",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    "module_output_name": "token_embeddings",
}
CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({}, Embedding()),
        ({"transformer": {"max_seq_length": 5, "do_lower_case": False}}, Embedding(max_length=5)),
        (
            {"transformer": {"max_seq_length": None}, "prompts": {"prompts": {}, "default_prompt_name": None}},
            Embedding(),
        ),
        ({"modules": MODULES[:2], "modes": CLS}, Embedding("cls", False)),
        # As version 6 of sentence-transformers writes the settings.
        (
            {
                "modes": {"pooling_mode": "max", "embedding_dimension": 8, "include_prompt": True},
                "transformer": SINCE_6,
                "tokenizer": {"model_max_length": 6},
            },
            Embedding("max", max_length=6),
        ),
        (
            {"modes": {"pooling_mode": ["cls"]}, "tokenizer": {"model_max_length": 10**30}},
            Embedding("cls", max_length=1 << 31),
        ),
        ({"transformer": {"max_seq_length": 5}, "tokenizer": {"model_max_length": 9}}, Embedding(max_length=5)),
    ],
)
def test_it_is_followed(told, found):
    checkpoint = read_checkpoint(folder(**told))
    assert checkpoint.embedding == found
    assert not [note for note in checkpoint.notes if "embedding method" in note or "field" in note]


@pytest.mark.parametrize(("told", "length"), [(5, 5), (None, 12), (500, 12)])
def test_texts_are_cut_where_its_files_say(told, length):
    path = folder(transformer={"max_seq_length": told})
    checkpoint = read_checkpoint(path)
    assert checkpoint.config.max_position_embeddings == 12
    assert TASK.spec_of(checkpoint, path).max_length == length


def test_a_model_keeps_the_longest_text():
    path = folder(transformer={"max_seq_length": 5})
    kbs.BertTextEmbedder.from_pretrained(path).save_pretrained("again")
    assert read_checkpoint("again").embedding == Embedding(max_length=5)
    assert kbs.BertTextEmbedder.from_pretrained(path, max_length=None).embedding == Embedding()


def test_a_folder_without_these_files_tells_nothing():
    assert read_checkpoint(GOLDEN).embedding is None


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (
            {"modules": (*MODULES, "Dense")},
            "modules.json: has the modules Transformer, Pooling, Normalize, Dense, but only",
        ),
        ({"modules": MODULES[:1]}, "modules.json: has the modules Transformer, but only"),
        (
            {"modes": {"pooling_mode_max_tokens": True}},
            "config.json: its pooling is mean and max, but only one of",
        ),
        ({"modes": {"pooling_mode_mean_tokens": False}}, "config.json: its pooling is none,"),
        ({"modes": {"pooling_mode_lasttoken": True}}, "config.json: pooling_mode_lasttoken is true, and only false"),
        (
            {"modes": {"pooling_mode": ["mean", "max"]}},
            "config.json: its pooling is mean and max, but only one of",
        ),
        ({"modes": {"pooling_mode": "lasttoken"}}, "config.json: its pooling is lasttoken,"),
        (
            {"transformer": {**SINCE_6, "module_output_name": "x"}},
            'module_output_name is "x", and only "token_embeddings"',
        ),
        ({"normalize": {"module_input_name": "token_embeddings"}}, 'module_input_name is "token_embeddings", and only'),
        ({"prompts": {"default_prompt_name": "query"}}, 'default_prompt_name is "query", and only null is supported'),
    ],
)
def test_what_cannot_be_followed_is_refused_but_the_model_is_read(told, message):
    path = folder(**told)
    checkpoint = read_checkpoint(path)
    assert checkpoint.embedding is None
    assert [note for note in checkpoint.notes if message in note and "its embedding method is left out" in note]
    with pytest.raises(kbs.UserError, match=message.replace(".", r"\.")):
        TASK.spec_of(checkpoint, path)


def test_lowercasing_is_refused_for_a_cased_vocabulary_alone():
    path = folder(transformer={"do_lower_case": True})
    for lowercase in (True, False):
        tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play")
        (path / "vocab.txt").write_text("\n".join(tokens))
        (path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lowercase}))
        assert (read_checkpoint(path).embedding is not None) == lowercase


@pytest.mark.parametrize("damage", ["{", '{"a": 1}', '[{"idx": 0}]'])
def test_damaged_modules_are_named(damage):
    path = folder()
    (path / "modules.json").write_text(damage)
    with pytest.raises(kbs.UserError, match=r"modules\.json: is not a list of modules with type and path"):
        read_checkpoint(path)


@pytest.mark.parametrize("length", [0, "12"])
def test_a_damaged_length_is_named(length):
    with pytest.raises(kbs.UserError, match=f"max_seq_length or model_max_length is {length!r}; copy its files again"):
        read_checkpoint(folder(transformer={"max_seq_length": length}))


def test_an_unknown_field_is_named():
    notes = read_checkpoint(folder(modes={"pooling_mode_new": False})).notes
    assert any("'pooling_mode_new' is unknown and not obeyed" in note for note in notes)


@pytest.mark.parametrize("told", [{"transformer": {"max_seq_length": 5}}, {"modules": MODULES[:2], "modes": CLS}])
def test_other_formats_keep_it_or_say_that_they_do_not(told):
    checkpoint = read_checkpoint(folder(**told))
    write_checkpoint(checkpoint, "ours", "native")
    write_checkpoint(read_checkpoint("ours"), "theirs", "huggingface")
    again = read_checkpoint("theirs").embedding
    assert read_checkpoint("ours").embedding == checkpoint.embedding
    positions = checkpoint.config.max_position_embeddings
    assert (again.pooling, again.normalize) == (checkpoint.embedding.pooling, checkpoint.embedding.normalize)
    assert again.max_length == (checkpoint.embedding.max_length or positions)
    write_checkpoint(checkpoint, "google", "google")
    assert f"its embedding method is left out: {checkpoint.embedding.described}" in checkpoint.notes


def test_what_sentence_transformers_cannot_hold_is_said(small):
    checkpoint = kbs.BertTextEmbedder(kbs.BertBackbone(small), layer_numbers=(0, -1)).to_checkpoint()
    write_checkpoint(checkpoint, "theirs", "huggingface")
    assert not Path("theirs/modules.json").exists()
    assert "mean of the tokens, layers 0, -1, length 1" in checkpoint.notes[-1]


@pytest.mark.parametrize("damage", [{"pooling": "mean"}, {"layer_numbers": 3}, {"layer_numbers": [1], "x": 1}, 5])
def test_a_damaged_config_of_ours_is_named(small, damage):
    kbs.BertTextEmbedder(kbs.BertBackbone(small, pooler=False)).save_pretrained("model")
    config = json.loads(Path("model/config.json").read_text())
    Path("model/config.json").write_text(json.dumps({**config, "embedding": damage}))
    with pytest.raises(kbs.UserError, match=r"config\.json: embedding is damaged"):
        read_checkpoint("model")
