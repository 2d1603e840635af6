"""Options of a task on the command line, beside those of the command: the fields of the task's dataclasses."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand

from keras_bert_scratch.commands.app import import_tensorflow_quietly

DEFAULT_TASK = "classification"


class TaskCommand(TyperCommand):
    """A command that trains for a task, with the fields of its `Options`; help shows them if the task is named."""

    kind = "Options"

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        asks_for_help = not {"-h", "--help"}.isdisjoint(args)
        if name := _value_of("--task", args):
            self.params = [*self.params, *task_options([name], self.kind)]
        elif not asks_for_help:
            self.params = [*self.params, *task_options(self.unnamed(), self.kind)]
        return super().parse_args(ctx, args)

    def unnamed(self) -> Sequence[str]:
        """Returns the tasks that may be meant if none is named."""
        return (DEFAULT_TASK,)


class PredictionCommand(TaskCommand):
    """A command that runs a model, with the fields of the task's `PredictionOptions`; the model may name the task."""

    kind = "PredictionOptions"

    def unnamed(self) -> Sequence[str]:
        from keras_bert_scratch.tasks.registry import TASKS

        return tuple(TASKS)


def given_options(ctx: typer.Context) -> dict[str, Any]:
    """Returns the task's options that are on the command line, by name."""
    return ctx.meta.get("task_options", {})


def _value_of(flag: str, args: Sequence[str]) -> str | None:
    """Returns the value of `flag` on the command line; the last one counts."""
    found = None
    for argument, following in zip(args, [*args[1:], None], strict=True):
        if argument == flag:
            found = following
        elif argument.startswith(f"{flag}="):
            found = argument.partition("=")[2]
    return found


def task_options(names: Sequence[str], kind: str) -> list[Any]:
    """Returns the fields of these tasks' `kind` as command-line options; given values are stored in the context."""
    from keras_bert_scratch.tasks.registry import TASKS, get_task

    import_tensorflow_quietly()  # the tasks' modules need it

    def keep(ctx: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
        if ctx.get_parameter_source(parameter.name).name == "COMMANDLINE":
            ctx.meta.setdefault("task_options", {})[parameter.name] = value
        return value

    def options() -> None:
        """Carries the signature from which the options are made."""

    parameters = {}
    for name in names:
        if name in TASKS:  # else the command reports it
            options_class = getattr(get_task(name), kind)
            types = get_type_hints(options_class)
            for field in dataclasses.fields(options_class):
                parameters.setdefault(field.name, _parameter(field, types[field.name], keep, name))
    options.__signature__ = inspect.Signature(parameters.values())
    options.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    alone = typer.Typer(add_completion=False)
    alone.command()(options)
    found = [option for option in typer.main.get_command(alone).params if option.name != "help"]
    for option in found:
        option.expose_value = False  # the command's own function does not take it
    return found


def _parameter(field: dataclasses.Field, type_: Any, keep: Any, task: str) -> inspect.Parameter:
    """Returns a field as a parameter of a command; a tuple of strings becomes a flag that may be repeated."""
    several = isinstance(field.default, tuple)
    if str in get_args(type_):
        type_ = str  # a number or a string is a string here; the options convert it to a number
    name = (field.name.removesuffix("s") if several else field.name).replace("_", "-")
    flag = f"--{name}/--no-{name}" if type_ is bool else f"--{name}"
    option = typer.Option(flag, callback=keep, help=f"Option of {task}: see docs/tasks/{task}.md.")
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=list(field.default) if several else field.default,
        annotation=Annotated[list[str] if several else type_, option],
    )
