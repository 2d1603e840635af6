"""Named entities: which words are learnt and scored, the positions of entities in a text, and the official scores."""

import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.data.entity_outputs import entity_outputs
from keras_bert_scratch.tasks.entities import entities_of, entity_scores, strict_entities_of
from keras_bert_scratch.tasks.examples import Examples
from keras_bert_scratch.tasks.registry import get_task
from keras_bert_scratch.text.tagged_words import given_words, split_text

TASK = get_task("ner")
LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def spec_of(max_length: int = 8, overlap: int = 64, **options) -> kbs.Spec:
    return kbs.Spec("ner", ("text",), max_length, LABELS, options={"overlap": overlap, **options})


# --- windows: words are learnt once and answered once


UNEVEN = [[3, 1, 2] * 6, [2, 9, 9, 1]]


@pytest.mark.parametrize("overlap", slow_but([1], [0, 1, 64]))
@pytest.mark.parametrize("sizes", slow_but(UNEVEN, [[1] * 30, *UNEVEN, [1], [20, 1]]))
def test_every_word_is_learnt_in_just_one_window(letters, overlap, sizes):
    words = [["abcdefghijklmnopqrst"[:size] for size in sizes], ["a"]]
    tags = [[(number + 1) % 5 for number in range(len(row))] for row in words]
    spec = spec_of(overlap=overlap)
    data = kbs.TaskData(TASK, spec, Examples("", {"words": words}, {"tags": tags}, ""), letters)
    learnt = []
    for x, y in data.evaluation_batches(4):
        for row, labels in zip(x["token_ids"].numpy(), y.numpy(), strict=True):
            learnt += [(letters.vocabulary.tokens[row[at]], labels[at]) for at in np.flatnonzero(labels >= 0)]
    expected = zip([word[0] for row in words for word in row], [tag for row in tags for tag in row], strict=True)
    assert sorted(learnt) == sorted(expected)
    assert len(data) == data._lengths[1].sum() >= len(words)


def test_training_draws_every_window_of_a_long_sentence(letters):
    rows = {"words": [["a"] * 30, ["b"]], "tags": [["B-X"] * 30, ["O"]]}
    data = kbs.TaskData.read("ner", rows, letters, max_length=8)
    steps = data.steps_per_epoch(5)
    counted = sum(int(tf.reduce_sum(tf.cast(y >= 0, tf.int32))) for _, y in data.training_batches(5).take(steps))
    assert (len(data), steps, counted) == (10, 2, 31)


class Spelling(tf.Module):
    """Stands for a model: a high logit for the tag that the first letter of each word encodes."""

    def __call__(self, inputs, tag_of):
        return tf.one_hot(tf.gather(tf.constant(tag_of), inputs["token_ids"]), len(LABELS)) * 20.0


@pytest.fixture
def answers(letters):
    """The task's answers for texts whose words begin with b or i (a place), p or q (a person), or another letter."""
    tag_of = [0] * len(letters.vocabulary.tokens)
    for letter, tag in zip("bipq", (1, 2, 3, 4), strict=True):
        tag_of[letters.vocabulary.id(letter)] = tag

    def answers(raw, max_length=8):
        spec = spec_of(max_length)
        features = TASK.features(spec, letters, {name: _tensor(values) for name, values in raw.items()})
        decoded = TASK.decode(spec, Spelling()(features.inputs, tag_of), features)
        rows = zip(*(value.numpy().tolist() for value in decoded.values()), strict=True)
        return [TASK.answer(spec, dict(zip(decoded, row, strict=True))) for row in rows]

    return answers


def _tensor(values):
    return tf.ragged.constant(values) if isinstance(values[0], list) else tf.constant(values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bx ix x", [("bx ix", "LOC")]),
        ("ix bx", [("ix", "LOC"), ("bx", "LOC")]),
        ("x, pé; qx", [("pé", "PER"), ("qx", "PER")]),
        ("北 bx\n\tix  北", [("bx\n\tix", "LOC")]),
        ("bx px", [("bx", "LOC"), ("px", "PER")]),
        ("px ix", [("px", "PER"), ("ix", "LOC")]),
        ("a " * 40 + "bx " + "ix " * 9 + "a " * 30, [("bx " + "ix " * 8 + "ix", "LOC")]),
        ("\U0001f600 (bx)", [("bx", "LOC")]),
        ("bx\u200bi", [("bx\u200bi", "LOC")]),
        ("\u202ebx\u202c x", [("bx", "LOC")]),
        ("", []),
        (" \u00a0\u3000 ", []),
    ],
)
def test_entities_are_cut_from_the_text(answers, text, expected):
    answer = answers({"text": ["px", text, "x"]})[1]
    assert [(entity["text"].decode(), entity["type"].decode()) for entity in answer["entities"]] == expected
    for entity in answer["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"].decode()
        assert entity["score"] > 0.99


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ({"words": ["a b"]}, "row 1 has 'a b', which is not a list of strings in the column 'words'"),
        ({"words": [["a"], ["b", 1]]}, r"row 2 has \['b', 1\], which is not a list of strings"),
        ({"text": [["a"]]}, r"row 1 has \['a'\], which is not a string"),
        ({"text": ["a"], "words": [["a"]]}, "not text, words"),
        ({"sentence": ["a"]}, "not sentence"),
    ],
)
def test_what_is_no_text_is_not_answered(letters, raw, named):
    config = kbs.BertConfig(vocab_size=57, num_layers=1, hidden_size=16, num_heads=2)
    model = kbs.BertTokenClassifier(kbs.BertBackbone(config, pooler=False), num_classes=5)
    with pytest.raises(kbs.UserError, match=named):
        kbs.FineTuned(model, letters, spec_of()).predict(raw)


def test_an_entity_ends_with_its_text(answers):
    first, second = answers({"text": ["x bx", "ix x"]})
    assert [len(answer["entities"]) for answer in (first, second)] == [1, 1]


def test_a_score_does_not_depend_on_the_words_before_it():
    words = tf.ragged.constant([["x"] * 20000, ["Rome"]])
    tags, scores = tf.constant([0] * 20000 + [1]), tf.constant([0.7] * 20000 + [0.1])
    assert float(entity_outputs(given_words(words), tags, scores, LABELS)["scores"][1, 0]) == pytest.approx(
        0.1, abs=1e-7
    )


def test_given_words_are_kept_as_they_are(answers):
    (answer,) = answers({"words": [["x.y,z", "bx!", "\u200b", "", "ix"]]})
    assert answer["words"] == [b"x.y,z", b"bx!", "\u200b".encode(), b"", b"ix"]
    # A word without pieces keeps its place, outside all entities.
    assert answer["tags"] == [b"O", b"B-LOC", b"O", b"O", b"I-LOC"]


def test_bytes_are_counted_beside_characters(letters):
    spec = spec_of()
    features = TASK.features(spec, letters, {"text": tf.constant(["é bx"])})
    logits = tf.one_hot([[0, 0, 1, 0]], 5) * 9.0
    decoded = TASK.decode(spec, logits, features)
    found = {name: decoded[name].numpy().tolist() for name in ("starts", "ends", "start_bytes", "end_bytes")}
    assert found == {"starts": [[2]], "ends": [[4]], "start_bytes": [[3]], "end_bytes": [[5]]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5.975,74 and 1,000.5.", ["5.975,74", "and", "1,000.5", "."]),
        ("U.S. (U.N.) e.g. Mr.", ["U.S.", "(", "U.N.", ")", "e.g.", "Mr", "."]),
        ("well-known, 1996-08-30", ["well-known", ",", "1996-08-30"]),
        ("Germany's O'Brien can't", ["Germany", "'s", "O'Brien", "can", "'t"]),
        ("“Paris”—Rome", ["“", "Paris", "”", "—", "Rome"]),
        ("Paris,London", ["Paris", ",", "London"]),
        ("AT&T and/or a@b.de", ["AT&T", "and/or", "a@b.de"]),
        ("北京abc 東", ["北", "京", "abc", "東"]),
        ("a\u00a0b\u2028c\r\nd\te", ["a", "b", "c", "d", "e"]),
        ("$5 #tag @you :-)", ["$", "5", "#", "tag", "@", "you", ":", "-", ")"]),
        ("a\0b Rome", ["a", "b", "Rome"]),
        ("", []),
    ],
)
def test_running_text_is_parted_as_annotated_words_are(text, words):
    found = split_text(tf.constant([text]))
    assert [word.decode() for word in found.words.to_list()[0]] == words
    spans = zip(found.starts.numpy(), found.limits.numpy(), strict=True)
    assert [text.encode()[start:limit].decode() for start, limit in spans] == words


# --- tags and scores


@pytest.mark.parametrize(
    ("tags", "lenient", "strict"),
    [
        ("I-LOC B-LOC", [("LOC", 0, 0), ("LOC", 1, 1)], [("LOC", 1, 1)]),
        ("I-LOC I-LOC", [("LOC", 0, 1)], []),
        ("B-LOC I-PER", [("LOC", 0, 0), ("PER", 1, 1)], [("LOC", 0, 0)]),
        ("B-LOC I-PER I-LOC", [("LOC", 0, 0), ("PER", 1, 1), ("LOC", 2, 2)], [("LOC", 0, 0)]),
        ("O I-LOC O", [("LOC", 1, 1)], []),
        ("B-drug-name I-drug-name", [("drug-name", 0, 1)], [("drug-name", 0, 1)]),
        ("B-LOC B-LOC", [("LOC", 0, 0), ("LOC", 1, 1)], [("LOC", 0, 0), ("LOC", 1, 1)]),
    ],
)
def test_two_readings_of_tags(tags, lenient, strict):
    assert [tuple(entity) for entity in entities_of(tags.split())] == lenient
    assert [tuple(entity) for entity in strict_entities_of(tags.split())] == strict


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("S-LOC B-PER E-PER O", ["B-LOC", "B-PER", "I-PER", "O"]),
        ("S-LOC S-LOC B-LOC I-LOC E-LOC", ["B-LOC", "B-LOC", "B-LOC", "I-LOC", "I-LOC"]),
        ("U-LOC B-PER L-PER L-PER", ["B-LOC", "B-PER", "I-PER", "B-PER"]),
        ("I-LOC I-LOC B-LOC I-PER", ["B-LOC", "I-LOC", "B-LOC", "B-PER"]),
    ],
)
def test_every_scheme_becomes_iob2(tags, expected):
    spec = kbs.Spec("ner", (), 8, options={"overlap": 64, "document_context": False})
    spec, examples = TASK.read({"words": [["a"] * len(expected)], "tags": [tags.split()]}, spec, "fail")
    assert [spec.labels[tag] for tag in examples.gold["tags"][0]] == expected


def scores(true: list[str], predicted: list[str]) -> dict:
    spec = spec_of()
    gold = {"tags": [[LABELS.index(tag) for tag in row.split()] for row in true]}
    rows = [[tag.encode() for tag in row.split()] for row in predicted]
    longest = max(map(len, rows))
    tags = np.array([[*row, *[b""] * (longest - len(row))] for row in rows], object)
    return TASK.score(spec, {"tags": tags, "num_words": np.array([len(row) for row in rows])}, gold)


def test_scores():
    # Two of three entities are found; the value is seqeval's.
    assert scores(["B-LOC O B-PER B-LOC"], ["B-LOC O B-PER O"])["f1"] == pytest.approx(0.8)
    both = scores(["B-LOC I-LOC", "O"], ["I-LOC I-LOC", "O"])
    assert (both["f1"], both["f1_conlleval"], both["accuracy"]) == pytest.approx((0.0, 1.0, 2 / 3))
    # An entity does not cross a sentence boundary.
    crossed = scores(["B-PER", "B-PER"], ["B-PER", "I-PER"])
    assert crossed["f1_conlleval"] == 1.0
    assert scores(["O O"], ["O O"])["f1"] == 0.0
    assert both["by_type"] == {"LOC": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}}


def test_an_entity_counts_once_however_often_its_type_is_there():
    totals, by_type = entity_scores(
        [entities_of(["B-X", "O", "B-X"]), entities_of(["B-X"])], [entities_of(["B-X", "O", "O"]), entities_of(["B-X"])]
    )
    assert (totals["precision"], totals["recall"], by_type["X"]["support"]) == pytest.approx((1.0, 2 / 3, 3))
