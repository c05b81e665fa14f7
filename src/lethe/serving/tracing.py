"""One OpenTelemetry span a request, where BentoML's configuration says that requests are traced: its route, how it
ended, how long it took. Never of whom.

BentoML's own spans hold paths, queries, addresses and texts of faults as they came, so they stay off; where spans are
sent, and how many of them, is BentoML's to say.
"""

from __future__ import annotations

import time

from opentelemetry.propagate import extract
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.datastructures import Headers
from starlette.types import Scope

WAITS_MS = 2000
"""Milliseconds that a worker which ends may take to send its last spans."""


class Traces:
    """Tells of requests that have ended."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider, self._tracer = provider, provider.get_tracer("lethe")

    def took(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        """One request was dealt with just now; a caller's own trace is continued."""
        ended, method = time.time_ns(), scope["method"]
        span = self._tracer.start_span(
            f"{method} {route}",
            extract(Headers(scope=scope)),
            SpanKind.SERVER,
            {"http.request.method": method, "http.route": route, "http.response.status_code": status},
            start_time=ended - int(seconds * 1e9),
        )
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    def send(self) -> None:
        """What waits to be sent with more: for a worker that ends, and takes it along."""
        self._provider.force_flush(WAITS_MS)


def traces() -> Traces | None:
    """As BentoML is configured in this worker; None where nothing is traced."""
    from bentoml._internal.configuration.containers import BentoMLContainer

    settings = BentoMLContainer.config.tracing.get()
    if not settings["exporter_type"] or not settings["sample_rate"]:
        return None
    return Traces(BentoMLContainer.tracer_provider.get())
