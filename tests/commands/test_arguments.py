"""How the command line reads durations, and how it turns the library's argument names into flags."""

import dataclasses
import inspect

import pytest
import typer
from typer.testing import CliRunner

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.app import handle_errors
from keras_bert_scratch.commands.arguments import PARAMETERS, arguments_to_flags, replacements_of, seconds_of
from keras_bert_scratch.commands.distill import distill
from keras_bert_scratch.commands.finetune import finetune
from keras_bert_scratch.commands.main import app
from keras_bert_scratch.commands.pretrain import pretrain
from keras_bert_scratch.errors import UserError

COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), (" 2m ", 120)])
def test_durations(text, seconds):
    assert seconds_of(text, "budget") == seconds


def test_replacements():
    assert replacements_of("80/10/10") == (0.8, 0.1, 0.1)
    assert replacements_of("100/0/0") == (1.0, 0.0, 0.0)
    with pytest.raises(UserError, match="`replacements`: 'all' cannot be read; write three numbers, such as 80/10/10"):
        replacements_of("all")


@pytest.mark.parametrize(
    ("verb", "message", "expected"),
    [
        ("pretrain", "`batch_size`: must be at least 1", "--batch: must be at least 1"),
        ("finetune", "`max_length`: 65 tokens", "--length: 65 tokens"),
        ("tfrecords", "`num_shards`: must be at least 1", "--shards: must be at least 1"),
        ("pretrain", "`steps`, `seconds`: give one", "--steps, --budget: give one"),
        ("pretrain", "`learning_rate`: must be more than 0", "--learning-rate: must be more than 0"),
        ("pretrain", "`evaluate_every`, `held_out`: both", "--eval-every, --eval: both"),
        ("pretrain", "or give `on_nonfinite='skip'`", "or give --on-nonfinite skip"),
        ("pretrain", "leave out `packing=True`", "leave out --packing"),
        ("pretrain", "ask for `max_length=64`", "ask for --length 64"),
        ("tfrecords", "give `text_field='a b'`", "give --text-field 'a b'"),
        ("pretrain", "with `records='there'`, not `records`", "with there, not RECORDS"),
        # What the verb has no flag for is not turned into a flag.
        ("tfrecords", "`learning_rate`: must be more", "learning_rate: must be more"),
        ("finetune", "needs `num_classes=2`", "needs num_classes=2"),
        ("pretrain", "`packing=False`, `held_out=None`", "packing=False, held_out=None"),
        ("pretrain", "a.txt: run `iconv -f latin1`", "a.txt: run `iconv -f latin1`"),
        ("pretrain", "give `dtype=mine`", "give --dtype mine"),
    ],
)
def test_arguments_become_the_flags_of_the_verb(verb, message, expected):
    assert arguments_to_flags(message, COMMANDS[verb].params) == expected


def test_every_other_name_is_a_parameter_of_some_verb():
    taken = {parameter.name for command in COMMANDS.values() for parameter in command.params}
    assert set(PARAMETERS.values()) <= taken


def test_a_script_of_its_own_ends_like_a_verb():
    def build(num_shards: int = 3):
        raise UserError(f"`num_shards`: must be more than {num_shards}")

    script = typer.Typer()
    script.command()(handle_errors(build))
    ended = CliRunner().invoke(script, ["--num-shards", "4"])
    assert (ended.exit_code, ended.stderr) == (2, "error: --num-shards: must be more than 4\n")


@pytest.mark.parametrize(
    ("command", "options"), [(pretrain, kbs.TrainingOptions), (finetune, kbs.FineTuning), (distill, kbs.FineTuning)]
)
def test_command_and_library_have_the_same_defaults(command, options):
    """A run by the command and a run by Python are then the same run if neither has settings."""
    asked = inspect.signature(command).parameters
    shared = [field for field in dataclasses.fields(options) if field.name in asked]
    assert len(shared) > 3
    assert {field.name: asked[field.name].default for field in shared} == {
        field.name: field.default for field in shared
    }
