"""Distillation: the losses against their formulas, cached teacher outputs, and matching of layers."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but
from scipy.special import log_softmax, softmax
from tasks.conftest import QUICK, run_file, tuned

import keras_bert_scratch as kbs
from keras_bert_scratch.layers.dropout import dropout_seed_scope
from keras_bert_scratch.models.distiller import Distiller
from keras_bert_scratch.models.soft_objectives import (
    distillation_objective,
    multi_label_distillation_objective,
    regression_distillation_objective,
)
from keras_bert_scratch.tasks import teacher_outputs as outputs_module
from keras_bert_scratch.tasks.distillation import Distillation, distill
from keras_bert_scratch.tasks.teacher_outputs import TeacherOutputs, teacher_outputs
from keras_bert_scratch.training.options import RunOptions

LOGITS = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32") * 3


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_the_loss_is_the_divergence_of_both_softened(temperature):
    teacher, student = LOGITS
    loss, same = distillation_objective("logits", temperature).loss(teacher, {"logits": student})
    p, log_q = softmax(teacher / temperature, axis=-1), log_softmax(student / temperature, axis=-1)
    expected = temperature**2 * (p * (np.log(p) - log_q)).sum(axis=-1)  # summed over classes
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_array_equal(same, teacher.argmax(-1) == student.argmax(-1))


def test_the_gradient_keeps_its_size_when_temperatures_rise():
    """Without the squared temperature, the gradient would at least halve with each doubling of the temperature."""
    teacher, student = LOGITS
    sizes = []
    for temperature in (1.0, 4.0, 16.0, 64.0):
        with tf.GradientTape() as tape:
            logits = tf.constant(student)
            tape.watch(logits)
            loss, _ = distillation_objective("logits", temperature).loss(teacher, {"logits": logits})
        sizes.append(float(tf.norm(tape.gradient(loss, logits))))
    # In the limit it is the gradient of half the squared distance of centred logits, divided by the number of classes
    # (Hinton et al., equation 4).
    centred = [values - values.mean(axis=-1, keepdims=True) for values in (student, teacher)]
    assert sizes[-1] == pytest.approx(np.linalg.norm(centred[0] - centred[1]) / 4, rel=0.05)
    assert min(sizes) > 0.4 * max(sizes)


def test_a_student_that_says_the_same_has_no_loss():
    for objective in (
        distillation_objective("logits", 3.0),
        multi_label_distillation_objective("logits", 3.0),
        regression_distillation_objective("logits"),
    ):
        loss, _ = objective.loss(LOGITS[0], {"logits": LOGITS[0]})
        np.testing.assert_allclose(loss, 0.0, atol=1e-5)


def test_labels_by_themselves():
    teacher, student = LOGITS
    loss, _ = multi_label_distillation_objective("logits", 2.0).loss(teacher, {"logits": student})
    p, q = (1 / (1 + np.exp(-values.astype("float64") / 2)) for values in (teacher, student))
    expected = 4 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    np.testing.assert_allclose(loss, expected, rtol=1e-3, atol=1e-5)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_BERT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, small, tokenizer, animals) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "run"
    config = small.replace(num_layers=2, hidden_size=32, intermediate_size=64, initializer_range=0.1)
    tuned(config, tokenizer, animals, out, animals, epochs=8, learning_rate=5e-3)
    return out


HOW = kbs.FineTuning(**{**QUICK, "epochs": 6.0, "learning_rate": 1e-2})


@pytest.mark.slow
def test_a_student_learns_from_texts_without_labels(teacher, small, animals, tokenizer):
    """It learns from the teacher's answers alone; labels are ignored, even wrong ones in the table."""
    taught = kbs.evaluate(teacher, animals)
    wrong = {"text": animals["text"], "label": ["x"] * len(animals["text"])}
    run = distill(teacher, small.replace(initializer_range=0.1), wrong, "student", dev=animals, how=HOW)
    assert taught["accuracy"] > 0.9
    assert kbs.evaluate("student", animals)["accuracy"] > taught["accuracy"] - 0.1
    assert run.results["dev"]["accuracy"] > taught["accuracy"] - 0.1
    assert 0 < run.results["dev"]["loss"] < 1  # against the labels, as in every run of the task
    student = kbs.FineTuned.load("student")
    assert student.spec == kbs.FineTuned.load(teacher).spec
    assert len(student.model.backbone.encoder_blocks) == 1
    log = Path("student/metrics.csv").read_text().splitlines()
    assert "logits_agreement" in log[0]


@pytest.mark.slow
def test_what_the_teacher_says_is_what_is_measured(teacher, animals, monkeypatch):
    model = kbs.FineTuned.load(teacher)
    said = teacher_outputs(model, {"text": animals["text"]}, "rows")
    answers = model.predict({"text": animals["text"]})
    scores = softmax(said.values["logits"], axis=-1)
    for row, answer in zip(scores, answers, strict=True):
        assert row == pytest.approx(list(answer["scores"].values()), abs=1e-6)

    def computed(*arguments):
        raise AssertionError("is in the cache")

    monkeypatch.setattr(outputs_module, "_computed", computed)
    again = teacher_outputs(model, {"text": animals["text"]}, "rows")
    np.testing.assert_array_equal(again.values["logits"], said.values["logits"])
    with pytest.raises(AssertionError, match="is in the cache"):  # other texts are not in the cache
        teacher_outputs(model, {"text": animals["text"][:1]}, "rows")
    model.model.weights[0].assign(model.model.weights[0] * 1.001)
    with pytest.raises(AssertionError, match="is in the cache"):  # nor is another model
        teacher_outputs(kbs.FineTuned(model.model, model.tokenizer, model.spec), {"text": animals["text"]}, "rows")


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_logits_of_several_teachers_are_averaged(teacher, small, animals, tokenizer):
    other = small.replace(initializer_range=0.3)
    tuned(other, tokenizer, animals, "second", epochs=0.2)
    said = [
        teacher_outputs(kbs.FineTuned.load(path), {"text": animals["text"]}, "rows") for path in (teacher, "second")
    ]
    mean = said[0].averaged_with(said[1:])
    expected = (said[0].values["logits"] + said[1].values["logits"]) / 2
    np.testing.assert_allclose(mean.values["logits"], expected, rtol=1e-6)
    how = kbs.FineTuning(batch_size=8, max_length=32, epochs=0.2)
    run = distill([teacher, "second"], small, {"text": animals["text"]}, "student", how=how)
    assert run.results["steps"] == 2
    assert run_file("student")["settings"]["training"]["bias_correction"]  # as for every model with random weights


ROWS = {
    "ner": {"words": [["the", "heron"], ["an", "otter", "and", "a", "heron", "swim"]] * 4},
    "qa": {"question": ["which"] * 4, "context": ["the heron and the otter", "an otter"] * 2},
    "choice": {"context": ["a bird"] * 16, "choices": [["heron", "otter"], ["heron", "otter", "day"]] * 8},
    "multi-label": {"text": ["the heron", "the otter"] * 4},
    "regression": {"text": ["the heron", "the otter"] * 4},
    "pair-classification": {"text": ["the heron"] * 4, "text_pair": ["the otter"] * 4},
}
LABELS = {
    "ner": {"tags": [["O", "B-X"], ["O", "B-X", "O", "O", "B-X", "O"]] * 4},
    "qa": {"answers": [[{"text": "heron", "answer_start": 4}], [{"text": "otter", "answer_start": 3}]] * 2},
    "choice": {"label": [0, 1] * 8},
    "multi-label": {"labels": [["a"], ["b"]] * 4},
    "regression": {"score": [1.5, -0.5] * 4},
    "pair-classification": {"label": ["x", "y"] * 2},
}


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("task", slow_but([], ROWS))
def test_every_task_that_has_logits(task, small, tokenizer):
    """The teacher has random weights; a student of the same size ends nearer to its logits than it began."""
    data = {**ROWS[task], **LABELS[task]}
    chosen = {"task_options": {"max_question_length": 8}} if task == "qa" else {}
    wide = small.replace(initializer_range=0.3, hidden_dropout=0.0, attention_dropout=0.0)
    length = {"max_length": 8} if task == "ner" else {}  # splits texts into windows
    tuned(wide, tokenizer, data, "teacher", epochs=0.01, task=task, **chosen, **length)
    distances = {}
    for out, changes in {"began": {"epochs": 0.01, "learning_rate": 1e-30}, "ended": {"epochs": 6.0}}.items():
        how = kbs.FineTuning(**{**QUICK, "batch_size": 4, "learning_rate": 1e-2, **length, **changes})
        distill("teacher", wide, ROWS[task], out, how=how, seed=1)
        said = [teacher_outputs(kbs.FineTuned.load(path), ROWS[task], entries(task)) for path in ("teacher", out)]
        distances[out] = np.mean([distance(task, name, *said) for name in said[0].values])
    assert distances["ended"] < 0.8 * distances["began"], distances


def entries(task: str) -> str:
    return {"ner": "tokens", "qa": "tokens", "choice": "choices"}.get(task, "rows")


def distance(task: str, name: str, *said: TeacherOutputs) -> float:
    """Mean distance of logits; logits of one softmax, such as those of a question's choices, are centred first."""
    parts = []
    for one in said:
        values = np.split(one.values[name], np.cumsum(one.sizes)[:-1])
        if task in ("ner", "pair-classification"):
            values = [part - part.mean(axis=-1, keepdims=True) for part in values]
        elif task in ("qa", "choice"):
            values = [part - part.mean() for part in values]
        parts.append(np.concatenate(values))
    return float(np.abs(parts[0] - parts[1]).mean())


def by_hand(student, teacher, inputs, hidden, attention):
    """Distances of hidden states and attention, in numpy, for a student and a teacher of equal hidden size."""
    ours, theirs = (model.backbone.look_inside(inputs) for model in (student, teacher))
    states = np.mean(
        [((ours["layer_outputs"][i] - theirs["layer_outputs"][j]).numpy() ** 2).mean(-1) for i, j in hidden], axis=0
    )
    weights = np.mean(
        [
            ((ours["attention_weights"][i - 1] - theirs["attention_weights"][j - 1]).numpy() ** 2).sum(-1).mean(1)
            for i, j in attention
        ],
        axis=0,
    )
    return states, weights


INPUTS = {
    "token_ids": np.array([[2, 40, 41, 42, 3], [2, 50, 3, 0, 0]], "int32"),
    "segment_ids": np.zeros((2, 5), "int32"),
    "padding_mask": np.array([[1] * 5, [1, 1, 1, 0, 0]], "int32"),
}


def pair(small, teacher_width=16) -> tuple:
    config = small.replace(initializer_range=0.3, hidden_dropout=0.0, attention_dropout=0.0)
    wide = config.replace(num_layers=3, hidden_size=teacher_width, intermediate_size=4 * teacher_width)
    return tuple(
        kbs.BertTextClassifier(kbs.BertBackbone(c), num_classes=2) for c in (config.replace(num_layers=2), wide)
    )


def test_layers_and_attention_are_compared_at_tokens_alone(small):
    student, teacher = pair(small)
    hidden, attention = ((0, 0), (2, 3)), ((1, 2),)
    model = Distiller(student, teacher, hidden, attention)
    outputs = model(INPUTS)
    states, weights = by_hand(student, teacher, INPUTS, hidden, attention)
    mask = INPUTS["padding_mask"] == 1
    np.testing.assert_allclose(outputs["hidden"].numpy()[mask], states[mask], rtol=1e-4)
    np.testing.assert_allclose(outputs["attention"].numpy()[mask], weights[mask], rtol=1e-4)
    np.testing.assert_allclose(outputs["logits"], student(INPUTS), atol=1e-6)
    longer = {name: np.pad(value, [(0, 0), (0, 3)]) for name, value in INPUTS.items()}
    for name in ("hidden", "attention"):
        np.testing.assert_allclose(model(longer)[name].numpy()[:, :5][mask], outputs[name].numpy()[mask], atol=1e-4)


def test_the_teacher_never_changes_and_a_projection_learns(small):
    student, teacher = pair(small, teacher_width=24)
    model = Distiller(student, teacher, ((1, 3),))
    [projection] = model.projections
    assert tuple(projection.kernel.shape) == (16, 24)
    assert model(INPUTS)["hidden"].shape == (2, 5)
    trained = {id(variable) for variable in model.trainable_variables}
    assert {id(variable) for variable in student.trainable_variables} < trained
    assert id(projection.kernel) in trained
    assert not any(id(variable) in {id(held) for held in model.weights} for variable in teacher.weights)


def test_what_the_student_drops_is_dropped_in_its_layers_too(small):
    """The hidden state that is compared is the one that the student's logits are computed from."""
    config = small.replace(num_layers=2, hidden_dropout=0.3, attention_dropout=0.3, classifier_dropout=0.0)
    student = kbs.BertTokenClassifier(kbs.BertBackbone(config, pooler=False), num_classes=3)
    with dropout_seed_scope(7):
        logits = student(INPUTS, training=True)
        states, _ = student.backbone.towers[0].look_inside(INPUTS, training=True)
    from_states = student.classifier_head(states[-1])
    np.testing.assert_allclose(logits, from_states, atol=1e-5)
    assert np.abs(logits - student(INPUTS)).max() > 1e-3


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_runs_with_layers_to_match_end_alike(small, animals, teacher):
    """Tested in bfloat16."""
    how = kbs.FineTuning(**{**QUICK, "epochs": 0.3})
    soft = Distillation(hidden=((1, 2),), attention=((1, 1),), hidden_weight=0.5)
    for out in ("a", "b"):
        distill(
            teacher, small, {"text": animals["text"]}, out, how=how, distillation=soft, options=RunOptions("bfloat16")
        )
    header = Path("a/metrics.csv").read_text().splitlines()[0]
    assert "hidden_distance" in header
    assert "attention_distance" in header
    ours, theirs = (kbs.FineTuned.load(out).model.get_weights() for out in ("a", "b"))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("eagerly")
def test_refused(small, animals, letters, tokenizer):
    rows = {"text": animals["text"]}
    other = kbs.BertMaskedLM(kbs.BertBackbone(small, pooler=False))
    other.save_pretrained("masked", tokenizer)
    odd = {"text": animals["text"], "label": [f"{label}!" for label in animals["label"]]}
    tuned(small, tokenizer, odd, "odd", epochs=0.01)
    teacher = tuned(small.replace(num_layers=2), tokenizer, animals, "teacher", epochs=0.01).path
    kbs.BertPretrainer(kbs.BertBackbone(small.replace(vocab_size=57))).save_pretrained("letters", letters)
    for arguments, said in (
        (("masked", small, rows), "masked is a BertMaskedLM; a teacher must have logits"),
        (([teacher, "odd"], small, rows), "odd and .* differ in task, columns, labels or options"),
        (([], small, rows), "`teachers`: name at least one"),
        ((teacher, small, {"other": ["a"]}), "holds no texts; give a table with text"),
        ((teacher, small, {"text": []}), "holds no texts"),
    ):
        with pytest.raises(kbs.UserError, match=said):
            distill(*arguments, "run", how=HOW)
    for soft, student, said in (
        (Distillation(hidden=((2, 1),)), small, "`hidden`: the student has the layers 0 to 1, not 2"),
        (Distillation(attention=((1, 3),)), small, "`attention`: the teacher has the layers 1 to 2, not 3"),
        (Distillation(hidden=((1, 1),)), "letters", "`student`: does not tokenize like"),
    ):
        with pytest.raises(kbs.UserError, match=said):
            distill(teacher, student, rows, "run", how=HOW, distillation=soft)
    with pytest.raises(kbs.UserError, match="`temperature`: must be a number above 0"):
        Distillation(temperature=0.0)
    # A student with another vocabulary can still learn answers about whole texts.
    short = kbs.FineTuning(**{**QUICK, "epochs": 0.2})
    assert distill(teacher, "letters", rows, "of_letters", how=short).finished
