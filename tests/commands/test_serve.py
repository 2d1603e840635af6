"""`keras-bert serve`: a separate process, and what it refuses at the start."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import requests
from commands.calls import KERAS_BERT, keras_bert, refused

from keras_bert_scratch.serving.server import server
from keras_bert_scratch.serving.server.server import Stopped

DEPLOY = Path(__file__).parents[2] / "deploy"


@contextlib.contextmanager
def serving(*argv):
    """The process, the lines that it printed, and its address."""
    command = [*KERAS_BERT, "serve", *map(str, argv), "--port", "0", "--grpc-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines = []
        while not lines or "answers, gRPC" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        yield process, lines, re.search(r"http://\S+", lines[-1])[0]
        process.kill()


@pytest.fixture
def saved_model(model):
    result = keras_bert("export", model, "--out", "models/yes or no", "--version", "next", "--variants", "litert")
    assert result.exit_code == 0, result.output
    return Path("models/yes or no")


def test_a_model_is_served_until_the_process_is_told_to_stop(saved_model):
    with serving(f"yes={saved_model}", "--engine", "litert") as (process, lines, address):
        assert lines[0] == "yes: version 1, classification, takes text\n"
        answer = requests.post(
            f"{address}/v1/models/yes:predict", json={"instances": ["The heron sleeps."]}, timeout=10
        )
        assert answer.json()["predictions"][0]["label"] in ("no", "yes")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert "stopped; all pending requests were answered" in process.stderr.read()


def test_what_was_not_answered_is_said_and_the_process_ends(monkeypatch):
    """A call in progress would crash the interpreter's end."""
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    for stopped, saying, exits in (
        (Stopped(0, False), "stopped; all pending requests were answered", []),
        (Stopped(3, True), "stopped; pending requests that were not answered within 30 s: 3", [0]),
    ):
        monkeypatch.setattr(server, "serve", mock.AsyncMock(return_value=stopped))
        result = keras_bert("serve", "m=nothing")
        assert (result.exit_code, ended) == (0, exits)
        assert saying in result.output


@pytest.mark.slow
def test_the_smoke_test_of_deploy_passes(saved_model):
    """Called as an operator calls it; the engine is TensorFlow, and the model warms up."""
    with serving(f"yes={saved_model}") as (_, _, address):
        url, texts = f"{address}/v1/models/yes", ["A joy.", "Ein 北京 text"]
        environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        words = [DEPLOY / "smoke.sh", url, saved_model / "1", *texts]
        run = subprocess.run(words, capture_output=True, text=True, env=environment)
        assert run.returncode == 0, run.stderr
        assert run.stdout.count("same\t") == 2


def test_what_cannot_be_served_is_said(saved_model):
    refused("serve", saved_model, saying="'yes or no' is not a valid name; write NAME=models/yes or no")
    refused("serve", "a=x", "a=y", saying="two are called a; give each a different name, such as other=y")
    refused(
        "serve", "a=nothing", saying="nothing: has no saved_model.pb and no version folders 1, 2... with one; export"
    )
    refused("serve", f"a={saved_model}", "--port", "70000", saying="--port: must be from 0 to 65535, not 70000")
    refused("serve", f"a={saved_model}", "--engine", "onnx", saying="--engine: 'onnx' is unknown")
    Path("empty").touch()
    refused("serve", f"a={saved_model}", "--token-file", "empty", saying="--token-file: empty is empty")
    refused("serve", f"a={saved_model}", "--token-file", "none", saying="none")
