"""`keras-bert serve` under load for minutes: is every answer right, is none lost, is memory constant?

    python benchmarks/serving_load.py models/sentiment shared/data/glue/SST-2/dev.tsv [--minutes 10] [--engine litert]

Clients send random texts of 1, 2, 3... 500 words, made from a table's texts (a model whose `max_length` is 512 reads
them at 500 lengths); each answer is compared with the one that the same text got alone at the start. 1 of 100 requests
is malformed, 1 of 100 too large: they must get 400 and 413. Each minute a copy of the model is added as the next
version, and the previous version is removed. Prints answers, their milliseconds and the server's resident memory minute
by minute. With `--preload libjemalloc.so.2` the server runs with another allocator (`apt-get install libjemalloc2`).
"""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

SHARE_OF_BAD = 0.01  # of malformed requests, and the same of those that are too large
TOLERANCE = 1e-4
MOST_BYTES = 8 << 20  # the server's default limit


@dataclasses.dataclass
class Report:
    """The outcomes of some requests.

    Args:
        outcomes: Counter. `right`, correctly `refused`, or what was wrong.
        seconds: list of float. Of each right answer.
        memory: list of int. The server's megabytes over time.
    """

    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    seconds: list[float] = dataclasses.field(default_factory=list)
    memory: list[int] = dataclasses.field(default_factory=list)

    @property
    def faults(self) -> dict[str, int]:
        """Outcomes that must not occur."""
        return {name: count for name, count in self.outcomes.items() if name not in ("right", "refused")}


async def load(
    port: int,
    path: str,
    texts: Sequence[str],
    seconds: float,
    clients: int,
    most_bytes: int = MOST_BYTES,
    seed: int = 1,
) -> Report:
    """Sends requests to a server with TensorFlow Serving's protocol for some time.

    Args:
        port: int. On this machine.
        path: str. Of requests, such as `/v1/models/m:predict`.
        texts: to send.
        seconds: float. Duration.
        clients: int. Concurrent clients; each waits for its answer.
        most_bytes: int. The server's limit for a request.
        seed: int, default 1. Of the order of requests.
    """
    report, rng = Report(), random.Random(seed)
    expected = {text: json.loads((await _ask(port, path, _body(text)))[1])["predictions"][0] for text in texts}
    end = time.monotonic() + seconds

    async def client() -> None:
        connection = None
        while time.monotonic() < end:
            kind, text = rng.random(), rng.choice(texts)
            start = time.monotonic()
            try:
                if kind < SHARE_OF_BAD:
                    status, answer = await _ask(port, path, _body(text)[: rng.randrange(1, 20)])
                    outcome = "refused" if status == 400 and "error" in json.loads(answer) else f"malformed: {status}"
                elif kind < 2 * SHARE_OF_BAD:
                    status, answer = await _ask(port, path, b'"' + b"a" * most_bytes)
                    outcome = "refused" if status == 413 else f"too large: {status}"
                else:
                    connection = connection or await asyncio.open_connection("127.0.0.1", port)
                    status, answer = await _ask(port, path, _body(text), connection)
                    outcome = _judged(status, answer, expected[text])
                    if outcome == "right":
                        report.seconds.append(time.monotonic() - start)
            except (OSError, asyncio.IncompleteReadError) as error:
                outcome, connection = f"lost: {type(error).__name__}", None
            report.outcomes[outcome] += 1

    await asyncio.gather(*(client() for _ in range(clients)))
    return report


def _body(text: str) -> bytes:
    return json.dumps({"instances": [text]}).encode()


def _judged(status: int, answer: bytes, expected: Mapping[str, Any]) -> str:
    if status != 200:
        return f"status {status}"
    found = json.loads(answer)["predictions"][0]
    same = found["label"] == expected["label"] and found["token_count"] == expected["token_count"]
    return "right" if same and np.allclose(found["scores"], expected["scores"], atol=TOLERANCE) else "wrong"


async def _ask(port: int, path: str, body: bytes, connection: Any = None) -> tuple[int, bytes]:
    """Returns status and body of an answer; opens a new connection if none is given."""
    reader, writer = connection or await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
    if len(body) < 1 << 20:  # a server may refuse a body that is too large before it arrives
        writer.write(body)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(re.search(rb"content-length: (\d+)", head)[1])
    answer = await reader.readexactly(size)
    if connection is None:
        writer.close()
    return int(head.split()[1]), answer


def main(
    model: Annotated[Path, typer.Argument(help="A SavedModel for classification.")],
    table: Annotated[Path, typer.Argument(help="A table with texts in the first column.")],
    minutes: Annotated[int, typer.Option(help="Duration in minutes.")] = 10,
    clients: Annotated[int, typer.Option(help="Number of concurrent clients.")] = 16,
    engine: Annotated[str, typer.Option(help="Engine of the server.")] = "litert",
    preload: Annotated[str, typer.Option(help="A library for the server to preload (LD_PRELOAD).")] = "",
) -> None:
    """Prints the outcomes, minute by minute."""
    texts = _texts(table)
    with tempfile.TemporaryDirectory() as name:
        base = Path(name) / "m"
        shutil.copytree(model, base / "1")
        command = [sys.executable, "-m", "keras_bert_scratch", "serve", str(base), "--engine", engine]
        command += ["--port", "0", "--grpc-port", "0"]
        environment = {**os.environ, **({"LD_PRELOAD": preload} if preload else {})}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
            while "answers, gRPC" not in (line := server.stdout.readline()):
                assert line, "the server did not start"
            port, total = int(re.search(r":(\d+) answers", line)[1]), Report()
            for minute in range(1, minutes + 1):
                coming = asyncio.run(_minute(port, texts, clients, base, minute, seed=minute))
                total.outcomes += coming.outcomes
                total.seconds += coming.seconds
                memory = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())[1]
                spent = 1e3 * np.percentile(coming.seconds, [50, 99])
                print(
                    f"minute {minute}: {dict(coming.outcomes)}, ms {spent[0]:.0f} (99th percentile {spent[1]:.0f}), "
                    f"{int(memory) // 1000} MB",
                    flush=True,
                )
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0
    spent = 1e3 * np.percentile(total.seconds, [50, 99])
    print(
        f"in total: {dict(total.outcomes)}, ms {spent[0]:.0f} (99th percentile {spent[1]:.0f}); errors: {total.faults}"
    )


async def _minute(port: int, texts: Sequence[str], clients: int, base: Path, minute: int, seed: int) -> Report:
    """Runs the load for one minute, in the middle of which the next version replaces the current one."""

    async def reload() -> None:
        await asyncio.sleep(20)
        await asyncio.to_thread(shutil.copytree, base / str(minute), base / str(minute + 1))
        await asyncio.sleep(30)
        shutil.rmtree(base / str(minute))

    report, _ = await asyncio.gather(load(port, "/v1/models/m:predict", texts, 55, clients, seed=seed), reload())
    return report


def _texts(table: Path) -> list[str]:
    """Returns a text of each number of words from 1 to 500."""
    with table.open(newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    words, rng = " ".join(row[0] for row in rows).split(), random.Random(1)
    lengths = range(1, 501)
    starts = [rng.randrange(len(words) - 500) for _ in lengths]
    return [" ".join(words[start : start + length]) for start, length in zip(starts, lengths, strict=True)]


if __name__ == "__main__":
    typer.run(main)
