"""What every request passes, whatever answers it: keys, limits, headers, one line of log. The outermost ASGI layer.

It stands before BentoML's own paths too, so that nothing (metrics, schema) is open by oversight. The log has a route's
name, never a path or a query as it came, which might hold anything; and no id of anybody.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import ceil
from typing import TYPE_CHECKING

from anyio import move_on_after
from starlette.datastructures import Headers, State
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lethe.config.serving import Limits
from lethe.core.logs import ACCESS
from lethe.serving.access import OPEN, Keys, Role, allowed, route_of

if TYPE_CHECKING:
    from lethe.serving.tracing import Traces

logger = logging.getLogger(ACCESS)

SAFE = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Headers of every answer: what is personal is kept nowhere on its way, and no page loads anything."""
RETRY_AFTER = 1
PATIENCE = 30.0
"""Seconds that a body may take to arrive: who sends slower holds a place of ``serving.limits.queue`` for nothing."""
_OF_HERE = re.compile(r"https?://(localhost|127(\.[0-9]+){3}|\[::1\])(:[0-9]+)?")
"""Origins of web pages that this machine serves itself."""
CALLERS = 10_000
"""Callers whose rate is watched; the one who was quiet longest is let go first."""


class Refused(Exception):
    """A request that is answered here, and goes no further."""

    def __init__(self, status: int, line: str, **headers: str) -> None:
        super().__init__(line)
        self.status, self.line = status, line
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class Caller:
    """Who asks, as far as access and limits go."""

    name: str
    roles: frozenset[Role]


@dataclass
class Rates:
    """Token buckets, one a caller: as many requests at once as in a second."""

    rate: float
    clock: Callable[[], float] = time.monotonic
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, name: str) -> bool:
        """Whether one more request of this caller is within their rate."""
        if not self.rate:
            return True
        now, most = self.clock(), max(self.rate, 1.0)
        left, at = self._left.pop(name, (most, now))
        left = min(most, left + (now - at) * self.rate)
        self._left[name] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > CALLERS:
            self._left.popitem(last=False)
        return left >= 1


class Gate:
    """ASGI middleware. ``state`` is the application's: its ``keys`` and its ``desk`` are there when a worker is up, its
    ``figures`` before; ``traces`` where there are any."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app, self.state, self.held = app, state, 0

    @property
    def keys(self) -> Keys:
        keys: Keys = self.state.keys
        return keys

    @property
    def limits(self) -> Limits:
        limits: Limits = self.state.desk.deployment.limits
        return limits

    @cached_property
    def rates(self) -> Rates:
        """The callers' buckets."""
        return Rates(self.limits.rate)

    @cached_property
    def inside(self) -> ASGIApp:
        """What answers: with CORS where web pages may ask."""
        return self._for_pages(self.app)

    def _for_pages(self, answer: ASGIApp) -> ASGIApp:
        """An answer that the web pages of ``serving.limits.origins`` may read, be it a refusal."""
        if not self.limits.origins:
            return answer
        return CORSMiddleware(
            answer,
            allow_origins=self.limits.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-api-key"],
            expose_headers=["retry-after"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status = time.perf_counter(), 500
        caller = Caller("nobody", frozenset())

        async def safe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = [pair for pair in message["headers"] if pair[0].decode("latin-1").lower() not in SAFE]
                own = [(name.encode(), value.encode()) for name, value in SAFE.items()]
                message = {**message, "headers": [*given, *own]}
            await send(message)

        try:
            caller = self._caller(scope)
            self._check(scope, caller)
            scope.setdefault("state", {})["roles"] = caller.roles
            await self._answer(scope, receive, safe)
        except Refused as refusal:
            headers = {"connection": "close"} if refusal.status in (408, 413) else {}
            answer = JSONResponse({"error": refusal.line}, refusal.status, headers | refusal.headers)
            await self._for_pages(answer)(scope, receive, safe)
        finally:
            self._log(scope, caller, status, began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in OPEN:
            return await self._probe(scope, receive, send)
        if self.held >= self.limits.queue:
            line = f"service: {self.held} requests wait already, ask again in {RETRY_AFTER} s"
            raise Refused(503, line, retry_after=str(RETRY_AFTER))
        self.held += 1
        try:
            body = await self._body(scope, receive)
            await self.inside(scope, body, send)
        finally:
            self.held -= 1

    async def _probe(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whether the worker lives or is ready is BentoML's to say; from what it answers is ours."""
        status = 500

        async def heard(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        await self.app(scope, receive, heard)
        body: dict[str, object] = {"ready" if scope["path"] == "/readyz" else "alive": status == 200}
        if scope["path"] == "/readyz":
            body["answers"] = self.state.desk.hidden.answers
        await JSONResponse(body, status)(scope, receive, send)

    def _caller(self, scope: Scope) -> Caller:
        headers = Headers(scope=scope)
        address = str((scope.get("client") or ("",))[0])
        if not self.keys:
            if _from_here(address) and "x-forwarded-for" not in headers and "forwarded" not in headers:
                self._must_be_of_here(headers.get("origin", ""))
                return Caller(address, frozenset(Role))
            if scope["path"] in OPEN:
                return Caller(address, frozenset())
            raise Refused(403, "key: this service has none, so it answers its own machine alone; see lethe keys api")
        word, _, key = headers.get("authorization", "").partition(" ")
        key = key.strip() if word.lower() == "bearer" else headers.get("x-api-key", "")
        if not key:
            return Caller("nobody", frozenset())
        entry = self.keys.find(key)
        if entry is None:
            raise Refused(401, "key: is not one of this service", www_authenticate="Bearer")
        return Caller(entry.name, frozenset({entry.role}))

    def _must_be_of_here(self, origin: str) -> None:
        """Without keys every page that a browser of this machine shows could ask, by a name of its own that leads here:
        it says where it comes from."""
        if origin and origin not in self.limits.origins and not _OF_HERE.fullmatch(origin):
            raise Refused(403, "origin: is a web page of elsewhere; serving.limits.origins names those that may ask")

    def _check(self, scope: Scope, caller: Caller) -> None:
        path = scope["path"]
        if path in OPEN or (self.limits.origins and scope["method"] == "OPTIONS"):
            return
        if not caller.roles:
            raise Refused(401, "key: missing, send it as Authorization: Bearer KEY", www_authenticate="Bearer")
        if not caller.roles & allowed(path):
            roles = " or ".join(sorted(allowed(path)))
            raise Refused(403, f"key: is of the role {', '.join(caller.roles)}, this needs {roles}")
        if not self.rates.take(caller.name):
            wait = max(RETRY_AFTER, ceil(1 / self.limits.rate))
            line = f"key: more than {self.limits.rate:g} requests a second, ask again in {wait} s"
            raise Refused(429, line, retry_after=str(wait))

    async def _body(self, scope: Scope, receive: Receive) -> Receive:
        """The body, read whole: it is small, and what is too large is refused before anything looks at it."""
        most, said = self.limits.body, Headers(scope=scope).get("content-length", "0")
        too_large = Refused(413, f"body: more than {most} bytes, at most so many are read")
        if said.isdigit() and int(said) > most:
            raise too_large
        content, more, first = bytearray(), True, True
        with move_on_after(PATIENCE) as slow:
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    break
                content += message.get("body", b"")
                more = message.get("more_body", False)
                if len(content) > most:
                    raise too_large
        if slow.cancelled_caught:
            raise Refused(408, f"body: must arrive within {PATIENCE:g} s")

        async def whole() -> Message:
            nonlocal first
            if not first:
                return await receive()
            first = False
            return {"type": "http.request", "body": bytes(content), "more_body": False}

        return whole

    def _log(self, scope: Scope, caller: Caller, status: int, began: float) -> None:
        seconds, route = time.perf_counter() - began, route_of(scope["path"]) or "other"
        self.state.figures.took(route, status, seconds)
        traces: Traces | None = getattr(self.state, "traces", None)
        if traces is not None and route not in OPEN:
            traces.took(scope, route, status, seconds)
        line = {
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 1),
            "key": caller.name if self.keys else None,
        }
        logger.info(json.dumps(line))


@lru_cache(CALLERS)
def _from_here(address: str) -> bool:
    """Whether an address is of this very machine; a socket in the file system has none."""
    try:
        return not address or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
