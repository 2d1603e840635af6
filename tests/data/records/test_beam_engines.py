"""`--beam` on engines of several processes: the bytes of the local builder.

The portable job service with a worker pool takes a pipeline as Flink, Spark and Dataflow do: as a message, for workers
that share nothing with the sender but the disk. Dask runs a step several times, in different processes.
"""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.data.corpus.blocks import read_blocks
from keras_bert_scratch.data.corpus.files import source_files
from keras_bert_scratch.data.corpus.form import CorpusForm
from keras_bert_scratch.data.corpus.sources import file_groups

pytestmark = pytest.mark.slow

SECONDS_TO_START = 120
SECONDS_TO_BUILD = 240
# The pool starts `python` by name.
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

# Beam's own job service has one worker, whatever the options; the pool can start more.
JOB_SERVICE_WITH_TWO_WORKERS = """
import sys
from apache_beam.runners.portability import local_job_service_main
from apache_beam.runners.portability.fn_api_runner import fn_runner

class RunnerWithTwoWorkers(fn_runner.FnApiRunner):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._num_workers = 2

fn_runner.FnApiRunner = RunnerWithTwoWorkers
local_job_service_main.run(["--port", sys.argv[1]])
"""


class Server:
    """A process that serves at `port` of this machine; `said()` is what it, and all that it started, have printed."""

    def __init__(self, port: int, arguments: list[str]):
        self.port, self.arguments, self.log = port, arguments, Path(f"server-{port}.log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, *arguments], stdout=log, stderr=log, env=ENVIRONMENT, start_new_session=True
            )

    def said(self) -> str:
        return f"{' '.join(self.arguments)} said:\n{self.log.read_text()}"

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                pytest.fail(f"a server ended with {self.process.returncode}\n{self.said()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.1)
        pytest.fail(f"no server answers at port {self.port} after {SECONDS_TO_START} s\n{self.said()}")

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """The servers of a test: whatever is in the list at its end is ended, with all that it started."""
    started: list[Server] = []
    yield started
    for server in started:
        server.end()


@pytest.fixture
def serve(servers) -> Callable[..., Server]:
    """Starts `python ARGUMENTS`, with a free port for `PORT`, and waits until it answers there."""

    def start(*arguments: str) -> Server:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        servers.append(Server(port, [argument.replace("PORT", str(port)) for argument in arguments]))
        servers[-1].wait_until_it_answers()
        return servers[-1]

    return start


@pytest.fixture(scope="module")
def local(tmp_path_factory, documents, tokenizer) -> Path:
    """A folder with `text`, three groups of which the first has two blocks, `vocab.txt`, and `records` built here."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "text").mkdir()
    for name, first, end in (("a.txt", 0, 27000), ("b.txt", 27000, 36000), ("c.txt", 36000, 45000)):
        texts = ["\n".join([f"Tale {number}.", *documents[number % 64]]) for number in range(first, end)]
        (folder / "text" / name).write_text("\n\n".join(texts))
    groups = file_groups(source_files(folder / "text"))
    assert [len(list(read_blocks(group, CorpusForm()))) for group in groups] == [2, 1, 1]
    tokenizer.vocabulary.save(folder / "vocab.txt")
    kbs.build_records([folder / "text"], tokenizer, folder / "records", num_shards=4)
    return folder


@pytest.fixture
def build(local, servers) -> Callable[..., dict[str, bytes]]:
    """Builds the same records with these options of Beam, as a user does; the content of each file."""
    command = [sys.executable, "-m", "keras_bert_scratch", "tfrecords", str(local / "text"), "--out", "built"]
    command += ["--vocab", str(local / "vocab.txt"), "--shards", "4", "--beam"]

    def run(*options: str) -> dict[str, bytes]:
        line = [*command, shlex.join(options)]
        try:
            done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, timeout=SECONDS_TO_BUILD)
            failure = f"the build ended with {done.returncode}\n{done.stderr}" if done.returncode else None
        except subprocess.TimeoutExpired as error:
            failure = f"no end of the build after {SECONDS_TO_BUILD} s\n{(error.stderr or b'').decode()}"
        if failure:
            pytest.fail("\n".join([failure, *(server.said() for server in servers)]))
        return content(Path("built"))

    return run


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_portable_job_service_with_two_workers_of_a_pool(serve, build, local):
    service = serve("-c", JOB_SERVICE_WITH_TWO_WORKERS, "PORT")
    pool = serve("-m", "apache_beam.runners.worker.worker_pool_main", "--service_port=PORT")
    built = build(
        "--runner=PortableRunner",
        f"--job_endpoint=127.0.0.1:{service.port}",
        "--environment_type=EXTERNAL",
        f"--environment_config=127.0.0.1:{pool.port}",
    )
    assert built == content(local / "records")
    assert pool.said().count("Starting worker") == 2


def test_a_dask_cluster_with_two_workers(serve, build, local, servers):
    from distributed import Client, get_task_stream

    scheduler = serve("-m", "distributed.cli.dask_scheduler", "--host=127.0.0.1", "--port=PORT", "--no-dashboard")
    address = f"tcp://127.0.0.1:{scheduler.port}"
    worker = ["-m", "distributed.cli.dask_worker", address, "--host=127.0.0.1", "--no-dashboard", "--no-nanny"]
    for _ in range(2):
        serve(*worker, "--nthreads=1", "--worker-port=PORT")
    with Client(address) as client:
        client.wait_for_workers(2, timeout=SECONDS_TO_START)
        with get_task_stream(client) as tasks:
            built = build(
                "--runner=apache_beam.runners.dask.dask_runner.DaskRunner",
                f"--dask_client_address={address}",
                "--dask_partition_size=1",
            )
    assert built == content(local / "records")
    assert len({task["worker"] for task in tasks.data}) == 2
