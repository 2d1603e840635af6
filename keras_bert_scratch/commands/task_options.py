"""Options of a task on the command line: the fields of its `Options`, beside a verb's own."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand

from keras_bert_scratch.commands.app import import_tensorflow_quietly

KEY = "task_options"  # of the context


class TaskCommand(TyperCommand):
    """A command with the options of the task beside its own; its help shows those of a task that is named alone.

    Of a verb that asks a model they are those that may be given then, and what is not given stays as the model has it.
    """

    default_task: ClassVar[str] = ""  # of a command line that names none
    trains: ClassVar[bool] = False

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        asks_for_help = not {"-h", "--help"}.isdisjoint(args)
        if name := _value_of("--task", args) or ("" if asks_for_help else self.default_task):
            self.params = [*self.params, *_task_options(name, self.trains)]
        return super().parse_args(ctx, args)


def task_options(ctx: typer.Context) -> Mapping[str, Any]:
    """The task's options that were given, by name."""
    return ctx.meta.get(KEY, {})


def _value_of(flag: str, args: Sequence[str]) -> str | None:
    """The value that `flag` has on the command line; the last one counts."""
    found = None
    for argument, following in zip(args, [*args[1:], None], strict=True):
        if argument == flag:
            found = following
        elif argument.startswith(f"{flag}="):
            found = argument.partition("=")[2]
    return found


def _task_options(name: str, trains: bool) -> list[Any]:
    """Fields of the task's `Options` as options of the command line; their values go to the context."""
    from keras_bert_scratch.tasks.task import TASKS, get_task

    if name not in TASKS:  # the verb says so
        return []
    import_tensorflow_quietly()  # the task's file needs it
    task = get_task(name)

    def keep(ctx: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
        if value is not None:
            ctx.meta.setdefault(KEY, {})[parameter.name] = value
        return value

    def options() -> None:
        """Carries the signature that the options are made of."""

    told = typer.Option(callback=keep, help=f"Of {name}: docs/tasks/{name}.md.")
    options.__signature__ = inspect.Signature(
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default if trains else None,
            annotation=Annotated[type(field.default) if trains else type(field.default) | None, told],
        )
        for field in dataclasses.fields(task.Options)
        if trains or field.name in task.asked_options
    )
    options.__annotations__ = {name: field.annotation for name, field in options.__signature__.parameters.items()}
    alone = typer.Typer(add_completion=False)
    alone.command()(options)
    found = [option for option in typer.main.get_command(alone).params if option.name != "help"]
    for option in found:
        option.expose_value = False  # the verb's own function does not take it
    return found
