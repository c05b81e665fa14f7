"""The client against the routes themselves, in process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

import lethe
from lethe.errors import ConfigError
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


@pytest.mark.parametrize(
    ("url", "asks_a_proxy"), [("http://127.0.0.1:1", False), ("http://[::1]:1", False), ("https://shop.example", True)]
)
def test_a_service_on_this_machine_is_asked_past_a_proxy(
    url: str, asks_a_proxy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bool] = []
    monkeypatch.setattr(clients.httpx, "Client", lambda **given: made.append(given["trust_env"]))
    Client(url)
    assert made == [asks_a_proxy]


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
    with pytest.raises(ServiceError, match=r"^service: no answer \(DecodingError\)$"):
        Client("http://x", tries=1, http=scripted(iter([httpx.DecodingError("anna")]))).person("u")


@pytest.mark.parametrize("content", ["<html>", '{"something": "else"}'])
def test_an_answer_of_something_else_is_one_line(content: str) -> None:
    with pytest.raises(ServiceError, match=r"^service: its answer to /v1/person is none of this Lethe's") as caught:
        Client("http://x", http=scripted(iter([httpx.Response(200, text=content)]))).person("u")
    assert caught.value.status == 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wait", ["\u00b2", "-1", "Wed, 21 Oct 2015 07:28:00 GMT", "soon"])
def test_a_wait_that_is_no_number_is_a_second(wait: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(clients.time, "sleep", waited.append)
    busy = httpx.Response(503, json={"error": "service: busy"}, headers={"retry-after": wait.encode()})
    with pytest.raises(ServiceError, match=r"^service: busy$"):
        Client("http://x", tries=2, http=scripted(iter([busy, busy]))).person("u")
    assert waited == [1.0]


def test_numbers_and_columns_of_a_frame_are_sent_as_they_are_meant() -> None:
    with asking(Role.OPERATOR) as service:
        assert (
            service.recommend(np.int64(1), k=2, history=np.array([30])).items
            == service.recommend(1, history=[30]).items
        )
        assert len(service.recommend_many(np.array([1, 2]), k=1)) == 2
        with pytest.raises(ServiceError, match=r"^user_id: '.ud800' must be valid Unicode"):
            service.recommend("\ud800")


@pytest.mark.parametrize("wish", [{"diversity": float("nan")}, {"allow": [object()]}, {"filter": {"price": 1j}}])
def test_what_json_cannot_hold_is_not_sent(wish: dict[str, Any]) -> None:
    with pytest.raises(
        ServiceError, match=r"^request: must hold text, finite numbers, true, false, lists and mappings"
    ):
        Client("http://x", http=scripted(iter([]))).recommend("u", **wish)


@pytest.mark.parametrize(
    ("url", "given", "line"),
    [
        ("nonsense", {}, "url: must be the address of a service"),
        ("http://[::1", {}, "url: must be the address of a service"),
        ("", {}, "url: must be the address of a service"),
        ("http://x", {"tries": 0}, "tries: 0 must be at least 1"),
        ("http://x", {"key": "k\u00e9y"}, "key: must be one line of ASCII"),
        ("http://x", {"key": "key\nX-Role: operator"}, "key: must be one line of ASCII"),
    ],
)
def test_an_address_or_a_key_that_can_be_none_is_refused_at_once(url: str, given: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=f"^{line}") as caught:
        lethe.client(url, **given)
    assert "operator" not in str(caught.value)
