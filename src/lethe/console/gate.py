"""What every answer of the console passes: headers, one line of log, and no trace of what broke."""

from __future__ import annotations

import json
import logging
import time

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lethe.core.process import place_of

logger = logging.getLogger("lethe.access")
_faults = logging.getLogger(__name__)

SAFE = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Headers of every answer: nothing is kept, nothing comes from elsewhere, no page of others may show one of ours."""


class Gate:
    """The outermost ASGI layer. The log has a route's name, never a path or a query as it came."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status = time.perf_counter(), 0

        async def safe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(name.encode(), value.encode()) for name, value in SAFE.items()]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        try:
            await self.app(scope, receive, safe)
        except Exception as error:
            # Its text, and a traceback of it, may hold a value of a row.
            _faults.error("console: %s", place_of(error))
        finally:
            route = getattr(scope.get("route"), "path", "other")
            took = round((time.perf_counter() - began) * 1000, 1)
            line = {"method": scope["method"], "route": route, "status": status or 500, "ms": took}
            logger.info(json.dumps(line | {"key": scope.get("state", {}).get("key")}))


async def broken(_: Request, error: Exception) -> PlainTextResponse:
    """What is answered where a bug of ours broke a page."""
    return PlainTextResponse(
        f"console: {place_of(error)}; what was sent is not known to be done, look before again\n", 500
    )
