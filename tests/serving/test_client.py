"""The client against the routes themselves, in process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

import lethe
from lethe.serving import client as clients
from lethe.serving.client import Client, ServiceError
from tests.serving.test_gate import KEYS, Role, served


def asking(role: Role) -> Client:
    return Client("http://testserver", KEYS[role], http=TestClient(served(), client=("10.0.0.7", 1)))


def test_every_method_has_its_route_and_its_type() -> None:
    with asking(Role.OPERATOR) as service:
        answer = service.recommend(1, k=2, history=(30,), diversity=0.5)
        assert [item.item_id for item in answer.items] == [40]
        assert service.recommend(1, k=2, history=(30,), deny={40}).items == []
        assert answer.known is True
        assert answer.recommendation_id
        assert [len(one.items) for one in service.recommend_many([1, 99], k=1)] == [1, 1]
        assert service.similar_items(10, 20, k=1).items[0].reason == "near"
        assert len(service.score(1, [10, 99]).scores) == 2
        assert service.explain(1, 40).family == "f"
        assert service.tell(1, 10, 20, ratings=[4, 5], recommendation_id=answer.recommendation_id).taken == 2
        assert service.model().bento == "b:1"
    with asking(Role.PRIVACY_OFFICER) as officer:
        assert officer.person(1).known_to == ["f"]


def test_it_is_made_by_lethe_itself() -> None:
    with (
        lethe.client("http://127.0.0.1:1", tries=1) as service,
        pytest.raises(ServiceError, match=r"^service: no answer"),
    ):
        service.model()


def test_a_refusal_is_the_services_own_line() -> None:
    with asking(Role.READER) as service:
        with pytest.raises(ServiceError, match=r"^family: 'x' must be one of f$") as caught:
            service.recommend(1, family="x")
        assert caught.value.status == 404
        with pytest.raises(ServiceError, match=r"^key: is of the role reader, this needs privacy-officer$"):
            service.person(1)


def scripted(answers: Iterator[httpx.Response | Exception]) -> httpx.Client:
    def answer(_: httpx.Request) -> httpx.Response:
        following = next(answers)
        if isinstance(following, Exception):
            raise following
        return following

    return httpx.Client(base_url="http://x", transport=httpx.MockTransport(answer))


def test_a_busy_service_is_asked_again_after_as_long_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(clients.time, "sleep", waited.append)
    busy = httpx.Response(503, json={"error": "service: busy"}, headers={"retry-after": "2"})
    done: dict[str, Any] = {"known_to": [], "hidden_in": []}
    answers = [busy, httpx.ConnectError("lost"), httpx.Response(200, json=done)]
    assert Client("http://x", http=scripted(iter(answers))).person("u").known_to == []
    assert waited == [2.0]
    with pytest.raises(ServiceError, match=r"^service: busy$"):
        Client("http://x", tries=2, http=scripted(iter([busy, busy]))).person("u")
    with pytest.raises(ServiceError, match=r"^service: no answer \(ConnectError\)$"):
        Client("http://x", tries=1, http=scripted(iter([httpx.ConnectError("anna")]))).person("u")
    with pytest.raises(ServiceError, match=r"^service: status 502$"):
        Client("http://x", http=scripted(iter([httpx.Response(502, text="<html>")]))).person("u")
