"""NVIDIA Triton's real server, from a wheel, with a model repository built from exported models."""

import collections
import concurrent.futures
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
import time
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import keras
import pytest
import requests

import keras_bert_scratch as kbs

pytestmark = pytest.mark.slow

WHEEL = "nvidia-pytriton==0.7.0"  # holds tritonserver 2.51 and its Python backend
MAKE = Path(__file__).parents[2] / "deploy/triton/make_repository.py"
TEXTS = ["The heron sleeps.", "", "北京 is far", "An otter crosses the river before dawn. " * 9, "dawn", "½ ß"]
LABELS = ("no", "yes", "perhaps")


def pip(*arguments, python=sys.executable) -> None:
    subprocess.run([python, "-m", "pip", "--quiet", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def models(small, tokenizer, tmp_path_factory) -> list[kbs.FineTuned]:
    """Two models to export, which give different answers."""
    found = []
    for seed in (3, 4):
        keras.utils.set_random_seed(seed)
        model = kbs.BertTextClassifier(kbs.BertBackbone(small.replace(initializer_range=1.0)), 3)
        found.append(kbs.FineTuned(model, tokenizer, kbs.Spec("classification", ("text",), 32, LABELS)))
    return found


@pytest.fixture(scope="module")
def exported(models, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("exported")
    for number, model in enumerate(models):
        kbs.export_saved_model(model, folder / str(number), warm_up=False)
    return [folder / str(number) for number in range(len(models))]


def add_version(saved_model: Path, repository: Path) -> None:
    subprocess.run([sys.executable, MAKE, saved_model, repository, "--name", "animals"], check=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def server(exported, tmp_path_factory):
    """The address of a running server whose model `animals` has one version; and its repository."""
    library = Path(sysconfig.get_config_var("LIBDIR")) / (sysconfig.get_config_var("INSTSONAME") or "")
    if sys.version_info[:2] != (3, 11) or sys.platform != "linux" or not library.exists():
        pytest.skip("the wheel's Python backend wants Linux and a Python 3.11 with libpython3.11.so")
    folder = tmp_path_factory.mktemp("triton")
    pip("download", "--no-deps", "--dest", folder, WHEEL)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "wheel")
    # Its Python backend runs in the environment whose `python3` is first on PATH, and was built with NumPy 1.
    venv.create(folder / "venv", with_pip=True)
    packages = [f"{name}=={version(name)}" for name in ("tensorflow", "tensorflow-text")]
    pip("install", *packages, "numpy<2", python=folder / "venv/bin/python")
    home = folder / "wheel/pytriton/tritonserver"
    stub = home / "backends/python/triton_python_backend_stub"
    shutil.copy(home / "python_backend_stubs/3.11/triton_python_backend_stub", stub)
    for program in (home / "bin/tritonserver", stub):
        program.chmod(0o755)

    repository = folder / "repository"
    add_version(exported[0], repository)
    ports = {name: free_port() for name in ("http", "grpc", "metrics")}
    flags = [f"--{name}-{what}" for name, port in ports.items() for what in (f"port={port}", "address=127.0.0.1")]
    polling = ["--model-control-mode=poll", "--repository-poll-secs=1"]
    where = [f"--model-repository={repository}", f"--backend-directory={home / 'backends'}"]
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{folder / 'wheel/nvidia_pytriton.libs'}:{library.parent}",
        "PATH": f"{folder / 'venv/bin'}:{os.environ['PATH']}",
    }
    with (folder / "log").open("w") as log:
        command = [home / "bin/tritonserver", *where, *polling, *flags]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{ports['http']}/v2"
    try:
        wait_until(lambda: is_ready(address) or process.poll() is not None, 120)
        assert process.poll() is None, (folder / "log").read_text()[-3000:]
        yield address, repository, f"http://127.0.0.1:{ports['metrics']}/metrics"
    finally:
        process.terminate()
        process.wait(60)


def wait_until(fine, seconds: float) -> None:
    limit = time.monotonic() + seconds
    while not fine():
        assert time.monotonic() < limit
        time.sleep(0.2)


def is_ready(address: str) -> bool:
    try:
        return requests.get(f"{address}/models/animals/ready", timeout=5).ok
    except requests.ConnectionError:
        return False


def ask(address: str, texts: list[str], model: str = "animals", **changes) -> requests.Response:
    given = {"name": "text", "shape": [len(texts), 1], "datatype": "BYTES", "data": texts, **changes}
    return requests.post(f"{address}/models/{model}/infer", json={"inputs": [given]}, timeout=60)


def answers(response: requests.Response) -> list[tuple[str, list[float]]]:
    assert response.ok, response.text
    outputs = {output["name"]: output["data"] for output in response.json()["outputs"]}
    scores = [outputs["scores"][start : start + 3] for start in range(0, len(outputs["scores"]), 3)]
    return list(zip(outputs["label"], scores, strict=True))


def assert_same(found: list[tuple[str, list[float]]], model: kbs.FineTuned, texts: list[str]) -> None:
    for (label, scores), ours in zip(found, model.predict({"text": texts}), strict=True):
        assert label == ours["label"]
        assert scores == pytest.approx(list(ours["scores"].values()), abs=1e-4)


def count_of(metrics: str, name: str) -> float:
    lines = requests.get(metrics, timeout=10).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name + "{"))


def test_strings_are_answered(server, models):
    address, _, _ = server
    assert_same(answers(ask(address, TEXTS)), models[0], TEXTS)
    assert_same(answers(ask(address, TEXTS[2:3])), models[0], TEXTS[2:3])


def test_requests_of_several_clients_share_batches(server, models):
    """Each gets its own answer, and there are fewer calls than requests."""
    address, _, metrics = server
    before = count_of(metrics, "nv_inference_exec_count")
    with concurrent.futures.ThreadPoolExecutor(16) as clients:
        found = list(clients.map(lambda number: ask(address, [TEXTS[number % 6]]), range(120)))
    for number, response in enumerate(found):
        assert_same(answers(response), models[0], [TEXTS[number % 6]])
    assert count_of(metrics, "nv_inference_exec_count") - before < 120


WRONG = {
    "an input that it has not": {"name": "poem"},
    "numbers": {"datatype": "FP32", "data": [1.0]},
    "two texts in a row": {"shape": [1, 2], "data": ["a", "b"]},
    "fewer texts than rows": {"shape": [2, 1]},
    "too many rows": {"data": ["a"] * 99, "shape": [99, 1]},
    "no such model": {"model": "plants"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused(server, models, wrong):
    address, _, _ = server
    response = ask(address, ["a"], **wrong)
    assert 400 <= response.status_code < 500
    assert response.json()["error"]
    assert_same(answers(ask(address, TEXTS)), models[0], TEXTS)


def test_a_new_version_takes_over_without_a_lost_request(server, models, exported):
    """This test must be the last: from here on the second model answers."""
    address, repository, _ = server
    over, kinds = threading.Event(), collections.Counter()

    def client(text: str) -> None:
        expected = [model.predict({"text": [text]})[0]["label"] for model in models]
        while not over.is_set():
            ((label, _),) = answers(ask(address, [text]))
            assert label in expected
            kinds["asked"] += 1

    differing = [
        text
        for text, *both in zip(TEXTS, *(model.predict({"text": TEXTS}) for model in models), strict=True)
        if both[0]["label"] != both[1]["label"]
    ]
    assert differing
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        asking = [clients.submit(client, text) for text in (differing * 4)[:4]]
        try:
            wait_until(lambda: kinds["asked"] > 20, 60)
            add_version(exported[1], repository)
            second = models[1].predict({"text": differing[:1]})[0]["label"]
            wait_until(lambda: answers(ask(address, differing[:1]))[0][0] == second, 90)
        finally:
            over.set()
        for one in asking:
            one.result()
    assert_same(answers(ask(address, TEXTS)), models[1], TEXTS)
