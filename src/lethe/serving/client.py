"""A typed client of the service, for the programs of a shop.

    with lethe.client("http://127.0.0.1:3000", key) as service:
        answer = service.recommend("u-17", k=5, filter={"in_stock": True})
        print([item.item_id for item in answer.items])

What is refused is a ``ServiceError`` with the service's one line; a service that is overloaded, or a rate that is used
up, is asked again after as long as it says. Nothing is kept, and nothing of an answer is logged.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from lethe.core.workspace import LOCAL
from lethe.errors import ConfigError, LetheError
from lethe.serving.answers import Batch, Explained, Person, RawId, Recommended, Scores, ServedModels, Similar, Taken
from lethe.serving.asking import plain

A = TypeVar("A", bound=BaseModel)
AGAIN = frozenset({429, 503})
"""Statuses that say: later."""
LONGEST_WAIT = 30.0
"""Seconds that one Retry-After is waited for, at most."""


class ServiceError(LetheError):
    """The service refused, or did not answer; ``status`` is 0 where there was no answer."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


class Client:
    """Asks one service. ``tries``: how often, before a busy service or a lost connection is an error.

    Raises ConfigError for an address or a key that can be none.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 10,
        tries: int = 3,
        http: httpx.Client | None = None,
    ) -> None:
        if tries < 1:
            raise ConfigError(f"tries: {tries} must be at least 1")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise ConfigError("key: must be one line of ASCII, as lethe keys api printed it")
        self._http = http or _reaching(url, timeout)
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._tries = tries

    def recommend(
        self,
        user_id: RawId,
        *,
        k: int = 10,
        family: str | None = None,
        history: Sequence[RawId] | None = None,
        ratings: Sequence[float] | None = None,
        context: Mapping[str, RawId] | None = None,
        **wish: Any,
    ) -> Recommended:
        """Items for a user. ``wish``: allow, deny, filter, keep_seen, exclude_history, diversity, caps."""
        body = {"user_id": user_id, "k": k, "family": family, "history": history, "ratings": ratings}
        return self._ask(Recommended, "/v1/recommend", body | {"context": context} | wish)

    def recommend_many(
        self, user_ids: Sequence[RawId], *, k: int = 10, family: str | None = None, **wish: Any
    ) -> list[Recommended]:
        """Items for each of many users, in their order."""
        return self._ask(Batch, "/v1/recommend/batch", {"user_ids": user_ids, "k": k, "family": family} | wish).answers

    def similar_items(self, *item_ids: RawId, k: int = 10, family: str | None = None, **wish: Any) -> Similar:
        """Items like one or several."""
        return self._ask(Similar, "/v1/similar_items", {"item_ids": item_ids, "k": k, "family": family} | wish)

    def score(
        self,
        user_id: RawId,
        item_ids: Sequence[RawId],
        *,
        family: str | None = None,
        history: Sequence[RawId] | None = None,
        context: Mapping[str, RawId] | None = None,
    ) -> Scores:
        """Scores of given items for a user."""
        body = {"user_id": user_id, "item_ids": item_ids, "family": family, "history": history, "context": context}
        return self._ask(Scores, "/v1/score", body)

    def explain(
        self,
        user_id: RawId,
        item_id: RawId,
        *,
        k: int = 10,
        family: str | None = None,
        history: Sequence[RawId] | None = None,
    ) -> Explained:
        """Which of the user's items carried an item's score."""
        body = {"user_id": user_id, "item_id": item_id, "k": k, "family": family, "history": history}
        return self._ask(Explained, "/v1/explain", body)

    def tell(
        self,
        user_id: RawId,
        *item_ids: RawId,
        family: str | None = None,
        ratings: Sequence[float] | None = None,
        recommendation_id: str | None = None,
    ) -> Taken:
        """That a user took these items just now, oldest first; what comes next follows it."""
        body = {"user_id": user_id, "item_ids": item_ids, "family": family, "ratings": ratings}
        return self._ask(Taken, "/v1/events", body | {"recommendation_id": recommendation_id})

    def person(self, user_id: RawId) -> Person:
        """For the privacy officer: who knows somebody, where they are hidden."""
        return self._ask(Person, "/v1/person", {"user_id": user_id})

    def model(self) -> ServedModels:
        """What is served."""
        return self._ask(ServedModels, "/v1/model", None)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _ask(self, kind: type[A], path: str, body: Mapping[str, Any] | None) -> A:
        sent: dict[str, Any] = {} if body is None else _as_json(body)
        for left in reversed(range(self._tries)):
            try:
                method, headers = "GET" if body is None else "POST", self._headers | sent.get("headers", {})
                answer = self._http.request(method, path, content=sent.get("content"), headers=headers)
            except httpx.RequestError as error:
                if not left:
                    raise ServiceError(0, f"service: no answer ({type(error).__name__})") from None
                continue
            if answer.status_code not in AGAIN or not left:
                break
            said = answer.headers.get("retry-after", "1")
            time.sleep(min(float(said) if said.isascii() and said.isdigit() else 1.0, LONGEST_WAIT))
        if answer.status_code != 200:
            raise ServiceError(answer.status_code, _line(answer))
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError:
            line = f"service: its answer to {path} is none of this Lethe's; does the URL lead to the service?"
            raise ServiceError(answer.status_code, line) from None


def _line(answer: httpx.Response) -> str:
    try:
        return " ".join(str(answer.json()["error"]).split())
    except (ValueError, KeyError, TypeError):
        return f"service: status {answer.status_code}"


def _reaching(url: str, timeout: float) -> httpx.Client:
    """Raises ConfigError for what is no address of a service."""
    try:
        if httpx.URL(url).scheme in ("http", "https") and httpx.URL(url).host:
            # A service on this machine is behind no proxy that the environment names.
            return httpx.Client(base_url=url, timeout=timeout, trust_env=httpx.URL(url).host not in LOCAL)
    except httpx.InvalidURL:
        pass
    raise ConfigError("url: must be the address of a service, such as http://127.0.0.1:3000")


def _as_json(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request's body, without what isn't said. Raises ServiceError where it holds what JSON can't."""
    try:
        given = {name: value for name, value in body.items() if value is not None}
        content = json.dumps(plain(given), allow_nan=False).encode()
    except (TypeError, ValueError):
        raise ServiceError(
            0, "request: must hold text, finite numbers, true, false, lists and mappings alone"
        ) from None
    return {"content": content, "headers": {"content-type": "application/json"}}
