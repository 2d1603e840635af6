"""An exported SavedModel behind Ray Serve, whose replicas join requests to batches.

    pip install 'ray[serve]' tensorflow tensorflow_text
    MODEL=models/sentiment/1 serve run deploy.ray_serve:application
    curl -d '{"text": "A joy."}' localhost:8000

The body has the columns of one row; the answer has the outputs of `serving_default`.
"""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf
import tensorflow_text  # noqa: F401  # registers the operations that the tokenizer consists of
from ray import serve
from starlette.requests import Request


@serve.deployment(ray_actor_options={"num_cpus": 2})
class Model:
    """A replica with the model in it."""

    def __init__(self, path: str) -> None:
        self._loaded = tf.saved_model.load(path)
        self._ask = self._loaded.signatures["serving_default"]

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.002)
    async def _answers(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        columns = {name: tf.constant([row[name] for row in rows]) for name in rows[0]}
        outputs = {name: value.numpy().tolist() for name, value in self._ask(**columns).items()}
        return [{name: _text(values[number]) for name, values in outputs.items()} for number in range(len(rows))]

    async def __call__(self, request: Request) -> dict[str, Any]:
        return await self._answers(await request.json())


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


application = Model.bind(os.environ["MODEL"])
