"""OpenTelemetry traces of requests, sent where OpenTelemetry's environment variables say."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import Any

from keras_bert_scratch.errors import UserError

MODULES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http", "opentelemetry.instrumentation.asgi")
SERVICE = "keras-bert"  # unless OTEL_SERVICE_NAME says otherwise


@contextlib.contextmanager
def traced(app: Any) -> Iterator[Any]:
    """Yields an ASGI application whose requests are traced; the last traces are sent at the end of the block.

    Args:
        app: callable. The application.

    Raises:
        UserError: OpenTelemetry's packages are not installed.
    """
    for module in MODULES:
        if not _is_installed(module):
            raise UserError(f"`telemetry`: {module} is missing; pip install 'keras_bert_scratch[telemetry]'")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({SERVICE_NAME: SERVICE}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield OpenTelemetryMiddleware(app, tracer_provider=provider, exclude_spans=["receive", "send"])
    finally:
        provider.shutdown()


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False
