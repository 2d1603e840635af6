"""What a run refuses, before anything is written."""

import dataclasses
from pathlib import Path

import pytest
from commands.calls import refused
from training.conftest import run_it

import keras_bert_scratch as kbs
from keras_bert_scratch.data.google.reader import GoogleRecords
from keras_bert_scratch.data.google.writer import write_google_examples
from keras_bert_scratch.training.options import RunOptions, TrainingOptions
from keras_bert_scratch.training.pretraining import Pretraining, SecondPhase, pretrain


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batch_size": 8}, "batch_size 4, not 8"),
        ({"seed": 5}, "seed 0, not 5"),
        ({"training": TrainingOptions(steps=70)}, "training.steps 60, not 70"),
    ],
)
def test_another_run_in_the_folder_is_refused(finished, records, small, changes, named):
    with pytest.raises(kbs.UserError, match=named):
        run_it(records, small, finished, held_out=kbs.PretrainingRecords(records), **changes)


def test_a_folder_with_something_else_is_refused(records, small):
    Path("thesis").mkdir()
    Path("thesis/chapter.txt").write_text("years of work")
    with pytest.raises(kbs.UserError, match="thesis: exists already"):
        run_it(records, small, "thesis")
    assert [file.name for file in Path("thesis").iterdir()] == ["chapter.txt"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"max_length": 65}, "`max_length`: 65 tokens are more than the 64 positions"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"seed": -1}, "`seed`"),
        ({"seed": 2**32}, "`seed`"),
        ({"evaluate_every": 0}, "`evaluate_every`"),
        ({"second_phase": SecondPhase(48, 0.5, -1)}, "`batch_size`"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(records, small, tmp_path, changes, named):
    with pytest.raises(kbs.UserError, match=named):
        run_it(records, small, "run", **changes)
    assert not list(tmp_path.iterdir())


def by(**masks):
    return kbs.MaskingRule(**masks)


LEFT = kbs.ExampleRules("none", objective="left-to-right")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"masking": by(unit="words")}, "^`unit`: no effect on the objective left-to-right"),
        ({"masking": by(fraction=0.5, replacements=(0, 0, 1))}, "^`fraction`, `replacements`: no effect"),
        ({"masking": by(max_predictions=3)}, "^`max_predictions`: no effect"),
        ({"static_masks": True}, "^`static_masks`: no effect"),
    ],
)
def test_rules_of_masks_are_refused_for_one_way_models(records, small, tmp_path, changes, named):
    with pytest.raises(kbs.UserError, match=named):
        run_it(records, small, "run", rules=dataclasses.replace(LEFT, **changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"masking": by(unit="ngrams")}, "^`unit`: no effect, because examples contains finished examples"),
        ({"masking": by(unit="words", fraction=0.5)}, "^`fraction`: no effect"),
        ({"masking": by(replacements=(0, 0, 1))}, "^`replacements`: no effect"),
        ({"masking": by(max_predictions=3)}, "^`max_predictions`: no effect"),
        ({"short_seq_prob": 1.0}, "^`short_seq_prob`: no effect"),
    ],
)
def test_rules_of_finished_examples_cannot_be_changed(records, small, changes, named):
    write_google_examples(records, "examples", 32, kbs.ExampleRules(masking=by(unit="words")), dupe_factor=1)
    rules = kbs.ExampleRules(**changes)
    with pytest.raises(kbs.UserError, match=named):
        pretrain(GoogleRecords("examples"), small, "run", TrainingOptions(steps=1), 4, 32, rules=rules)
    assert not Path("run").exists()


def test_rules_of_finished_examples_may_be_their_own_or_the_default(records):
    own = kbs.ExampleRules(short_seq_prob=0.5, masking=by(unit="words", replacements=(1, 0, 0)))
    write_google_examples(records, "examples", 32, own, dupe_factor=1)
    for rules in (own, kbs.ExampleRules(), dataclasses.replace(own, static_masks=True)):
        GoogleRecords("examples").check_effect(rules)


@pytest.mark.parametrize("direction", ["left-to-right", "right-to-left"])
def test_a_one_way_model_does_not_learn_masked_words_by_itself(records, small, tokenizer, direction):
    """Each masked word would see one side only; a new network of that kind can be asked for, in a `BertConfig`."""
    config = small.replace(direction=direction)
    kbs.BertCausalLM(kbs.BertBackbone(config, pooler=False)).save_pretrained("one-way", tokenizer)
    with pytest.raises(kbs.UserError, match=f"one-way: is a {direction} model; give `objective='{direction}'`"):
        run_it(records, "one-way", "run")
    refused(
        *("pretrain", records, "--init", "one-way", "--steps", "1", "--length", "32", "--out", "run"),
        saying=f"one-way: is a {direction} model; give --objective {direction}",
    )
    assert not Path("run").exists()


@pytest.mark.usefixtures("eagerly")
def test_a_run_that_began_with_rules_without_effect_is_resumed(records, small, monkeypatch):
    """Older versions did not refuse them."""
    rules = dataclasses.replace(LEFT, masking=by(unit="words"))
    how = {"rules": rules, "training": TrainingOptions(steps=2)}
    with monkeypatch.context() as patched:
        patched.setattr(kbs.PretrainingRecords, "check_effect", lambda self, rules: None)
        patched.setattr(Pretraining, "_complete", lambda self, *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_it(records, small, "run", **how)
    assert run_it(records, small, "run", **how).results["steps"] == 2


def test_a_model_of_another_vocabulary_is_refused(records, small):
    with pytest.raises(kbs.UserError, match=r"has 150 tokens, .* only 99 rows"):
        run_it(records, small.replace(vocab_size=99), "run")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "give exactly one of the two"),
        ({"steps": 1, "seconds": 1.0}, "give exactly one of the two"),
        ({"steps": 0}, "`steps`"),
        ({"seconds": -1.0}, "`seconds`"),
        ({"seconds": float("inf")}, "`seconds`"),
        ({"steps": 1, "learning_rate": 0.0}, "`learning_rate`"),
        ({"steps": 1, "learning_rate": float("nan")}, "`learning_rate`"),
        ({"steps": 1, "learning_rate": float("inf")}, "`learning_rate`"),
        ({"steps": 1, "warmup": 1.0}, "`warmup`"),
        ({"steps": 1, "warmup": float("nan")}, "`warmup`"),
    ],
)
def test_impossible_training_options_are_refused(arguments, named):
    with pytest.raises(kbs.UserError, match=named):
        TrainingOptions(**arguments)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"dtype": "float8"}, "`dtype`"),
        ({"accumulate": 0}, "`accumulate`"),
        ({"on_nonfinite": "cry"}, "`on_nonfinite`"),
        ({"save_seconds": float("nan")}, "`save_seconds`"),
    ],
)
def test_impossible_run_options_are_refused(arguments, named):
    with pytest.raises(kbs.UserError, match=named):
        RunOptions(**arguments)


def test_evaluating_every_so_many_steps_needs_something_to_evaluate_on(records, small):
    with pytest.raises(kbs.UserError, match=r"^`evaluate_every`: needs `held_out`"):
        kbs.pretrain(
            kbs.PretrainingRecords(records), small, "out", kbs.TrainingOptions(steps=1), 2, 16, evaluate_every=5
        )
    assert not Path("out").exists()
