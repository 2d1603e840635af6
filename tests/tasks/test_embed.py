"""Embeddings: models of any class, texts alone or in a batch, pairs, tokens and layers."""

from pathlib import Path

import keras
import numpy as np
import pytest
from scipy import stats

import keras_bert_scratch as kbs
from keras_bert_scratch.serving.saved_model import SavedModel
from keras_bert_scratch.tasks import fine_tuned
from keras_bert_scratch.tasks.data.texts import text_features
from keras_bert_scratch.tasks.embed import TASK

TEXTS = ["The heron sleeps.", "", "otter", "the otter watches the old river before dawn " * 12, "北京 ½ ß", "otter"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, config, tokenizer) -> Path:
    """A backbone whose vectors of different texts are far apart."""
    keras.utils.set_random_seed(3)
    path = tmp_path_factory.mktemp("embed") / "model"
    kbs.BertBackbone(config.replace(initializer_range=0.3)).save_pretrained(path, tokenizer)
    return path


@pytest.fixture(scope="module")
def model(folder) -> kbs.FineTuned:
    return kbs.FineTuned.load(folder)


def vectors(model, texts) -> np.ndarray:
    return np.array([answer["embedding"] for answer in model.predict({"text": texts})])


def test_a_backbone_is_taken_for_embedding(folder, caplog):
    found = kbs.FineTuned.load(folder)
    assert (found.spec.task, found.spec.columns, found.spec.max_length) == ("embed", ("text",), 64)
    assert found.spec.options == {"pooling": "mean", "normalize": True, "layers": "-1"}
    assert "embeds with mean of the tokens, length 1, at most 64 tokens (default)" in caplog.text
    assert "treated as a model for embed of 'text'" in caplog.text


@pytest.mark.usefixtures("eagerly")
def test_a_text_is_the_mean_of_its_tokens(model, folder, tokenizer):
    """`[CLS]` and `[SEP]` included; compared with the mean of the network's own output."""
    inputs = text_features(model.spec, tokenizer, {"text": [TEXTS[0]]}).inputs
    sequence = np.asarray(kbs.BertBackbone.from_pretrained(folder)(inputs)["sequence_output"])
    mean = sequence[0][np.asarray(inputs["padding_mask"])[0] > 0].mean(0)
    np.testing.assert_allclose(vectors(model, TEXTS[:1])[0], mean / np.linalg.norm(mean), atol=1e-6)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_an_embedding_does_not_depend_on_its_neighbours(folder, pooling, monkeypatch):
    # A normalized vector would not show what it was divided by.
    model = kbs.FineTuned.load(folder, prediction_options={"pooling": pooling, "normalize": False})
    together = vectors(model, TEXTS)
    assert np.isfinite(together).all()
    assert np.abs(together[:, None] - together)[np.triu_indices(5, 1)].max(-1).min() > 1e-3  # they differ
    for order in (1, -1):
        monkeypatch.setattr(fine_tuned, "BATCH_SIZE", 2 + order)
        np.testing.assert_allclose(vectors(model, TEXTS[::order])[::order], together, atol=1e-6)


def test_numbers_have_the_digits_of_float32_and_no_more(model):
    numbers = np.random.default_rng(0).normal(size=500).astype("float32")
    told = TASK.answer(model.spec, {"embedding": numbers.tolist()})["embedding"]
    np.testing.assert_array_equal(np.array(told, "float32"), numbers)
    assert max(len(repr(number).strip("-0.")) for number in told) <= 10


def test_a_classifier_s_encoder_embeds_when_it_is_asked_to(config, tokenizer):
    classifier = kbs.BertTextClassifier(kbs.BertBackbone(config), 2)
    spec = kbs.Spec("classification", ("text",), 8, ("no", "yes"))
    kbs.FineTuned(classifier, tokenizer, spec).save("tuned")
    kbs.BertBackbone(config).save_pretrained("other", tokenizer)
    asked = kbs.FineTuned.load("tuned", task="embed")
    assert (asked.spec.task, asked.spec.max_length) == ("embed", 64)
    for ours, theirs in zip(asked.model.weights, classifier.backbone.weights, strict=False):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    assert kbs.FineTuned.load("tuned").spec.task == "classification"


def test_a_saved_embedder_keeps_its_options(folder):
    kbs.FineTuned.load(folder, prediction_options={"pooling": "max", "layers": "0"}).save("again")
    again = kbs.FineTuned.load("again")
    assert again.spec.options == {"pooling": "max", "normalize": True, "layers": "0"}
    assert again.digest == kbs.FineTuned.load(folder, prediction_options={"pooling": "max", "layers": "0"}).digest
    # The model's `config.json` holds them, too; other formats are written from it.
    assert kbs.BertTextEmbedder.from_pretrained("again").embedding.layer_numbers == (0,)


def test_the_digest_names_model_and_options(folder, config, tokenizer, model):
    digests = {
        model.digest,
        *(kbs.FineTuned.load(folder, prediction_options=o).digest for o in ({"layers": "-2"}, {"pooling": "cls"})),
    }
    other = kbs.FineTuned.load(folder)
    other.model.weights[3].assign(np.asarray(other.model.weights[3]) + 1e-3)
    digests.add(other.digest)
    assert len(digests) == 4
    assert kbs.FineTuned.load(folder).digest == model.digest


# --- several layers, tokens


@pytest.mark.usefixtures("eagerly")
def test_layers_and_tokens(folder, tokenizer):
    both = kbs.predict(folder, {"text": TEXTS[:4]}, layers="-1,-2")
    first = kbs.predict(folder, {"text": TEXTS[:4]}, layers="-2")
    assert np.shape(both[0]["embedding"]) == (2, 16)
    np.testing.assert_allclose([row["embedding"][1] for row in both], [row["embedding"] for row in first], atol=1e-6)
    tokens = kbs.predict(folder, {"text": TEXTS[:4]}, layers="all", pooling="none")
    for text, row in zip(TEXTS, tokens, strict=False):
        pieces = [tokenizer.vocabulary.tokens[piece] for piece in tokenizer.tokenize([text])[0].numpy()][:62]
        assert row["tokens"] == ["[CLS]", *pieces, "[SEP]"]
        assert np.shape(row["token_embeddings"]) == (len(row["tokens"]), 3, 16)
    mean = np.mean(tokens[0]["token_embeddings"], axis=0)[1]
    np.testing.assert_allclose(mean / np.linalg.norm(mean), both[0]["embedding"][1], atol=1e-6)


@pytest.mark.usefixtures("eagerly")
def test_vectors_of_all_tokens_are_in_memory_for_few_texts_at_once(folder, model, monkeypatch):
    tokens = kbs.FineTuned.load(folder, prediction_options={"pooling": "none", "layers": "all"})
    assert TASK.rows_at_once(tokens.spec, tokens.model) == (1 << 22) // (64 * 3 * 16)
    assert TASK.rows_at_once(model.spec, model.model) is None
    taken = []

    def rows():
        for number in range(10):
            taken.append(number)
            yield {"text": "otter", "line": number}

    monkeypatch.setattr(type(tokens.task), "rows_at_once", lambda *_: 2)
    row, _ = next(tokens.predict_stream(rows()))
    assert (row["line"], taken) == (0, [0, 1])


# --- pairs


PAIRS = {
    "text": ["the heron", "otter", "a river", "", "dawn"],
    "text_pair": ["a heron", "the old otter", "otter", "otter", "dawn"],
    "score": [4.0, 3.5, 1.0, 0.0, 5.0],
}


def cosines(one, other) -> np.ndarray:
    return np.sum(one * other, -1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("normalize", [True, False])
def test_similarity_is_measured_by_scipy(folder, normalize):
    model = kbs.FineTuned.load(folder, prediction_options={"normalize": normalize})
    expected = cosines(vectors(model, PAIRS["text"]), vectors(model, PAIRS["text_pair"]))
    raw = {name: PAIRS[name] for name in ("text", "text_pair")}
    np.testing.assert_allclose([row["similarity"] for row in model.predict(raw)], expected, atol=1e-6)
    results = kbs.evaluate(folder, PAIRS, normalize=normalize)
    assert results == {
        "spearman": pytest.approx(stats.spearmanr(PAIRS["score"], expected).statistic, abs=1e-4),
        "pearson": pytest.approx(stats.pearsonr(PAIRS["score"], expected).statistic, abs=1e-4),
        "examples": 5,
    }


@pytest.mark.usefixtures("eagerly")
def test_each_layer_is_measured_by_itself(folder):
    several = kbs.evaluate(folder, PAIRS, layers="all")["by_layer"]
    assert list(several) == ["0", "1", "2"]
    alone = kbs.evaluate(folder, PAIRS, layers="1")
    assert several["1"] == {name: alone[name] for name in ("pearson", "spearman")}


@pytest.mark.usefixtures("eagerly")
def test_equal_scores_have_no_correlation(folder):
    assert kbs.evaluate(folder, {**PAIRS, "score": [1.0] * 5})["spearman"] is None


@pytest.mark.usefixtures("eagerly")
def test_files_of_glue_are_read_and_bad_rows_named(folder):
    Path("sts.tsv").write_text("sentence1\tsentence2\tscore\nheron\totter\t2.5\nheron\ta heron\t5\na\tb\thigh\n")
    with pytest.raises(kbs.UserError, match=r"sts\.tsv: line 4 .*'high'.*score"):
        kbs.evaluate(folder, "sts.tsv")
    assert kbs.evaluate(folder, "sts.tsv", on_bad_row="skip")["examples"] == 2
    Path("no.tsv").write_text("sentence1\tscore\nheron\t2.5\n")
    with pytest.raises(kbs.UserError, match=r"no\.tsv: has no column 'text_pair' or 'sentence2'"):
        kbs.evaluate(folder, "no.tsv")


# --- the exported signature


@pytest.mark.parametrize(
    "options", [{}, pytest.param({"pooling": "none", "layers": "-1,0"}, marks=pytest.mark.slow)], ids=str
)
def test_the_exported_signature_embeds_as_predict_does(folder, options):
    model = kbs.FineTuned.load(folder, prediction_options=options)
    kbs.export_saved_model(model, "saved", warm_up=False)
    saved = SavedModel("saved")
    for ours, theirs in zip(model.predict({"text": TEXTS}), saved.predict({"text": TEXTS}), strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            if name == "tokens":
                assert ours[name] == theirs[name]
            else:
                np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5)


# --- what is refused


@pytest.mark.parametrize(
    ("options", "raw", "message"),
    [
        ({"pooling": "men"}, {"text": ["a"]}, "`pooling`: 'men' is unknown; choose one of mean, cls, max, none"),
        ({"layers": "1,1"}, {"text": ["a"]}, "`layers`: '1,1' names a layer twice; name it once"),
        ({"layers": "top"}, {"text": ["a"]}, "`layers`: 'top' is not a list of layers; write numbers such as -1,-2"),
        ({"layers": "-1,9"}, {"text": ["a"]}, "`layer_numbers`: has 9"),
        ({"overlap": 3}, {"text": ["a"]}, "`overlap`: is not an option of embed; its options are pooling"),
        ({"pooling": "none"}, {"text": ["a"], "text_pair": ["b"]}, "`pooling`: none computes no single vector"),
        ({}, {"question": ["a"]}, "embed reads 'text', or 'text' and 'text_pair', not question"),
    ],
)
def test_what_cannot_be_asked_is_named(folder, options, raw, message):
    with pytest.raises(kbs.UserError, match=message):
        kbs.predict(folder, raw, **options)


def test_it_is_not_trained(folder):
    with pytest.raises(kbs.UserError, match=r"embed is not trained by fine-tuning; see .* --task regression"):
        kbs.finetune("embed", folder, PAIRS, "run")
    assert not Path("run").exists()
