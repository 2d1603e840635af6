"""Models whose labels follow any tag scheme, as other programs' do: answers and scores are in IOB2."""

import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.entities import Entity
from keras_bert_scratch.tasks.registry import get_task
from keras_bert_scratch.tasks.tag_schemes import tags_in_scheme

TASK = get_task("ner")
IOB2 = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
BIOES = ("O", *(f"{prefix}-{type_}" for type_ in ("PER", "LOC") for prefix in "BIES"))
BILOU = ("B-LOC", "I-LOC", "L-LOC", "U-LOC", "O", "B-PER", "I-PER", "L-PER", "U-PER")
IOB1 = ("O", "B-LOC", "I-LOC", "I-PER")  # as from CoNLL-2003's training data, where no person follows another directly


def spec_of(labels: tuple[str, ...]) -> kbs.Spec:
    return kbs.Spec("ner", ("text",), 16, labels, options={"overlap": 4})


@pytest.mark.parametrize(
    ("labels", "predicted", "iob2"),
    [
        (BIOES, "S-PER S-PER O B-LOC E-LOC", "B-PER B-PER O B-LOC I-LOC"),
        (BIOES, "B-PER I-PER E-PER I-PER S-LOC", "B-PER I-PER I-PER B-PER B-LOC"),
        (BIOES, "S-PER B-LOC E-LOC E-LOC O", "B-PER B-LOC I-LOC B-LOC O"),
        (BILOU, "U-PER U-PER O B-LOC L-LOC", "B-PER B-PER O B-LOC I-LOC"),
        (BILOU, "B-PER I-PER L-PER B-PER L-PER", "B-PER I-PER I-PER B-PER I-PER"),
        (IOB1, "I-PER I-LOC O I-LOC B-LOC", "B-PER B-LOC O B-LOC B-LOC"),
        (("O", "I-LOC", "I-PER"), "I-PER I-PER O I-LOC I-LOC", "B-PER I-PER O B-LOC I-LOC"),
        # Those of a model of IOB2 stay as they are, so that the strict scores can be computed.
        (IOB2, "I-PER I-PER O B-LOC I-LOC", "I-PER I-PER O B-LOC I-LOC"),
        (("O", "B-LOC", "I-LOC", "B-PER"), "B-PER B-PER O I-LOC I-LOC", "B-PER B-PER O I-LOC I-LOC"),
    ],
)
def test_tags_of_any_scheme_are_answered_as_iob2(letters, labels, predicted, iob2):
    spec = spec_of(labels)
    words = ["a", "b", "c", "d", "e"]
    features = TASK.features(spec, letters, {"words": tf.ragged.constant([words])})
    logits = tf.one_hot([[0, *map(labels.index, predicted.split()), 0]], len(labels)) * 9.0
    decoded = {name: value.numpy() for name, value in TASK.decode(spec, logits, features).items()}
    assert [tag.decode() for tag in decoded["tags"][0]] == iob2.split()
    found = [entity.decode().replace(" ", "") for entity in decoded["entities"][0]]
    expected = TASK.read({"words": [words], "tags": [predicted.split()]}, spec_of(()), "fail")
    assert len(found) == sum(expected[0].labels[tag].startswith("B-") for tag in expected[1].gold["tags"][0])
    assert "".join(found) == "".join(word for word, tag in zip(words, predicted.split(), strict=True) if tag != "O")


GOLD = {
    "words": [["a", "b", "c", "d", "e"], ["f", "g", "h"], ["i"]],
    "tags": [["B-PER", "B-LOC", "O", "B-LOC", "B-LOC"], ["B-PER", "I-PER", "I-PER"], ["O"]],
}


@pytest.mark.parametrize(
    ("labels", "own"),
    [
        (IOB2, "B-PER B-LOC O B-LOC B-LOC B-PER I-PER I-PER O"),
        (BIOES, "S-PER S-LOC O S-LOC S-LOC B-PER I-PER E-PER O"),
        (BILOU, "U-PER U-LOC O U-LOC U-LOC B-PER I-PER L-PER O"),
        (IOB1, "I-PER I-LOC O I-LOC B-LOC I-PER I-PER I-PER O"),
    ],
)
def test_a_model_of_any_scheme_that_is_right_has_the_best_scores(letters, labels, own):
    spec, examples = TASK.read(GOLD, spec_of(labels), "fail")
    features = TASK.features(spec, letters, {"words": tf.ragged.constant(GOLD["words"])})
    gold = {name: tf.ragged.constant(rows) for name, rows in examples.gold.items()}
    targets, _ = TASK.targets(spec, features, gold, training=False)
    assert [labels[number] for number in targets.numpy()[targets.numpy() >= 0]] == own.split()
    decoded = TASK.decode(spec, tf.one_hot(targets, len(labels)) * 9.0, features)
    scores = TASK.score(spec, {name: value.numpy() for name, value in decoded.items()}, examples.gold)
    assert (scores["f1"], scores["f1_conlleval"], scores["accuracy"]) == (1.0, 1.0, 1.0)
    assert scores["by_type"]["LOC"]["support"] == 3
    assert [TASK.gold_of(spec, {"tags": row}) for row in examples.gold["tags"]] == GOLD["tags"]


@pytest.mark.parametrize(
    ("labels", "entities", "expected"),
    [
        (("O", "I-LOC"), [("LOC", 0, 0), ("LOC", 1, 2)], "I-LOC I-LOC I-LOC"),
        (("O", "S-LOC"), [("LOC", 0, 2)], "S-LOC S-LOC S-LOC"),
        (("O", "B-LOC"), [("LOC", 0, 1)], "B-LOC B-LOC O"),
    ],
)
def test_labels_that_cannot_express_an_entity_give_the_nearest_tags(labels, entities, expected):
    assert tags_in_scheme([Entity(*entity) for entity in entities], 3, labels) == expected.split()


@pytest.mark.parametrize("labels", [("O", "I-PER", "I-LOC"), BIOES])
@pytest.mark.usefixtures("eagerly")
def test_another_program_s_model_of_any_scheme_is_evaluated(small, tokenizer, labels):
    kbs.BertTokenClassifier(kbs.BertBackbone(small), len(labels), labels).save_pretrained("model", tokenizer)
    model = kbs.FineTuned.load("model")
    found = model.evaluation_of({"words": [["heron", "otter"]], "tags": [["B-PER", "I-PER"]]})
    assert np.isfinite(found.results["loss"])
    assert found.lines[0]["gold"] == ["B-PER", "I-PER"]
    assert set(found.lines[0]["tags"]) <= {"O", "B-PER", "I-PER", "B-LOC", "I-LOC"}
