"""Classification of texts that are longer than a row: windows, pooled logits, and the exported SavedModel."""

import numpy as np
import pytest
from fast_and_slow import slow_but

import keras_bert_scratch as kbs
from keras_bert_scratch.serving.saved_model import SavedModel
from keras_bert_scratch.tasks.registry import get_task

TASK = get_task("classification")
WORDS = "abcdefghijklmnopqrstuvwxyz"
TEXTS = ["a b", " ".join(WORDS), "", "a b c d e f", "a b c d e f g"]


def options(**changes) -> dict:
    return {**vars(TASK.Options()), "class_weights": None, **changes}


def model_of(small, letters, **changes) -> kbs.FineTuned:
    config = small.replace(vocab_size=len(letters.vocabulary), initializer_range=0.5)
    model = kbs.BertTextClassifier(kbs.BertBackbone(config), num_classes=2, label_names=("no", "yes"))
    spec = kbs.Spec("classification", ("text",), 8, ("no", "yes"), options=options(**changes))
    return kbs.FineTuned(model, letters, spec)


def logits(model: kbs.FineTuned, text: str) -> np.ndarray:
    """The logits of a text that fits into a row."""
    ids = [2, *(model.tokenizer.vocabulary.id(word) for word in text.split()), 3]
    inputs = {"token_ids": [ids], "segment_ids": [[0] * len(ids)], "padding_mask": [[1] * len(ids)]}
    return model.model({name: np.array(values, "int32") for name, values in inputs.items()}).numpy()[0]


@pytest.mark.parametrize("overlap", slow_but([2], [0, 2, 99]))
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_logits_of_all_windows_are_pooled(small, letters, pooling, overlap):
    model = model_of(small, letters, long_texts=pooling, overlap=overlap)
    step = 6 - min(overlap, 3)
    for text, answer in zip(TEXTS, model.predict({"text": TEXTS}), strict=True):
        words = text.split()
        starts = range(0, max(len(words) - 6, 0) + step, step) if len(words) > 6 else [0]
        found = [logits(model, " ".join(words[start : start + 6])) for start in starts]
        pooled = np.mean(found, axis=0) if pooling == "mean" else np.max(found, axis=0)
        expected = np.exp(pooled) / np.exp(pooled).sum()
        assert [answer["scores"]["no"], answer["scores"]["yes"]] == pytest.approx(expected, abs=1e-5)


def test_a_text_that_fits_is_read_as_without_windows(small, letters):
    plain, windowed = (model_of(small, letters, long_texts=how) for how in ("cut", "mean"))
    windowed = kbs.FineTuned(plain.model, letters, windowed.spec)
    found = [model.predict({"text": TEXTS}) for model in (plain, windowed)]
    for text, one, other in zip(TEXTS, *found, strict=True):
        same = one["scores"]["no"] == pytest.approx(other["scores"]["no"], abs=1e-6)
        assert same == (len(text.split()) <= 6)


def test_every_window_learns_the_label_of_its_text(letters):
    rows = {"text": [TEXTS[1], "a b"], "label": ["yes", "no"]}
    spec = kbs.Spec("classification", (), 8, options={**vars(TASK.Options()), "long_texts": "mean", "overlap": 0})
    data = kbs.TaskData(TASK, *TASK.read(rows, spec), letters)
    assert len(data) == 6
    seen = []
    for inputs, labels in data.training_batches(2).take(3).as_numpy_iterator():
        for row, label in zip(inputs["token_ids"], labels, strict=True):
            seen.append(("".join(letters.vocabulary.tokens[token] for token in row if token > 4), int(label)))
    windows = [WORDS[start : start + 6] for start in range(0, 26, 6)]
    assert sorted(seen) == sorted([*((window, 1) for window in windows), ("ab", 0)])


@pytest.mark.slow
def test_what_stands_at_the_end_of_a_long_text_is_learnt(small, letters, tmp_path):
    """The decisive word is beyond the first row; the exported model finds it, too."""
    draws = np.random.default_rng(0)
    texts = [" ".join(draws.choice(list("abcdefgh"), 9)) + (" x" if number % 2 else " y") for number in range(96)]
    labels = ["yes" if text[-1] == "x" else "no" for text in texts]
    rows, others = ({"text": texts[some], "label": labels[some]} for some in (slice(48), slice(48, 96)))
    config = small.replace(vocab_size=len(letters.vocabulary), initializer_range=0.2)
    found = {}
    for pooling in ("cut", "max"):
        how = kbs.FineTuning(epochs=12, batch_size=8, max_length=8, learning_rate=1e-2, bias_correction=True)
        chosen = {"long_texts": pooling, "overlap": 0}
        kbs.finetune("classification", config, rows, pooling, others, how, task_options=chosen, tokenizer=letters)
        found[pooling] = kbs.evaluate(pooling, others)["accuracy"]
    assert found["cut"] < 0.8
    assert found["max"] > 0.9
    model = kbs.FineTuned.load("max")
    assert model.spec.options["long_texts"] == "max"
    kbs.export_saved_model(model, tmp_path / "saved", warm_up=False)
    saved = SavedModel(tmp_path / "saved").predict({"text": [*texts[:5], ""]})
    assert [answer["label"] for answer in saved] == [
        answer["label"] for answer in model.predict({"text": [*texts[:5], ""]})
    ]


@pytest.mark.parametrize(
    ("chosen", "rows", "message"),
    [
        ({"long_texts": "sum"}, {"text": ["a"]}, "`long_texts`: 'sum' is unknown; choose one of cut, mean, max"),
        ({"overlap": -1}, {"text": ["a"]}, "`overlap`: must be at least 0, not -1"),
        ({"long_texts": "max"}, {"text": ["a"], "text_pair": ["b"]}, "`long_texts`: works for single texts only"),
    ],
)
def test_refused(small, letters, chosen, rows, message):
    with pytest.raises(kbs.UserError, match=message):
        kbs.finetune("classification", small, {**rows, "label": ["x"]}, "run", task_options=chosen, tokenizer=letters)
