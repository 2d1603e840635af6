"""Server: loads models, listens for HTTP and gRPC, watches the folders, and answers what is pending before it stops."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import uvicorn

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.serving.server.batcher import Batcher
from keras_bert_scratch.serving.server.bearer_token import GrpcBearerToken
from keras_bert_scratch.serving.server.http_app import http_app
from keras_bert_scratch.serving.server.metrics import Metrics
from keras_bert_scratch.serving.server.model_store import ModelStore
from keras_bert_scratch.serving.server.served_model import ENGINES, ServedModel
from keras_bert_scratch.serving.server.service import Service
from keras_bert_scratch.serving.server.telemetry import traced
from keras_bert_scratch.serving.server.tensorflow_serving_grpc import TensorFlowServingGrpc

log = logging.getLogger(__name__)

MEGABYTE = 1 << 20
SECONDS_TO_STOP = 30  # for pending requests
SECONDS_TO_END = 2  # then, for calls of models that nobody waits for, and for loading


@dataclasses.dataclass(frozen=True)
class Stopped:
    """How a server stopped.

    Args:
        unanswered: int. How many pending requests took too long and were not answered.
        is_busy: bool. Whether a thread still runs or loads a model, which cannot be interrupted.
    """

    unanswered: int
    is_busy: bool


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Options of a server; the command line has the same names.

    Args:
        host: str, default "127.0.0.1". The address to listen at; by default only this machine can connect.
        port: int, default 8501. Port of HTTP; 0 for any free one.
        grpc_port: int, default 8500. Port of gRPC; 0 for any free one.
        engine: str, default "tensorflow". What runs the networks: `"tensorflow"`, `"litert"` or `"litert-int8"`.
        workers: int, default 2. Concurrent calls of models.
        token_budget: int, default 2048. Maximum tokens of a batch, in all sequences of its rows, padding included.
        most_waiting: int, default 1024. Maximum number of waiting rows; further requests get 429.
        timeout: float, default 30. Seconds after which an unanswered request fails.
        most_megabytes: float, default 8. Maximum size of a request's body.
        keep_versions: int, default 1. How many of a model's highest versions are served.
        poll_seconds: float, default 1. Time between checks of the folders.
        token: str or None, default None. What clients must send as `Authorization: Bearer ...`.
        telemetry: bool, default False. Whether HTTP requests are traced for OpenTelemetry.
        warm_up: bool, default True. Whether each version runs its warm-up requests before it is served.

    Raises:
        UserError: a value is unknown or out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    grpc_port: int = 8500
    engine: str = "tensorflow"
    workers: int = 2
    token_budget: int = 2048
    most_waiting: int = 1024
    timeout: float = 30
    most_megabytes: float = 8
    keep_versions: int = 1
    poll_seconds: float = 1
    token: str | None = None
    telemetry: bool = False
    warm_up: bool = True

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UserError(f"`engine`: {self.engine!r} is unknown; choose from {', '.join(ENGINES)}")
        for name in ("workers", "token_budget", "most_waiting", "keep_versions"):
            if getattr(self, name) < 1:
                raise UserError(f"`{name}`: must be at least 1, not {getattr(self, name)}")
        for name in ("timeout", "most_megabytes", "poll_seconds"):
            if not getattr(self, name) > 0:
                raise UserError(f"`{name}`: must be above 0, not {getattr(self, name)}")
        for name in ("port", "grpc_port"):
            if not 0 <= getattr(self, name) < 65536:
                raise UserError(f"`{name}`: must be from 0 to 65535, not {getattr(self, name)}")

    @property
    def most_bytes(self) -> int:
        """Maximum size of a request's body, in bytes."""
        return int(self.most_megabytes * MEGABYTE)


class _Http(uvicorn.Server):
    """uvicorn without its signal handlers: the caller handles signals, because gRPC must stop, too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    folders: Mapping[str, AnyPath | str],
    options: ServerOptions,
    stop: asyncio.Event,
    on_ready: Callable[[Service, int, int], None],
) -> Stopped:
    """Serves models until `stop` is set; then it answers the pending requests and returns, within about half a minute.

    Args:
        folders: mapping. By name, the folder of a SavedModel, or of its versions 1, 2, 3...
        options: ServerOptions. How to listen and work.
        stop: asyncio.Event. Set it to stop the server.
        on_ready: callable. Called with the service and the ports of HTTP and gRPC when clients can connect.

    Raises:
        UserError: a model cannot be loaded, or a port is taken.
    """

    def load(path: AnyPath, name: str, number: int) -> ServedModel:
        model = ServedModel(path, options.engine, options.workers, (name, str(number)))
        if options.warm_up:
            model.warm_up()
        return model

    http_socket = _socket(options.host, options.port)
    metrics = Metrics()
    store = ModelStore(folders, load, options.keep_versions)
    batcher = Batcher(options.workers, options.token_budget, options.most_waiting, metrics)
    service = Service(store, batcher, metrics, options.timeout)
    app = http_app(service, options.most_bytes, options.token)
    with traced(app) if options.telemetry else contextlib.nullcontext(app) as app:
        watcher = await _listen(app, http_socket, service, options, stop, on_ready)
    has_ended = await asyncio.to_thread(batcher.close, SECONDS_TO_END)
    return Stopped(metrics.unanswered, watcher.is_alive() or not has_ended)


async def _listen(
    app: Any,
    http_socket: socket.socket,
    service: Service,
    options: ServerOptions,
    stop: asyncio.Event,
    on_ready: Callable[[Service, int, int], None],
) -> threading.Thread:
    """Answers requests and watches for new versions until `stop` is set; returns the thread that watches."""
    http = _Http(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            loop="asyncio",
            http="httptools",
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=SECONDS_TO_STOP,
        )
    )
    rpc, grpc_port = _grpc_server(service, options)
    await rpc.start()
    listening = asyncio.create_task(http.serve([http_socket]))
    is_over = threading.Event()
    # Not a thread of asyncio, whose end would wait until a version that is being loaded is loaded.
    watcher = threading.Thread(target=_watch, args=(service.store, options.poll_seconds, is_over), daemon=True)
    watcher.start()
    while not http.started and not listening.done():
        await asyncio.sleep(0.01)
    on_ready(service, http_socket.getsockname()[1], grpc_port)
    await asyncio.wait([asyncio.create_task(stop.wait()), listening], return_when=asyncio.FIRST_COMPLETED)
    is_over.set()
    http.should_exit = True
    service.metrics.unanswered = 0  # from now on, those that take too long
    await asyncio.gather(listening, rpc.stop(SECONDS_TO_STOP))
    return watcher


def _watch(store: ModelStore, seconds: float, is_over: threading.Event) -> None:
    while not is_over.wait(seconds):
        try:
            store.refresh()
        except Exception:
            log.exception("the model folders could not be checked")


def _grpc_server(service: Service, options: ServerOptions) -> tuple[grpc.aio.Server, int]:
    interceptors = [GrpcBearerToken(options.token)] if options.token else []
    limits = [
        ("grpc.max_receive_message_length", options.most_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
    ]
    host = f"[{options.host}]" if ":" in options.host else options.host
    server = grpc.aio.server(interceptors=interceptors, options=limits)
    TensorFlowServingGrpc(service, options.most_bytes).add_to(server)
    try:
        return server, server.add_insecure_port(f"{host}:{options.grpc_port}")
    except RuntimeError:
        raise UserError(f"`grpc_port`: cannot listen on {host}:{options.grpc_port}; choose another") from None


def _socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be explicit: asyncio sends small responses without delay only if it knows that this is TCP.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        raise UserError(f"`port`: cannot listen on {host}:{port} ({error.strerror}); choose another") from None
    found.setblocking(False)
    return found
