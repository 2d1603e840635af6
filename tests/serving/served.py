"""A server in a thread of this process, and its clients."""

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import requests
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from keras_bert_scratch.serving.server.server import ServerOptions, Stopped, serve
from keras_bert_scratch.serving.server.service import Service


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a server listens, its service object, and how it stopped, once it has."""

    http: str
    grpc: str
    service: Service
    stopped: list[Stopped] = dataclasses.field(default_factory=list)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        if body is not None:
            options["json"] = body
        return requests.post(self.http + path, timeout=60, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.http + path, timeout=60, **options)

    @contextlib.contextmanager
    def stubs(self) -> Iterator[tuple[Any, Any]]:
        """The stubs of TensorFlow Serving's two gRPC services."""
        with grpc.insecure_channel(self.grpc) as channel:
            yield (
                prediction_service_pb2_grpc.PredictionServiceStub(channel),
                model_service_pb2_grpc.ModelServiceStub(channel),
            )


@contextlib.contextmanager
def running(folders: Mapping[str, Path], **options: Any) -> Iterator[Address]:
    """A server until the end of the block, which asserts that it stops cleanly."""
    found: dict[str, Any] = {}
    is_ready = threading.Event()

    def on_ready(service: Service, port: int, grpc_port: int) -> None:
        found["address"] = Address(f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}", service)
        is_ready.set()

    async def serve_until_stopped() -> None:
        found["stop"], found["loop"] = asyncio.Event(), asyncio.get_running_loop()
        ports = {"port": 0, "grpc_port": 0}
        stopped = await serve(folders, ServerOptions(**{**ports, **options}), found["stop"], on_ready)
        found["address"].stopped.append(stopped)

    def run() -> None:
        try:
            asyncio.run(serve_until_stopped())
        except BaseException as error:
            found["error"] = error
        is_ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    is_ready.wait()
    try:
        if "error" not in found:
            yield found["address"]
    finally:
        if thread.is_alive():
            found["loop"].call_soon_threadsafe(found["stop"].set)
        thread.join(60)
        assert not thread.is_alive()
    if "error" in found:
        raise found["error"]
