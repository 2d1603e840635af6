"""Named entities with a conditional random field, and with document context."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but
from tasks.test_ner import LABELS, TASK, spec_of
from tasks.test_ner_files import read

import keras_bert_scratch as kbs
from keras_bert_scratch.layers.crf import best_tags, tag_probabilities
from keras_bert_scratch.tasks.data.document_context import sentences_with_context

# --- chains of tags


@pytest.mark.parametrize(
    "words", [["a"] * 5, ["a"] * 16, ["abc", "\u200b", "a", "", "b", "a", "abcdefghij"], ["\u200b"]]
)
@pytest.mark.parametrize("overlap", slow_but([64], [0, 64]))
def test_a_crf_tags_a_sentence_as_one_chain(letters, words, overlap):
    """However its words are split into windows; words without pieces are not part of the chain."""
    spec = spec_of(overlap=overlap, crf=True)
    raw = {"words": tf.ragged.constant([["a", "b"], words, ["\u200b"]])}
    features = TASK.features(spec, letters, raw)
    draws = np.random.default_rng(0)
    shape = features.inputs["token_ids"].shape
    logits = draws.normal(size=(*shape, 5)).astype("float32") * 2
    transitions = draws.normal(size=(5, 5)).astype("float32") * 2
    outputs = {"logits": logits, "transitions": tf.constant(np.broadcast_to(transitions, (shape[0], 5, 5)))}
    decoded = TASK.decode(spec, outputs, features)

    read = np.array([number for number, word in enumerate(words) if word.strip("\u200b")], int)
    at = features.notes["at"].numpy()[2:][read]
    assert len(set(map(tuple, at))) == len(read)  # each word has its own position
    expected, probable = np.array(["O"] * len(words), object), np.ones(len(words))
    if len(read):
        chain = (logits[at[:, 0], at[:, 1]][None], transitions[None], np.array([len(read)]))
        best = np.asarray(best_tags(*chain))[0]
        expected[read] = np.array(LABELS, object)[best]
        probable[read] = np.asarray(tag_probabilities(*chain))[0, np.arange(len(read)), best]
    assert [tag.decode() for tag in decoded["tags"].numpy()[1][: len(words)]] == expected.tolist()
    starts = np.cumsum([0, *(len(word) + 1 for word in words[:-1])])
    entities = zip(*(decoded[name].numpy()[1] for name in ("starts", "ends", "scores")), strict=True)
    for start, end, score in list(entities)[: int(decoded["num_entities"][1])]:
        assert score == pytest.approx(np.mean(probable[(starts >= start) & (starts < end)]), rel=1e-5)


# --- the context of a sentence

DOCUMENTS = {
    "words": [["a", "bc"], ["d"], ["ef", "g"], ["h"]],
    "tags": [["B-LOC", "O"], ["O"], ["O", "O"], ["O"]],
    "document": ["1", "1", "1", "2"],
}


def pieces(tokenizer, ids) -> str:
    return " ".join(tokenizer.vocabulary.tokens[token] for token in ids if token)


def test_neighbours_of_the_document_fill_up_the_row(letters):
    """Both sides get equal room, or one gets what the other leaves; each word is learnt once, in its own sentence."""
    spec, examples = read(DOCUMENTS, document_context=True)
    rows = []
    for x, y in kbs.TaskData(TASK, spec, examples, letters).evaluation_batches(1):
        learnt = [letters.vocabulary.tokens[token] for token in x["token_ids"].numpy()[0][y.numpy()[0] >= 0]]
        rows.append((pieces(letters, x["token_ids"].numpy()[0]), learnt))
    assert sorted(rows) == sorted(
        [
            ("[CLS] a b ##c d e ##f [SEP]", ["a", "b"]),
            ("[CLS] b ##c d e ##f g [SEP]", ["d"]),
            ("[CLS] b ##c d e ##f g [SEP]", ["e", "g"]),
            ("[CLS] h [SEP]", ["h"]),
        ]
    )


@pytest.mark.parametrize(
    ("own", "before", "after", "rows"),
    [
        (1, 9, 9, ["y y x z z z"]),
        (1, 9, 1, ["y y y y x z"]),
        (1, 1, 9, ["y x z z z z"]),
        (6, 9, 9, ["x x x x x x"]),
        (8, 9, 9, ["x x x x x x", "x x x x x z"]),  # only the ends of a long sentence have neighbours
        (7, 9, 9, ["x x x x x x", "x x x x z z"]),
        (2, 0, 0, ["x x"]),
        (0, 2, 2, ["y y z z"]),
    ],
)
def test_how_much_is_shown_around(letters, own, before, after, rows):
    spec = spec_of(overlap=3, document_context=True)
    words = [["x"] * own, ["k"]]
    raw = {"words": tf.ragged.constant(words, dtype=tf.string), "text_before": ["y " * before, ""]}
    raw |= {"text_after": ["z " * after, "l"]}
    raw = {name: tf.convert_to_tensor(value) if isinstance(value, list) else value for name, value in raw.items()}
    whole = TASK.features(spec, letters, raw)
    found = [pieces(letters, row) for row in whole.inputs["token_ids"].numpy()]
    assert found == [f"[CLS] {row} [SEP]" for row in [*rows, "k l"]]
    for number in range(len(rows)):
        chosen = TASK.features(spec, letters, raw, tf.constant([number, 0]))
        assert pieces(letters, chosen.inputs["token_ids"].numpy()[0]) == found[number]
    for features in (whole, chosen):
        at, read = features.notes["at"].numpy(), features.notes["read"].numpy()
        ids = [features.inputs["token_ids"].numpy()[tuple(position)] for position in at[read]]
        assert set(pieces(letters, ids).split()) <= {"x", "k"}


def test_a_file_is_asked_about_with_what_it_is_measured_with():
    """All formats of the same documents give the same context, in evaluation and in prediction."""
    conll = "-DOCSTART- O\n\na B-LOC\nbc O\n\nd O\n\nef O\ng O\n-DOCSTART- O\nh O"
    Path("a.conll").write_text(conll)
    rows = [dict(zip(DOCUMENTS, row, strict=True)) for row in zip(*DOCUMENTS.values(), strict=True)]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    expected = {
        "words": DOCUMENTS["words"],
        "text_before": ["", "a bc", "a bc d", ""],
        "text_after": ["d ef g", "ef g", "", ""],
    }
    for source in ("a.conll", "a.jsonl", DOCUMENTS):
        spec, examples = read(source, document_context=True)
        assert examples.raw == expected
        if source is not DOCUMENTS:
            asked = list(TASK.unlabelled(source, spec))
            assert {name: [row[name] for row in asked] for name in asked[0]} == expected
    assert read(DOCUMENTS)[1].raw == {"words": DOCUMENTS["words"]}
    assert read(DOCUMENTS)[1].digest != examples.digest


def test_without_documents_a_file_is_one(caplog):
    Path("a.conll").write_text("a B-LOC\n\nb O\n")
    with caplog.at_level("WARNING"):
        spec, examples = read("a.conll", document_context=True)
        assert (
            [row["text_after"] for row in TASK.unlabelled("a.conll", spec)] == examples.raw["text_after"] == ["b", ""]
        )
    said = (
        "a.conll: has no document boundaries (lines with -DOCSTART-, or a column 'document'); "
        "its sentences are treated as one document"
    )
    assert [record.getMessage() for record in caplog.records] == [said, said]
    caplog.clear()
    Path("t.jsonl").write_text('{"text": "a b"}\n{"text": "c"}\n')
    assert list(TASK.unlabelled("t.jsonl", spec)) == [{"text": "a b"}, {"text": "c"}]  # running texts get no context
    assert not caplog.records


@pytest.mark.parametrize("num_words", [1, 3, 5, 100])
def test_surroundings_are_the_nearest_words(num_words):
    draws = np.random.default_rng(0)
    documents = [[[f"{number}.{at}" for at in range(draws.integers(1, 6))] for number in range(7)] for _ in range(3)]
    stream = ((key, words) for key, sentences in enumerate(documents) for words in sentences)
    found = sentences_with_context(stream, num_words)
    for sentences in documents:
        for number, sentence in enumerate(sentences):
            before = [word for words in sentences[:number] for word in words][-num_words:]
            after = [word for words in sentences[number + 1 :] for word in words][:num_words]
            assert next(found) == (sentence, " ".join(before), " ".join(after))
    assert not list(found)


def test_sentences_are_not_kept_longer_than_needed():
    """In an endless document, only as many sentences are read ahead as the requested words need."""
    read_ahead = []

    def endless():
        while True:
            read_ahead.append(1)
            yield "document", ["a", "b"]

    found = sentences_with_context(endless(), 5)
    for number in range(50):
        next(found)
        assert len(read_ahead) <= number + 4


@pytest.mark.parametrize(
    ("context", "columns", "named"),
    [
        (False, ("words", "text_before", "text_after"), "not words, text_before, text_after"),
        (True, ("words", "text_before"), "optionally with 'text_before' and 'text_after', not words, text_before"),
        (True, ("text_before", "text_after"), "not text_before, text_after"),
    ],
)
def test_columns_of_context_that_cannot_be(context, columns, named):
    with pytest.raises(kbs.UserError, match=named):
        TASK.check_columns(spec_of(document_context=context), dict.fromkeys(columns))
    TASK.check_columns(spec_of(document_context=True), dict.fromkeys(("text", "text_before", "text_after")))
