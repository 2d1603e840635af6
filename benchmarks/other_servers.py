"""Third-party servers for one model, which benchmarks/serving_clients.py compares with ours.

    python benchmarks/other_servers.py mosec|litserve|plain-onnx|plain-pipeline FOLDER PORT

FOLDER holds `torch`, a model and its tokenizer for transformers, and `model.onnx`, the same model for ONNX Runtime.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litserve
import onnxruntime
import transformers

PROCESSES = 2
BATCH, SECONDS_TO_WAIT = 32, 0.005
ONNX_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
Answers = Callable[[list[str]], list[str]]


def onnx_answers(folder: Path) -> Answers:
    """Answers by ONNX Runtime on one thread and the Rust tokenizer; a batch is padded to its longest row."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "torch")
    labels = transformers.AutoConfig.from_pretrained(folder / "torch").id2label
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)

    def answers(texts: list[str]) -> list[str]:
        batch = tokenizer(texts, padding=True, truncation=True, return_tensors="np")
        (logits,) = session.run(None, {name: batch[name] for name in ONNX_INPUTS})
        return [labels[int(number)] for number in logits.argmax(-1)]

    return answers


def pipeline_answers(folder: Path) -> Answers:
    """Answers by transformers' pipeline on one thread."""
    import torch

    torch.set_num_threads(1)
    pipeline = transformers.pipeline("text-classification", model=str(folder / "torch"))
    return lambda texts: [row["label"] for row in pipeline(texts, batch_size=len(texts))]


def run_mosec(folder: Path, port: int) -> None:
    """https://mosecorg.github.io/mosec/"""
    from mosec import Server, Worker

    class Model(Worker):
        def __init__(self) -> None:
            super().__init__()
            self._answers = onnx_answers(folder)

        def forward(self, data: list[Any]) -> list[Any]:
            return [{"label": label} for label in self._answers([row["text"] for row in data])]

    sys.argv = [sys.argv[0], "--port", str(port), "--address", "127.0.0.1"]
    server = Server()
    server.append_worker(
        Model, num=PROCESSES, max_batch_size=BATCH, max_wait_time=int(1e3 * SECONDS_TO_WAIT), start_method="fork"
    )
    server.run()


class LitServeModel(litserve.LitAPI):
    """https://lightning.ai/docs/litserve"""

    def setup(self, device: str) -> None:
        """Loads the model, in each process."""
        self._answers = onnx_answers(Path(sys.argv[2]))

    def decode_request(self, request: dict[str, str]) -> str:
        """Returns the text."""
        return request["text"]

    def predict(self, texts: list[str]) -> list[str]:
        """Returns the labels of a batch."""
        return self._answers(texts)

    def encode_response(self, label: str) -> dict[str, str]:
        """Returns the answer for one text."""
        return {"label": label}


def run_litserve(port: int) -> None:
    """LitServe's own server."""
    api = LitServeModel(max_batch_size=BATCH, batch_timeout=SECONDS_TO_WAIT)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=PROCESSES)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")


def run_plain(answers: Callable[[Path], Answers], folder: Path, port: int) -> None:
    """uvicorn in two processes on one socket; each answers one request after another, without batches."""
    import os
    import socket

    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    listening = socket.socket()
    listening.bind(("127.0.0.1", port))
    listening.listen(128)
    for _ in range(PROCESSES - 1):
        if os.fork() == 0:
            break
    model = answers(folder)

    async def predict(request: Request) -> JSONResponse:
        (label,) = model([(await request.json())["text"]])
        return JSONResponse({"label": label})

    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run([listening])


if __name__ == "__main__":
    name, folder, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if name == "mosec":
        run_mosec(folder, port)
    elif name == "litserve":
        run_litserve(port)
    else:
        run_plain(pipeline_answers if name == "plain-pipeline" else onnx_answers, folder, port)
