"""Shared fixtures: text that we wrote, a vocabulary learned from it, records built from it, and a small network."""

import contextlib
import gc
import itertools
import os
import shutil
import subprocess
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest
import tensorflow as tf
from animal_documents import document, write_corpus
from hub_server import HubServer
from huggingface_hub import constants

import keras_bert_scratch as kbs
from keras_bert_scratch.data.pretraining import row_stream
from keras_bert_scratch.hub import snapshot
from keras_bert_scratch.training import pretraining_evaluation, resumable

# Test files that share an expensive fixture: one process runs all files of a group.
TOGETHER = {
    **dict.fromkeys(
        (
            *("test_load.py", "test_open_inference.py", "test_openai_api.py", "test_page.py", "test_served_model.py"),
            *("test_server.py", "test_tensorflow_serving_grpc.py", "test_tensorflow_serving_rest.py"),
        ),
        "served models",
    ),
    **dict.fromkeys(
        (
            *("test_interrupted_runs.py", "test_one_way_runs.py", "test_refused_runs.py", "test_run_directory.py"),
            "test_runs.py",
        ),
        "a finished run",
    ),
    **dict.fromkeys(("test_fine_tuned.py", "test_run.py"), "a fine-tuned run"),
}
# The slowest test files: they run first, so that the other processes do not wait for one of them at the end.
LONGEST = (
    *("test_snippets.py", "test_notebooks.py", "test_demo.py", "test_distribution.py", "test_kills.py", "test_run.py"),
    *TOGETHER,
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return TOGETHER.get(Path(file).name, file)

    return Scheduling(config, log)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(autouse=True)
def fresh_folder(tmp_path, monkeypatch):
    """Every test runs in its own folder, with the same seed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BERT_CACHE", str(tmp_path / "cache"))
    # Tests share records. On a busy machine, counting rows could take so long that a file of counts appears there.
    monkeypatch.setattr("keras_bert_scratch.data.pretraining.row_counts.WORTH_SAVING_SECONDS", 1.5)
    keras.utils.set_random_seed(1)
    return tmp_path


@pytest.fixture(scope="session")
def documents() -> list[list[str]]:
    return [document(number) for number in range(64)]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory, documents) -> Path:
    return write_corpus(documents, tmp_path_factory.mktemp("corpus") / "animals.txt")


@pytest.fixture(scope="session")
def vocabulary(documents) -> kbs.Vocabulary:
    return kbs.learn_vocabulary(itertools.chain.from_iterable(documents), size=150)


@pytest.fixture(scope="session")
def tokenizer(vocabulary) -> kbs.BertTokenizer:
    return kbs.BertTokenizer(vocabulary)


@pytest.fixture(scope="session")
def records(tmp_path_factory, corpus, tokenizer) -> Path:
    directory = tmp_path_factory.mktemp("records") / "animals"
    kbs.build_records([corpus], tokenizer, directory, num_shards=3)
    return directory


@pytest.fixture(scope="session")
def config(vocabulary) -> kbs.BertConfig:
    """A network of the smallest sizes that still has two of everything."""
    return kbs.BertConfig(
        vocab_size=len(vocabulary), num_layers=2, hidden_size=16, num_heads=2, max_position_embeddings=64
    )


@pytest.fixture(scope="session")
def small(config) -> kbs.BertConfig:
    """One layer: what a test of the machinery around the network needs."""
    return config.replace(num_layers=1)


@pytest.fixture(scope="session")
def eager_functions():
    """A context that runs functions without graphs, whose results are the same: compiling a graph takes seconds."""

    @contextlib.contextmanager
    def run():
        before = tf.config.functions_run_eagerly()
        tf.config.run_functions_eagerly(True)
        try:
            yield
        finally:
            tf.config.run_functions_eagerly(before)

    return run


@pytest.fixture
def eagerly(eager_functions):
    """`eager_functions` for a whole test."""
    with eager_functions():
        yield


@pytest.fixture(scope="session", autouse=True)
def curves_are_not_drawn():
    """Runs write a placeholder for the picture, because drawing takes half a second; yields a context that draws.

    `tests/training/test_runs.py` checks a real picture.
    """
    draw = resumable.plot_curves
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resumable, "plot_curves", lambda runs, picture: picture.write_bytes(b"none"))

        @contextlib.contextmanager
        def drawn():
            with pytest.MonkeyPatch.context() as undo:
                undo.setattr(resumable, "plot_curves", draw)
                yield

        yield drawn


@pytest.fixture(scope="session", autouse=True)
def quick_surroundings():
    """Leaves out what slows small runs most and no test checks: waits for the disk, and large blocks of rows.

    It also uses 4 held-out batches instead of 40. `tests/data/pretraining/test_row_stream.py` has the real block size.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(pretraining_evaluation, "EVALUATION_STEPS", 4)
        patch.setattr(row_stream, "ROWS_AT_ONCE", 16)
        yield


# A tenth of the suite's time went into collecting garbage, most of it in graphs that are still in use.
gc.set_threshold(100_000, 20, 50)


@pytest.fixture(scope="module", autouse=True)
def little_to_collect():
    """Freezes the graphs that TensorFlow keeps for good, so that later garbage collections do not scan them again."""
    yield
    gc.collect()
    gc.freeze()


class Killed(BaseException):
    """Like SIGKILL, it is not caught by handlers of ordinary errors."""


@pytest.fixture
def die_at(monkeypatch):
    """Call it with a number: that disk operation and all later ones raise `die_at.Killed`, as if killed."""
    operations = {
        Path: ("replace", "rename", "rmdir", "unlink", "mkdir", "write_bytes", "write_text"),
        os: ("fsync",),
        shutil: ("rmtree",),
    }
    originals = {(where, name): getattr(where, name) for where, names in operations.items() for name in names}
    countdown = [None]

    def dying(original):
        def run(*args, **kwargs):
            if countdown[0] is not None:
                countdown[0] -= 1
                if countdown[0] < 0:
                    raise Killed
            return original(*args, **kwargs)

        return run

    for (where, name), original in originals.items():
        monkeypatch.setattr(where, name, dying(original))

    def set_countdown(number: int | None) -> None:
        countdown[0] = number

    set_countdown.Killed = Killed
    return set_countdown


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 600 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = os.geteuid() == 0 and shutil.which("mount")
    if mounted:
        options = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk]
        mounted = subprocess.run(options, capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("a small file system can only be mounted by root")
    yield disk
    with contextlib.suppress(subprocess.CalledProcessError):
        subprocess.run(["umount", disk], check=True)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub on this machine, and an empty cache of its files."""
    server = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    snapshot._snapshot_of.cache_clear()
    yield server
    snapshot._snapshot_of.cache_clear()
    server.close()
