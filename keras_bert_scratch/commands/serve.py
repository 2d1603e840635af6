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
            help="What to serve, NAME=PATH, where PATH is a SavedModel of 'keras-bert export', or a folder with its "
            "versions 1, 2, 3...; without a name, by the folder's.",
            metavar="[NAME=]PATH...",
        ),
    ],
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 for other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Of HTTP; 0 for any that is free.")] = 8501,
    grpc_port: Annotated[int, typer.Option(help="Of gRPC; 0 for any that is free.")] = 8500,
    engine: Annotated[
        str,
        typer.Option(
            help="What runs the network: tensorflow; litert or litert-int8, which want an export with that variant, "
            "start sooner, take less than half of the memory and are quicker."
        ),
    ] = "tensorflow",
    workers: Annotated[int | None, typer.Option(help="Calls of models at once; by default one for each CPU.")] = None,
    token_budget: Annotated[int, typer.Option(help="Tokens of a batch at most, padding included.")] = 2048,
    most_waiting: Annotated[int, typer.Option(help="Rows that may wait; who comes then is told to come again.")] = 1024,
    timeout: Annotated[float, typer.Option(help="Seconds after which a request is given up.")] = 30,
    most_megabytes: Annotated[float, typer.Option(help="Of a request.")] = 8,
    keep_versions: Annotated[int, typer.Option(help="How many of a model's highest versions answer.")] = 1,
    poll_seconds: Annotated[float, typer.Option(help="How often to look for new versions.")] = 1,
    token_file: Annotated[
        Path | None, typer.Option(help="A file with a secret that clients must bring as 'Authorization: Bearer ...'.")
    ] = None,
    telemetry: Annotated[
        bool, typer.Option("--telemetry", help="Trace HTTP requests for OpenTelemetry, by its environment variables.")
    ] = False,
    warm_up: Annotated[
        bool, typer.Option(help="Ask each version what its export wrote for it, before it answers.")
    ] = True,
) -> None:
    """Answer over HTTP and gRPC, as TensorFlow Serving does."""
    folders = _folders(models)
    _check_installed()
    from keras_bert_scratch.serving.server.server import ServerOptions, serve

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    workers = (os.cpu_count() or 1) if workers is None else workers
    # Several calls, each on a thread, share the processor better than one call on several does.
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
        print(f"anybody who reaches {host} may ask; --token-file keeps others out", file=sys.stderr)

    async def until_told() -> None:
        stop = asyncio.Event()

        def on_ready(service: Any, http_port: int, rpc_port: int) -> None:
            for number in (signal.SIGTERM, signal.SIGINT):  # until now they end the process at once
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            for name in service.store.names:
                version, model = service.store.find(name)
                print(f"{name}: version {version}, {model.spec.task}, takes {', '.join(model.spec.columns)}")
            print(f"http://{shown}:{http_port} answers, gRPC at {shown}:{rpc_port}; Ctrl-C stops", flush=True)

        await serve(folders, options, stop, on_ready)

    shown = f"[{host}]" if ":" in host else host
    print(f"loading {', '.join(folders)}...", file=sys.stderr)
    asyncio.run(until_told())
    print("stopped; what was asked is answered", file=sys.stderr)


def _folders(models: Sequence[str]) -> dict[str, str]:
    folders: dict[str, str] = {}
    for given in models:
        name, equals, path = given.partition("=")
        if not equals:
            name, path = Path(given).resolve().name, given
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise UserError(f"`models`: {name!r} cannot be a name; write NAME={path}, of letters, digits, . _ -")
        if name in folders:
            raise UserError(f"`models`: two are called {name}; give them names of their own, as in other={path}")
        folders[name] = path
    return folders


def _token(file: Path) -> str:
    token = read_text(path_of(file)).strip()
    if not token:
        raise UserError(f"`token_file`: {file} is empty")
    return token


def _check_installed() -> None:
    for module in ("grpc", "httptools", "orjson", "prometheus_client", "starlette", "uvicorn"):
        if importlib.util.find_spec(module) is None:
            raise UserError(f"`models`: {module} is missing; pip install 'keras_bert_scratch[serve]'")
