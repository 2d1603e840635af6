"""Multiple choice: one row for each choice, absent choices, and how contexts are truncated."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.registry import get_task

TASK = get_task("choice")
SPEC = kbs.Spec("choice", ("context", "choices"), 10)


@pytest.fixture(scope="module")
def letters() -> kbs.BertTokenizer:
    """A tokenizer with a piece for each letter."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters))
    return kbs.BertTokenizer(kbs.Vocabulary(tokens), lowercase=True)


@pytest.fixture(scope="module")
def tuned(letters) -> kbs.FineTuned:
    config = kbs.BertConfig(vocab_size=57, num_layers=1, hidden_size=16, num_heads=2)
    return kbs.FineTuned(kbs.BertMultipleChoice(kbs.BertBackbone(config)), letters, SPEC)


def rows_of(letters, context: str, choices: list[str]) -> list[str]:
    """The rows of one question, as text."""
    raw = {"context": tf.constant([context]), "choices": tf.ragged.constant([choices])}
    tokens = np.array(letters.vocabulary.tokens)[TASK.features(SPEC, letters, raw).inputs["token_ids"].numpy()[0]]
    return [" ".join(token.removeprefix("##") for token in row if token != "[PAD]") for row in tokens]


@pytest.mark.parametrize(
    ("context", "choices", "expected"),
    [
        ("ab", ["c", "de"], ["[CLS] a b [SEP] c [SEP]", "[CLS] a b [SEP] d e [SEP]"]),
        # Seven pieces fit: the context is truncated to fit the longest choice, and equally for the others.
        ("abcdef", ["x", "uvw"], ["[CLS] a b c d [SEP] x [SEP]", "[CLS] a b c d [SEP] u v w [SEP]"]),
        ("abcdef", ["x", "stuvwxyz"], ["[CLS] a b c d [SEP] x [SEP]", "[CLS] a b c d [SEP] s t u [SEP]"]),
        ("a", ["x", "stuvwxyz"], ["[CLS] a [SEP] x [SEP]", "[CLS] a [SEP] s t u v w x [SEP]"]),
        ("", ["x", ""], ["[CLS] [SEP] x [SEP]", "[CLS] [SEP] [SEP]"]),
    ],
)
def test_the_context_is_cut_alike_beside_all_choices(letters, context, choices, expected):
    assert rows_of(letters, context, choices) == expected


def test_segments_and_absent_choices(letters):
    raw = {"context": tf.constant(["a", "b"]), "choices": tf.ragged.constant([["c"], ["d", "ef"]])}
    inputs = {name: value.numpy().tolist() for name, value in TASK.features(SPEC, letters, raw).inputs.items()}
    assert inputs["padding_mask"][0] == [[1] * 5 + [0], [0] * 6]
    assert inputs["segment_ids"][1] == [[0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 1]]
    assert inputs["token_ids"][0][1] == [0] * 6


def test_two_and_four_choices_share_a_batch(tuned):
    questions = {"context": ["a", "bc", "d"], "choices": [["e", "f"], ["g", "h", "ij", "k"], ["l", "m"]]}
    together = tuned.predict(questions)
    assert [len(answer["scores"]) for answer in together] == [2, 4, 2]
    for number, answer in enumerate(together):
        (alone,) = tuned.predict({name: values[number : number + 1] for name, values in questions.items()})
        assert alone["scores"] == pytest.approx(answer["scores"], abs=1e-6)
        assert sum(alone["scores"]) == pytest.approx(1.0)
        assert answer["choice"] == questions["choices"][number][answer["label"]]


def test_an_absent_choice_is_not_learnt_from(tuned):
    """A question with two choices has the same loss when its batch also holds a question with four."""
    questions = {"context": ["a", "b"], "choices": [["e", "f"], ["g", "h", "i", "k"]], "label": [1, 2]}
    losses = []
    for number in range(2):
        _, examples = TASK.read({name: values[number : number + 1] for name, values in questions.items()}, SPEC)
        losses.append(tuned.evaluate(examples)["loss"])
    _, both = TASK.read(questions, SPEC)
    assert tuned.evaluate(both)["loss"] == pytest.approx(np.mean(losses), abs=1e-4)
    assert tuned.evaluate(both)["random_guess"] == pytest.approx(0.375)


def test_labels_are_numbers_or_letters():
    rows = [{"context": "a", "choices": ["b", "c"], "label": 1}, {"context": "a", "choices": ["b", "c"], "label": "B"}]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    spec, examples = TASK.read("a.jsonl", kbs.Spec("choice", (), 10))
    assert examples.gold["label"].tolist() == [1, 1]
    Path("race.jsonl").write_text(json.dumps({"question": "a", "options": ["b", "c"], "answer": "A"}))
    assert TASK.read("race.jsonl", spec)[1].gold["label"].tolist() == [0]
    assert next(iter(TASK.unlabelled("a.jsonl", spec))) == {"context": "a", "choices": ["b", "c"]}


@pytest.mark.parametrize(
    ("choices", "label", "named"),
    [
        (["b"], 0, "has 1 choices"),
        (["b", "c"], 2, "has the label '2', but 2 choices; write the index of the right choice, from 0 to 1"),
        (["b", "c"], -1, "'-1'"),
        (["b", "c"], "C", "'C'"),
        (["b", "c"], 0.5, "'0.5'"),
        (["b", " "], 0, "empty choice"),
        ("b c", 0, "not a list of strings"),
    ],
)
def test_what_is_wrong_is_named(choices, label, named):
    row = {"context": "a", "choices": choices, "label": label}
    good = {"context": "a", "choices": ["b", "c"], "label": 0}
    Path("bad.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(row)}")
    with pytest.raises(kbs.UserError, match=rf"bad\.jsonl: line 2 .*{named}"):
        TASK.read("bad.jsonl", SPEC)
    _, examples = TASK.read("bad.jsonl", SPEC, "skip")
    assert (len(examples), sum(examples.skipped.values())) == (1, 1)


def test_choices_may_come_in_tuples(tuned):
    raw = {"context": ["a"], "choices": [("b", "c")]}
    (answer,) = tuned.predict(raw)
    assert tuned.evaluate(TASK.read({**raw, "label": [answer["label"]]}, SPEC)[1])["accuracy"] == 1


def test_choices_that_are_no_list_are_not_answered(tuned):
    with pytest.raises(kbs.UserError, match="row 2 has no choices; give at least two"):
        tuned.predict({"context": ["a", "b"], "choices": [["a", "b"], []]})
    with pytest.raises(kbs.UserError, match="row 1 has 'b', which is not a list of strings in the column 'choices'"):
        tuned.predict({"context": ["a"], "choices": ["b"]})
