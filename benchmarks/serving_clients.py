"""Answers per second and their latency with many clients: `keras-bert serve` and other servers of one model.

    python benchmarks/serving_clients.py shared/data/glue/SST-2/dev.tsv [--clients 32] [--seconds 10] [--rounds 3]

All have the weights of all-MiniLM-L6-v2 (6 layers of 384) with a head for two classes, run on this machine, and get
requests over HTTP in turn, from clients that each wait for the answer before the next request; the best round counts.
The others follow their documentation (benchmarks/other_servers.py): mosec and LitServe batch requests and run ONNX
Runtime in two processes; a plain server, of starlette and uvicorn, answers each request alone, with ONNX Runtime or
with transformers' pipeline, in two processes. Needs `pip install mosec litserve onnx onnxruntime onnxscript`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import transformers
import typer
from answering import one_model, onnx_session
from finetuning import MINILM
from onnxruntime.quantization import quantize_dynamic
from rich.console import Console
from rich.table import Table

import keras_bert_scratch as kbs

OTHERS = ("mosec", "litserve", "plain-onnx", "plain-pipeline")
SECONDS_TO_START = 180


def main(
    table: Annotated[Path, typer.Argument(help="A labelled table.")],
    clients: Annotated[int, typer.Option(help="Number of concurrent clients.")] = 32,
    seconds: Annotated[float, typer.Option(help="Seconds per round.")] = 10,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the best one counts.")] = 3,
    int8: Annotated[bool, typer.Option("--int8", help="Run ONNX Runtime and LiteRT in 8 bits.")] = False,
) -> None:
    """Prints answers per second of each server, and ours as a multiple of it."""
    data = kbs.TaskData.read("classification", table, kbs.BertTokenizer.load(MINILM))
    texts = list(data.examples.raw["text"])
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        model = one_model(data, folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM)
        tokenizer.save_pretrained(folder / "torch")
        model.save_pretrained(folder / "torch")
        onnx_session(model, tokenizer, folder / "model.onnx")
        if int8:
            quantize_dynamic(folder / "model.onnx", folder / "model.onnx")
        tuned = kbs.FineTuned(kbs.BertTextClassifier.from_pretrained(folder / "model"), data.tokenizer, data.spec)
        kbs.export_saved_model(tuned, folder / "saved", variants=("litert", "litert-int8"))
        engines = ["litert-int8"] if int8 else ["litert", "tensorflow"]
        servers = {f"ours, {engine}": stack.enter_context(_ours(folder, engine)) for engine in engines}
        servers |= {other: stack.enter_context(_other(folder, other)) for other in OTHERS}
        expected = _answers(servers[f"ours, {engines[0]}"], texts[:100])
        for name, server in servers.items():
            same = np.mean([one == other for one, other in zip(_answers(server, texts[:100]), expected, strict=True)])
            print(f"{name}: {same:.0%} of 100 answers equal ours")
        best: dict[str, tuple[float, np.ndarray]] = {}
        for _ in range(rounds):
            for name, server in servers.items():
                found = asyncio.run(_load(server, texts, clients, seconds))
                if name not in best or found[0] > best[name][0]:
                    best[name] = found
    ours = best[f"ours, {engines[0]}"][0]
    shown = Table(f"{clients} clients", "answers/s", f"{engines[0]} to it", "ms, median", "ms, 99th percentile")
    for name, (rate, spent) in best.items():
        times = [f"{1e3 * np.percentile(spent, percent):.0f}" for percent in (50, 99)]
        shown.add_row(name, f"{rate:.0f}", f"{ours / rate:.2f}", *times)
    Console(width=110).print(shown)


class Server:
    """The address of a server, and the form of its requests.

    Args:
        port: int. On this machine.
        path: str. Of the request.
        ours: bool. Whether it has TensorFlow Serving's protocol; others take `{"text": ...}`, return `{"label": ...}`.
    """

    def __init__(self, port: int, path: str, ours: bool) -> None:
        self.port, self._path, self._ours = port, path, ours

    def request(self, text: str) -> bytes:
        """Returns the bytes of a request with a text."""
        body = json.dumps({"instances": [text]} if self._ours else {"text": text}).encode()
        head = f"POST {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def label(self, body: bytes) -> str:
        """Returns the label in an answer."""
        found = json.loads(body)
        return found["predictions"][0]["label"] if self._ours else found["label"]


@contextlib.contextmanager
def _process(command: list[str], server: Server) -> Iterator[Server]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + SECONDS_TO_START
            while not _answers_one(server):
                if time.monotonic() > deadline or process.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(f"{command}: did not start: {log.read().decode()[-2000:]}")
                time.sleep(0.5)
            yield server
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ours(folder: Path, engine: str) -> Any:
    port = _free_port()
    command = [sys.executable, "-m", "keras_bert_scratch", "serve", f"m={folder / 'saved'}", "--engine", engine]
    command += ["--port", str(port), "--grpc-port", "0"]
    return _process(command, Server(port, "/v1/models/m:predict", ours=True))


def _other(folder: Path, name: str) -> Any:
    port = _free_port()
    script = Path(__file__).with_name("other_servers.py")
    path = "/inference" if name == "mosec" else "/predict"
    return _process([sys.executable, str(script), name, str(folder), str(port)], Server(port, path, ours=False))


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _answers_one(server: Server) -> bool:
    try:
        return bool(_answers(server, ["a"]))
    except (OSError, asyncio.IncompleteReadError, KeyError, ValueError):
        return False


def _answers(server: Server, texts: list[str]) -> list[str]:
    async def ask() -> list[str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        found = [server.label(await _ask(reader, writer, server, text)) for text in texts]
        writer.close()
        return found

    return asyncio.run(ask())


async def _ask(reader: Any, writer: Any, server: Server, text: str) -> bytes:
    writer.write(server.request(text))
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    body = await reader.readexactly(size)
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise OSError(f"{head!r}: {body!r}")
    return body


async def _load(server: Server, texts: list[str], clients: int, seconds: float) -> tuple[float, np.ndarray]:
    """Returns the answers per second, and the seconds of each answer."""
    spent: list[float] = []
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        while (start := time.perf_counter()) < end:
            await _ask(reader, writer, server, texts[(number + len(spent)) % len(texts)])
            spent.append(time.perf_counter() - start)
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(client(number * 17) for number in range(clients)))
    return len(spent) / (time.perf_counter() - start), np.array(spent)


if __name__ == "__main__":
    typer.run(main)
