"""Reference pages, generated from the code: every public name with its docstring, every command with its flags."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import typer

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.app import import_tensorflow_quietly
from keras_bert_scratch.commands.main import VERBS, app
from keras_bert_scratch.commands.task_options import PredictionCommand, TaskCommand, task_options
from keras_bert_scratch.tasks.registry import TASKS, get_task

# The pages with their titles. A public name is on the page of its subpackage.
PAGES = {
    "commands": "Commands",
    "config": "Sizes of a network",
    "text": "Text",
    "data": "Data",
    "models": "Models",
    "training": "Training",
    "tasks": "Tasks",
    "serving": "Serving",
    "attention": "Attention",
    "errors": "Errors",
}


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-skip-member", is_left_out)
    app.connect("autodoc-process-signature", own_signature)
    return {"parallel_read_safe": True}


def write_pages(app: Any) -> None:
    """Writes docs/reference, a folder that git ignores."""
    import_tensorflow_quietly()
    folder = Path(app.srcdir, "docs", "reference")
    folder.mkdir(exist_ok=True)
    (folder / "commands.md").write_text("\n\n".join(_commands()) + "\n", encoding="utf-8")
    names = sorted(set(kbs.__all__) - {"__version__"}, key=lambda name: (name[0].islower(), name))
    of_page = {name: getattr(kbs, name).__module__.split(".")[1] for name in names}
    for page in sorted(set(of_page.values())):
        entries = [_entry(name) for name in names if of_page[name] == page]
        title = PAGES[page]
        (folder / f"{page}.rst").write_text("\n\n".join([f"{title}\n{'=' * len(title)}", *entries]), encoding="utf-8")


def is_left_out(app: Any, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leaves out members from other packages, such as Keras; `None` leaves the decision to Sphinx."""
    module = getattr(member, "__module__", None) or ""
    return None if module.startswith("keras_bert_scratch") else True


def own_signature(app: Any, what: str, name: str, member: Any, options: Any, signature: str, returns: str) -> Any:
    """Returns the signature of a model's constructor, which Keras hides behind `(*args, **kwargs)`."""
    if what != "class" or signature != "(*args, **kwargs)":
        return None
    _, *parameters = inspect.signature(member.__init__).parameters.values()
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    return str(inspect.Signature(plain)), returns


def _entry(name: str) -> str:
    of_class = isinstance(getattr(kbs, name), type)
    directive = f".. auto{'class' if of_class else 'function'}:: keras_bert_scratch.{name}"
    return "\n".join([name, "-" * len(name), "", directive, *(["   :inherited-members:"] if of_class else [])])


def _commands() -> list[str]:
    program = typer.main.get_command(app)
    parts = ["# Commands", f"{program.help} `keras-bert COMMAND --help` shows the same."]
    for module in VERBS:
        name = module.__name__.rpartition(".")[2]
        command = program.commands[name]
        parts += [f"## {name}", command.help, f"```\n{module.EXAMPLE}\n```", _table(command.params)]
        if isinstance(command, TaskCommand):
            parts += _of_tasks(command)
    return parts


def _of_tasks(command: TaskCommand) -> list[str]:
    """Returns the options that a command has for single tasks."""
    parts = []
    for task in TASKS:
        asked = isinstance(command, PredictionCommand) or get_task(task).tunable
        if asked and (params := task_options([task], command.kind)):
            parts += [f"Of [{task}](../tasks/{task}.md):", _table(params, described=False)]
    return parts


def _table(params: list[Any], described: bool = True) -> str:
    rows = ["| argument | default | |", "|---|---|---|"] if described else ["| option | default |", "|---|---|"]
    for param in params:
        if param.name == "help" or getattr(param, "hidden", False):
            continue
        flags = [param.metavar or param.name.upper()] if param.param_type_name == "argument" else param.opts
        names = ", ".join(f"`{flag}`" for flag in (*flags, *param.secondary_opts))
        default = "required" if param.required else "" if param.default in (None, "", [], ()) else f"`{param.default}`"
        cells = (names, default, (param.help or "").replace("|", "\\|")) if described else (names, default)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)
