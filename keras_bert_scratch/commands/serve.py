"""`keras-bert serve`: exported models over HTTP and gRPC."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of
from keras_bert_scratch.transfer import read_text

EXAMPLE = "keras-bert serve sentiment=my-saved-model --port 8501"


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Models to serve: NAME=PATH, where PATH is a SavedModel of 'keras-bert export', or a folder with its "
            "versions 1, 2, 3...; NAME is by default the folder's.",
            metavar="[NAME=]PATH...",
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 to serve other machines, too.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of HTTP; 0 for any free one.")] = 8501,
    grpc_port: Annotated[int, typer.Option(help="Port of gRPC; 0 for any free one.")] = 8500,
    engine: Annotated[
        str,
        typer.Option(
            help="What runs the network: tensorflow; litert or litert-int8, which need an export with that variant, "
            "start sooner, take less than half of the memory and are faster."
        ),
    ] = "tensorflow",
    workers: Annotated[int | None, typer.Option(help="Concurrent calls of models; by default one per CPU.")] = None,
    token_budget: Annotated[
        int, typer.Option(help="Maximum tokens per batch, in all sequences of its rows, padding included.")
    ] = 2048,
    most_waiting: Annotated[
        int, typer.Option(help="Maximum waiting rows; further requests get status 429 with Retry-After.")
    ] = 1024,
    timeout: Annotated[float, typer.Option(help="Seconds after which an unanswered request fails.")] = 30,
    most_megabytes: Annotated[float, typer.Option(help="Maximum size of a request, in megabytes.")] = 8,
    keep_versions: Annotated[int, typer.Option(help="How many of a model's highest versions are served.")] = 1,
    poll_seconds: Annotated[float, typer.Option(help="Seconds between checks for new versions.")] = 1,
    token_file: Annotated[
        Path | None, typer.Option(help="A file with a secret that clients must send as 'Authorization: Bearer ...'.")
    ] = None,
    telemetry: Annotated[
        bool,
        typer.Option(
            "--telemetry", help="Trace HTTP requests with OpenTelemetry; its environment variables configure it."
        ),
    ] = False,
    warm_up: Annotated[bool, typer.Option(help="Run the warm-up requests of each version before it answers.")] = True,
) -> None:
    """Serve exported models over HTTP and gRPC, with TensorFlow Serving's protocols and others."""
    folders = _folders(models)
    _check_installed()
    from keras_bert_scratch.serving.server.server import SECONDS_TO_STOP, ServerOptions, Stopped, serve

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    workers = (os.cpu_count() or 1) if workers is None else workers
    # Several calls with one thread each use the processor better than one call with several threads.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    options = ServerOptions(
        host=host,
        port=port,
        grpc_port=grpc_port,
        engine=engine,
        workers=workers,
        token_budget=token_budget,
        most_waiting=most_waiting,
        timeout=timeout,
        most_megabytes=most_megabytes,
        keep_versions=keep_versions,
        poll_seconds=poll_seconds,
        token=None if token_file is None else _token(token_file),
        telemetry=telemetry,
        warm_up=warm_up,
    )
    if options.token is None and host not in ("127.0.0.1", "localhost", "::1"):
        print(
            f"no authentication: any client that reaches {host} is answered; --token-file requires a token",
            file=sys.stderr,
        )

    async def serve_until_stopped() -> Stopped:
        stop = asyncio.Event()

        def on_ready(service: Any, http_port: int, rpc_port: int) -> None:
            for number in (signal.SIGTERM, signal.SIGINT):  # before this, they end the process at once
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            for name in service.store.names:
                version, model = service.store.find(name)
                print(f"{name}: version {version}, {model.spec.task}, takes {', '.join(model.spec.columns)}")
            print(f"http://{shown}:{http_port} answers, gRPC at {shown}:{rpc_port}; Ctrl-C stops", flush=True)

        return await serve(folders, options, stop, on_ready)

    shown = f"[{host}]" if ":" in host else host
    print(f"loading {', '.join(folders)}...", file=sys.stderr)
    stopped = asyncio.run(serve_until_stopped())
    if stopped.unanswered:
        found = f"pending requests that were not answered within {SECONDS_TO_STOP} s: {stopped.unanswered}"
    else:
        found = "all pending requests were answered"
    print(f"stopped; {found}", file=sys.stderr, flush=True)
    if stopped.is_busy:
        os._exit(0)  # while a thread runs a model, the interpreter cannot end without a crash in TensorFlow


def _folders(models: Sequence[str]) -> dict[str, str]:
    folders: dict[str, str] = {}
    for given in models:
        name, equals, path = given.partition("=")
        if not equals:
            name, path = Path(given).resolve().name, given
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise UserError(
                f"`models`: {name!r} is not a valid name; write NAME={path}, with a NAME of letters, digits, . _ -"
            )
        if name in folders:
            raise UserError(f"`models`: two are called {name}; give each a different name, such as other={path}")
        folders[name] = path
    return folders


def _token(file: Path) -> str:
    token = read_text(path_of(file)).strip()
    if not token:
        raise UserError(f"`token_file`: {file} is empty; write the token into it")
    return token


def _check_installed() -> None:
    for module in ("grpc", "httptools", "orjson", "prometheus_client", "starlette", "uvicorn"):
        if importlib.util.find_spec(module) is None:
            raise UserError(f"`models`: {module} is missing; pip install 'keras_bert_scratch[serve]'")
