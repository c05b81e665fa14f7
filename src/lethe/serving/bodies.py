"""Bodies of requests as JSON: of a name that is repeated nobody can tell which value is meant, so it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException


class Body(Request):
    async def json(self) -> Any:
        """Raises JSONDecodeError for what is no JSON, HTTPException for a name that is repeated."""
        return json.loads(await self.body(), object_pairs_hook=_named_once)


class BodyRoute(APIRoute):
    """A route whose body is read so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_body(request: Request) -> Response:
            return await handle(Body(request.scope, request.receive))

        return handle_body


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) < len(pairs):
        raise HTTPException(422, "body: each name must be given once")
    return body
