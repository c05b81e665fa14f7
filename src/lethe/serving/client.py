"""A typed client of the service, for the programs of a shop.

    with lethe.client("http://127.0.0.1:3000", key) as service:
        answer = service.recommend("u-17", k=5, filter={"in_stock": True})
        print([item.item_id for item in answer.items])

What is refused is a ``ServiceError`` with the service's one line; a service that is overloaded, or a rate that is used
up, is asked again after as long as it says. Nothing is kept, and nothing of an answer is logged.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel

from lethe.errors import LetheError
from lethe.serving.answers import Batch, Explained, Person, Recommended, Scores, ServedModels, Similar, Taken

RawId = int | str
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
    """Asks one service. ``tries``: how often, before a busy service or a lost connection is an error."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 10,
        tries: int = 3,
        http: httpx.Client | None = None,
    ) -> None:
        self._http = http or httpx.Client(base_url=url, timeout=timeout)
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
        given = None if body is None else {name: _plain(value) for name, value in body.items() if value is not None}
        for left in reversed(range(self._tries)):
            try:
                answer = self._http.request("GET" if body is None else "POST", path, json=given, headers=self._headers)
            except httpx.TransportError as error:
                if not left:
                    raise ServiceError(0, f"service: no answer ({type(error).__name__})") from None
                continue
            if answer.status_code not in AGAIN or not left:
                break
            said = answer.headers.get("retry-after", "1")
            time.sleep(min(float(said) if said.isdigit() else 1.0, LONGEST_WAIT))
        if answer.status_code != 200:
            raise ServiceError(answer.status_code, _line(answer))
        return kind.model_validate_json(answer.content)


def _plain(value: Any) -> Any:
    """Sequences as JSON has them; whatever else as it is."""
    return list(value) if isinstance(value, tuple | set | frozenset) else value


def _line(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"service: status {answer.status_code}"
