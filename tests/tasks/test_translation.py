"""Translation: training targets, decoding, and initialization."""

import types
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import tensorflow as tf
from fast_and_slow import slow_but
from scipy.special import log_softmax
from tasks.conftest import QUICK

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.serving.saved_model import SavedModel
from keras_bert_scratch.tasks import fine_tuned
from keras_bert_scratch.tasks.data.decoding_loop import FORBIDDEN_TOKENS
from keras_bert_scratch.tasks.data.length_bucketing import sorted_batches
from keras_bert_scratch.tasks.registry import get_task

TASK = get_task("translation")
CONFIG = kbs.BertConfig(
    vocab_size=8, num_layers=2, hidden_size=32, num_heads=2, max_position_embeddings=16, hidden_dropout=0.0,
    attention_dropout=0.0, initializer_range=0.1,
)  # fmt: skip
WORDS = {"rot": "red", "blau": "blue", "neu": "new", "alt": "old"}
SOURCES = [
    f"{a} {b} {c}".strip().capitalize() + "." for a in WORDS for b in WORDS for c in ("", *WORDS) if len({a, b, c}) == 3
]
ROWS = {
    "source": SOURCES,
    "target": [" ".join(WORDS[word] for word in text[:-1].lower().split()).capitalize() + "." for text in SOURCES],
}
HOW = kbs.FineTuning(**{**QUICK, "epochs": 40, "batch_size": 16, "max_length": 16, "learning_rate": 5e-3})


def options(**changes) -> dict:
    return {**vars(TASK.Options()), **vars(TASK.PredictionOptions()), **changes}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A translator of a few adjectives, trained from scratch, with a vocabulary for each language."""
    path = tmp_path_factory.mktemp("translator") / "run"
    chosen = {"vocab_size": 40, "shared_vocabulary": False, "label_smoothing": 0.05}
    kbs.finetune("translation", CONFIG, ROWS, path, how=HOW, task_options=chosen)
    return path


@pytest.fixture(scope="module")
def translator(run) -> kbs.FineTuned:
    return kbs.FineTuned.load(run)


def translated(translator, texts, **changes) -> list[dict]:
    return translator.with_options(options(**changes)).predict({"source": list(texts)})


def test_it_learns_from_nothing(translator):
    results = translator.evaluation_of(ROWS).results
    assert results["bleu"] > 95
    assert results["chrf"] > 95
    assert "|case:mixed|" in results["signature"]
    assert translator.predict({"source": ["Blau alt."]})[0]["translation"] == "Blue old."
    ours, theirs = (set(one.vocabulary.tokens) for one in (translator.tokenizer, translator.tokenizer.target))
    assert "##w" in theirs - ours
    assert "##t" in ours - theirs


def test_scores_are_those_of_sacrebleu(translator):
    """Against references that are partly wrong; sacrebleu expects a list of reference lists."""
    wrong = [*ROWS["target"][1:8], *ROWS["target"][7:]]
    found = translator.evaluation_of({"source": SOURCES, "target": wrong}).results
    answers = [answer["translation"] for answer in translator.predict({"source": SOURCES})]
    expected = sacrebleu.corpus_bleu(answers, [wrong]).score
    assert found["bleu"] == pytest.approx(expected, abs=1e-3)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(answers, [wrong]).score, abs=1e-3)
    assert 10 < expected < 95


def test_other_sources_ruin_it(translator):
    """The decoder reads the encoder's output: it is more than a language model of the targets."""
    _, examples = TASK.read({"source": SOURCES[7:] + SOURCES[:7], "target": ROWS["target"]}, translator.spec)
    assert translator.evaluate(examples)["bleu"] < 50


def test_what_is_taught(letters):
    """The labels are shifted by one token; a target that is too long is truncated and has no end token."""
    spec = kbs.Spec("translation", ("source",), 6, options=options())
    raw, gold = {"source": tf.constant(["ab", "c"])}, {"target": tf.constant(["de", "fghijkl"])}
    features = TASK.with_teacher_forcing(spec, TASK.features(spec, letters, raw), gold)
    labels, weights = TASK.targets(spec, features, gold, training=True)

    def shown(ids) -> list[str]:
        return ["".join(letters.vocabulary.tokens[token] for token in row) for row in ids.numpy()]

    assert weights is None
    assert shown(features.inputs["token_ids"]) == ["[CLS]a##b[SEP]", "[CLS]c[SEP][PAD]"]
    assert shown(features.inputs["decoder_token_ids"]) == ["[CLS]d##e[PAD][PAD]", "[CLS]f##g##h##i"]
    assert shown(labels) == ["d##e[SEP][PAD][PAD]", "f##g##h##i##j"]
    assert features.inputs["decoder_padding_mask"].numpy().tolist() == [[1, 1, 1, 0, 0], [1] * 5]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_mean_over_tokens_and_does_not_move_with_padding(letters, smoothing):
    model = kbs.BertTranslator(kbs.BertBackbone(CONFIG.replace(vocab_size=57), pooler=False))
    spec = kbs.Spec("translation", ("source",), 16, options=options(label_smoothing=smoothing))
    losses = []
    for rows in ([0, 1], [0, 1, 2]):
        raw = {"source": tf.constant(["ab", "c", "dddddddddd"])[: len(rows)]}
        gold = {"target": tf.constant(["de", "f", "eeeeeeeeee"])[: len(rows)]}
        features = TASK.with_teacher_forcing(spec, TASK.features(spec, letters, raw), gold)
        labels, _ = TASK.targets(spec, features, gold, training=True)
        logits = model(features.inputs, training=False)[:2]
        inputs = {name: values[:2] for name, values in features.inputs.items()}
        objective = TASK.objectives(spec, model)[""]
        loss, _, weight = objective.sums(labels[:2], logits, objective.weights(labels[:2], inputs, None), training=True)
        losses.append(float(loss / weight))
        log_probs = log_softmax(logits.numpy().astype("float64"), axis=-1)
        expected = [
            -((1 - smoothing) * log_probs[row, at, labels[row, at]] + smoothing * log_probs[row, at].mean())
            for row, length in enumerate((3, 2))
            for at in range(length)
        ]
        assert losses[-1] == pytest.approx(np.mean(expected), abs=1e-5)
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def written_without_a_cache(translator, text: str) -> str:
    """Greedy decoding: the whole model runs on everything that was written so far."""
    tokenizer = translator.tokenizer
    vocabulary = tokenizer.target.vocabulary
    inputs = TASK.features(translator.spec, tokenizer, {"source": tf.constant([text])}).inputs
    tokens = [vocabulary.cls_id]
    while len(tokens) < translator.spec.max_length:
        target = {
            "decoder_token_ids": tf.constant([tokens]),
            "decoder_padding_mask": tf.ones([1, len(tokens)], tf.int32),
        }
        logits = translator.model({**inputs, **target}, training=False).numpy()[0, -1]
        logits[[vocabulary.id(token) for token in FORBIDDEN_TOKENS]] = -np.inf
        tokens.append(int(logits.argmax()))
        if tokens[-1] == vocabulary.sep_id:
            break
    return (
        tokenizer.target.detokenize([[token for token in tokens[1:] if token != vocabulary.sep_id]]).numpy()[0].decode()
    )


@pytest.mark.parametrize("beams", slow_but([], [1, 4]))
def test_what_no_text_holds_is_never_written(translator, beams):
    """Not even if its logits are the highest."""
    bias, vocabulary = translator.model.next_token_head.bias, translator.tokenizer.target.vocabulary
    expected, before = [row["translation"] for row in translated(translator, SOURCES, beams=beams)], bias.numpy()
    likely = before.copy()
    likely[[vocabulary.id(token) for token in FORBIDDEN_TOKENS]] = 50.0
    bias.assign(likely)
    found = [row["translation"] for row in translated(translator, SOURCES, beams=beams)]
    bias.assign(before)
    assert found == expected


@pytest.mark.parametrize(("sizes", "rows"), [((4, 256, 64, 4), 256), ((4, 256, 128, 4), 128), ((12, 768, 512, 4), 16)])
def test_as_many_rows_together_as_memory_allows(sizes, rows):
    num_layers, hidden_size, max_length, beams = sizes
    config = kbs.BertConfig(num_layers=num_layers, hidden_size=hidden_size)
    model = types.SimpleNamespace(decoder_config=config)
    spec = kbs.Spec("translation", ("source",), max_length, options=options(beams=beams))
    assert TASK.batch_size(spec, model) == rows


@pytest.mark.slow
def test_rows_are_asked_about_together(translator, monkeypatch):
    seen = []

    def batches(lengths, size, windows):
        seen.append(size)
        return sorted_batches(lengths, size, windows)

    monkeypatch.setattr(fine_tuned, "sorted_batches", batches)
    translated(translator, SOURCES[:2])
    translator.evaluation_of({name: values[:2] for name, values in ROWS.items()})
    assert seen == [256, fine_tuned.BATCH_SIZE]  # a loss needs the logits of all positions


ODD = ["rot rot rot rot", "Neu, neu", "xyz", "rot " * 30]


@pytest.mark.slow
def test_one_beam_writes_the_likeliest_token_each_time(translator):
    """Cached keys and values give the same text as recomputation."""
    texts = [*SOURCES[::5], *ODD]
    found = [answer["translation"] for answer in translated(translator, texts, beams=1)]
    assert found == [written_without_a_cache(translator, text) for text in texts]
    assert max(map(len, found)) > 12


@pytest.mark.slow
@pytest.mark.parametrize("beams", [1, 4])
def test_a_batch_of_one_answers_as_a_batch_of_all(translator, beams):
    asked, texts = translator.with_options(options(beams=beams)), [*SOURCES[:3], *ODD, ""]
    together = asked.predict({"source": texts})
    for text, answer in zip(texts, together, strict=True):
        [alone] = asked.predict({"source": [text]})
        assert alone["translation"] == answer["translation"]
        assert alone["score"] == pytest.approx(answer["score"], abs=1e-5)
    assert together[-1]["translation"] == ""


@pytest.mark.slow
def test_alternatives_are_others_the_best_first(translator):
    for text, one, more in zip(
        ODD, translated(translator, ODD), translated(translator, ODD, alternatives=4), strict=True
    ):
        others = more["alternatives"]
        assert (one["translation"], one["score"]) == (more["translation"], pytest.approx(more["score"]))
        scores = [more["score"], *(other["score"] for other in others)]
        assert scores == sorted(scores, reverse=True), text
        assert len({more["translation"], *(other["translation"] for other in others)}) > 2


def test_a_translation_looks_at_its_source(translator):
    """Each target piece distributes its attention over all source pieces, and the weights differ."""
    texts = [text for text in SOURCES if len(text.split()) == 3]
    for answer in translated(translator, texts, alignment=True):
        found = answer["alignment"]
        weights = np.array(found["weights"])
        assert weights.shape == (len(found["target"]), len(found["source"]))
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)
        assert (found["source"][0], found["source"][-1]) == ("[CLS]", "[SEP]")
        assert "".join(found["target"]).replace("##", "") == answer["translation"].replace(" ", "")
        assert weights.std() > 0.02


@pytest.mark.slow
def test_nothing_looks_at_nothing(translator):
    [answer] = translated(translator, [""], alignment=True)
    assert answer["alignment"] == {"source": ["[CLS]", "[SEP]"], "target": [], "weights": []}


@pytest.mark.slow
def test_exported_with_both_vocabularies(translator, tmp_path):
    asked = translator.with_options(options(beams=3, alternatives=2, alignment=True))
    kbs.export_saved_model(asked, tmp_path / "saved", warm_up=False)
    saved = SavedModel(tmp_path / "saved")
    texts = {"source": [*SOURCES[:3], *ODD, ""]}
    for ours, theirs in zip(asked.predict(texts), saved.predict(texts), strict=True):
        assert ours["translation"] == theirs["translation"]
        assert ours["alternatives"][0]["translation"] == theirs["alternatives"][0]["translation"]
        np.testing.assert_allclose(ours["alignment"]["weights"], theirs["alignment"]["weights"], atol=1e-5)


@pytest.fixture(scope="module")
def bert(tmp_path_factory, tokenizer, small) -> Path:
    """A pretrained model's folder."""
    path = tmp_path_factory.mktemp("bert") / "model"
    kbs.BertPretrainer(kbs.BertBackbone(small)).save_pretrained(path, tokenizer)
    return path


def started(bert, out, **chosen) -> kbs.FineTuned:
    how = kbs.FineTuning(**{**QUICK, "epochs": 0.01, "learning_rate": 1e-30})
    rows = {"source": ["the heron", "the otter"], "target": ["heron.", "otter."]}
    kbs.finetune("translation", bert, rows, out, how=how, task_options=chosen)
    return kbs.FineTuned.load(out)


@pytest.mark.usefixtures("eagerly")
def test_both_start_from_a_bert(bert):
    """The decoder's blocks are copies, and it shares the encoder's embeddings; only cross-attention is new."""
    found, weights = started(bert, "run"), read_checkpoint(bert).weights
    held = {variable.path: variable.numpy() for variable in found.model.weights}
    assert not any(name.startswith("decoder_embeddings") for name in held)
    for name, value in held.items():
        if "cross_attention" not in name:
            np.testing.assert_allclose(value, weights[name.replace("decoder_block", "encoder_block")], atol=1e-6)
    new = [value for name, value in held.items() if "cross_attention/" in name and name.endswith("kernel")]
    assert len(new) == 4
    assert all(value.std() > 0.01 for value in new)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_the_decoder_starts_from_another_bert(bert, letters, config):
    other = kbs.BertPretrainer(kbs.BertBackbone(config.replace(vocab_size=57, hidden_size=24, num_heads=3)))
    other.save_pretrained("other", letters)
    found, weights = started(bert, "run", decoder_init="other"), read_checkpoint("other").weights
    assert found.tokenizer.target.vocabulary == letters.vocabulary
    assert found.tokenizer.vocabulary != letters.vocabulary
    held = {variable.path: variable.numpy() for variable in found.model.weights}
    assert held["decoder_block_0/cross_attention/key/kernel"].shape == (16, 24)
    names = [name for name in held if name.startswith(("decoder_", "masked_lm")) and "cross_attention" not in name]
    assert len(names) > 20
    for name in names:
        source = name.replace("decoder_block", "encoder_block").replace("decoder_embeddings", "embeddings")
        np.testing.assert_allclose(held[name], weights[source], atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("make", "chosen", "message"),
    [
        (TASK.Options, {"label_smoothing": 1.0}, "`label_smoothing`: must be at least 0 and below 1, not 1.0"),
        (TASK.PredictionOptions, {"beams": 0}, "`beams`: must be at least 1"),
        (TASK.PredictionOptions, {"length_penalty": float("nan")}, "`length_penalty`: must be a number, not nan"),
        (TASK.PredictionOptions, {"length_penalty": float("inf")}, "`length_penalty`: must be a number, not inf"),
        (TASK.PredictionOptions, {"beams": 2, "alternatives": 3}, r"must be from 1 to 2 \(`beams`\), not 3"),
        (kbs.FineTuning, {"batch_tokens": 64, "max_length": 16}, "`batch_tokens`: must be at least 128, 8 rows of"),
    ],
)
def test_options_out_of_range(make, chosen, message):
    with pytest.raises(kbs.UserError, match=message):
        make(**chosen)
