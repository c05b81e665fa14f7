"""End a worker without losing a request.

A worker that is asked to end (a redeployment, see deploy.py) is stopped by uvicorn, which closes every connection that
has no request in progress: one that was accepted a moment ago and whose request is still on its way is lost with it.
So the worker first only stops accepting, and keeps answering what it accepted for a grace period, in which every
answer asks its client to come back over a new connection (RFC 9112, section 9.6), which a new worker will accept.
"""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

GRACE = 0.5
"""Seconds between accepting a connection and its first request, at most, on a busy machine."""

_shutdown = uvicorn.Server.shutdown


class Drain:
    """ASGI middleware that adds ``Connection: close`` to every answer of a worker that is ending."""

    ending = False

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def farewell(message: Message) -> None:
            if Drain.ending and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self.app(scope, receive, farewell)


def drain_before_shutdown() -> None:
    """Make this process's uvicorn drain before it shuts down; uvicorn offers no hook between the two."""
    uvicorn.Server.shutdown = _drain  # type: ignore[method-assign]


async def _drain(self: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
    Drain.ending = True
    for server in self.servers:
        server.close()
    await asyncio.sleep(GRACE)
    await _shutdown(self, sockets)
