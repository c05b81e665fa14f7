from __future__ import annotations

import gc
import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from lethe.build.registry import Registry
from lethe.core.keys import subject_digest
from lethe.core.logs import JsonLines
from lethe.core.workspace import Workspace
from lethe.serving import hidden
from lethe.serving.deployment import Deployment
from lethe.serving.package import Package
from tests.serving.conftest import make_workspace, promote
from tests.serving.test_events import opened

USER, ITEM = "user-003", "item-005"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Deployment]:
    workspace = make_workspace(tmp_path_factory.mktemp("service") / "workspace")
    tags = {family: promote(workspace, family, seed) for seed, family in enumerate("ab")}
    values = {"bento": "recommender:1", "families": tags, "default": "b", "max_k": 15, "events": {}}
    deployment = Deployment.parse(values, "test")
    deployment.write(workspace.deployment)
    opened(workspace.events)
    return workspace, deployment


@pytest.fixture(scope="module")
def client(served: tuple[Workspace, Deployment]) -> Iterator[TestClient]:
    workspace, _ = served
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger("lethe"), "propagate", True)  # what the service sets ends with it
        patch.setenv("LETHE_DEPLOYMENT", str(workspace.deployment))
        patch.setenv("LETHE_HIDDEN_USERS", str(workspace.hidden_users))
        patch.setenv("LETHE_EVENTS", str(workspace.events))
        from bentoml._internal.configuration.containers import BentoMLContainer
        from bentoml._internal.models import ModelStore

        from lethe.serving.service import Recommender

        before = BentoMLContainer.model_store.get()
        BentoMLContainer.model_store.set(ModelStore(workspace.bentoml_home / "models"))
        try:
            with TestClient(Recommender.to_asgi(), client=("127.0.0.1", 50000)) as client:
                yield client
        finally:
            BentoMLContainer.model_store.set(before)


def answer_to(client: TestClient, user: str) -> dict[str, Any]:
    """All but what is of this one answer."""
    answer: dict[str, Any] = client.post("/recommend", json={"user_id": user}).json()
    del answer["recommendation_id"]
    return answer


def package(served: tuple[Workspace, Deployment], family: str) -> Package:
    workspace, deployment = served
    return Package.load(Registry(workspace).folder(deployment.families[family]))


@pytest.mark.parametrize("family", ["a", "b", None])
def test_a_known_user_is_answered_by_the_model_of_the_family(
    client: TestClient, served: tuple[Workspace, Deployment], family: str | None
) -> None:
    body = {"user_id": USER, "k": 4} | ({"family": family} if family else {})
    answer = client.post("/recommend", json=body).json()
    name = family or "b"
    expected = package(served, name).recommend(USER, 4).items
    assert answer.pop("recommendation_id").startswith("rec-")
    items = answer.pop("items")
    assert [(item["item_id"], item["score"]) for item in items] == expected
    assert {(item["source"], item["reason"]) for item in items} == {("model", "taste")}
    assert answer == {"family": name, "version": served[1].families[name], "source": "model", "known": True}


def test_a_session_is_followed_and_its_items_are_not_offered_again(client: TestClient) -> None:
    body = {"user_id": "session-1", "item_ids": [ITEM]}
    assert client.post("/v1/events", json=body).json()["taken"] == 1
    followed = client.post("/v1/recommend", json={"user_id": "session-1", "k": 15}).json()
    as_history = client.post("/v1/recommend", json={"user_id": "session-2", "k": 15, "history": [ITEM]}).json()
    assert followed["items"] == as_history["items"]
    assert followed["source"] != "popular"
    assert ITEM not in [item["item_id"] for item in followed["items"]]


def test_an_unknown_user_is_told_so_and_gets_ten_popular_items(
    client: TestClient, served: tuple[Workspace, Deployment]
) -> None:
    for user_id in ("nobody", 17):
        answer = client.post("/recommend", json={"user_id": user_id}).json()
        assert (answer["source"], answer["known"]) == ("popular", False)
        assert [item["item_id"] for item in answer["items"]] == [i for i, _ in package(served, "b").popular(10).items]


def test_a_suppressed_user_is_answered_like_an_unknown_one(
    client: TestClient, served: tuple[Workspace, Deployment]
) -> None:
    path = served[0].hidden_users
    before = answer_to(client, USER)
    hidden.publish(path, [subject_digest("tiny", USER)])
    suppressed = answer_to(client, USER)
    assert suppressed == answer_to(client, "nobody")
    assert client.post("/recommend", json={"user_id": "user-004"}).json()["source"] == "model"
    hidden.publish(path, [])
    assert answer_to(client, USER) == before


def test_similar_items(client: TestClient, served: tuple[Workspace, Deployment]) -> None:
    answer = client.post("/similar_items", json={"item_id": ITEM, "k": 3, "family": "a"}).json()
    expected = package(served, "a").similar_items(ITEM, 3)
    assert [(item["item_id"], item["score"]) for item in answer["items"]] == expected
    assert answer["version"] == served[1].families["a"]


def test_model_says_what_is_served(client: TestClient, served: tuple[Workspace, Deployment]) -> None:
    answer = client.get("/model").json()
    assert answer["pid"] == os.getpid()
    assert answer["bento"] == "recommender:1"
    assert answer["families"]["a"] == {
        "version": served[1].families["a"],
        "model": "wmf",
        "sharding": "whole",
        "data_digest": "data-0",
        "guarantee": "exact",
        "repeatable": True,
        "engine": "numpy",
    }


def test_ready_alive_and_documented(client: TestClient) -> None:
    assert client.get("/readyz").json() == {"ready": True, "answers": "models"}
    assert client.get("/livez").json() == {"alive": True}
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths["/v1/model"]) == {"get"}
    assert set(paths["/v1/recommend"]) == set(paths["/v1/similar_items"]) == {"post"}
    assert all(path.startswith("/v1/") for path in paths)


@pytest.mark.parametrize(
    ("route", "body", "status", "line"),
    [
        ("recommend", {"user_id": 1, "k": 0}, 422, "k: 0 Input should be greater than or equal to 1"),
        ("recommend", {"user_id": 1, "k": 16}, 422, "k: 16 must be between 1 and 15"),
        ("recommend", {"user_id": 1, "k": "3"}, 422, "k: '3' Input should be a valid integer"),
        ("recommend", {"k": 3}, 422, "user_id: Field required"),
        ("recommend", {"user_id": True}, 422, "user_id: True must be an integer or text"),
        ("recommend", {"user_id": None}, 422, "user_id: None must be an integer or text"),
        ("recommend", {"user_id": 1, "n": 3}, 422, "n: 3 Extra inputs are not permitted"),
        ("recommend", {"user_id": 1, "family": "c"}, 404, "family: 'c' must be one of a, b"),
        ("similar_items", {"item_id": "item-x"}, 404, "item_id: 'item-x' must be an item of the family 'b'"),
        ("similar_items", {"item_id": ["item-005"]}, 422, "item_id: ['item-005'] must be an integer or text"),
        ("similar_items", {"item_id": "item-005", "k": -1}, 422, "k: -1 Input should be greater than or equal to 1"),
    ],
)
def test_a_bad_request_is_one_line_with_field_value_and_rule(
    client: TestClient, route: str, body: dict[str, Any], status: int, line: str
) -> None:
    answer = client.post(f"/{route}", json=body)
    assert (answer.status_code, answer.json()) == (status, {"error": line})


@pytest.mark.parametrize(
    ("content", "status", "line"),
    [
        (b"{", 422, "body: must be valid JSON"),
        (b"\xff", 400, "body: must be valid JSON"),
        (b'{"user_id": 1' + b"0" * 5000 + b"}", 400, "body: must be valid JSON"),
        (b"", 422, "body: Field required"),
        (b"[1]", 422, "body: [1] Input should be a valid dictionary or object to extract fields from"),
        (b'{"user_id": "\\ud800"}', 422, "user_id: '\\ud800' must be valid Unicode, got half of a surrogate pair"),
    ],
)
def test_a_malformed_body_is_one_line(client: TestClient, content: bytes, status: int, line: str) -> None:
    answer = client.post("/recommend", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (status, {"error": line})


def test_no_request_leaves_an_id_in_a_log(
    client: TestClient,
    served: tuple[Workspace, Deployment],
    caplog: pytest.LogCaptureFixture,
    capfd: Any,
) -> None:
    with caplog.at_level(logging.DEBUG):
        for body in ({"user_id": USER}, {"user_id": USER, "k": 0}, {"user_id": USER, "family": "c"}, {"item_id": USER}):
            client.post("/recommend", json=body)
        client.post("/similar_items", json={"item_id": USER})
        for path in Path(served[0].state).rglob("*.log"):
            assert USER not in path.read_text()
    assert '"route": "/recommend"' in caplog.text
    assert USER not in caplog.text + "".join(capfd.readouterr())


def test_a_line_is_logged_once(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, elsewhere = io.StringIO(), io.StringIO()
    handler = next(own for own in logging.getLogger("lethe").handlers if isinstance(own.formatter, JsonLines))
    monkeypatch.setattr(handler, "stream", ours)
    other = logging.StreamHandler(elsewhere)
    logging.getLogger().addHandler(other)
    client.post("/recommend", json={"user_id": USER})
    logging.getLogger().removeHandler(other)
    assert json.loads(ours.getvalue())["route"] == "/recommend"
    assert "/recommend" not in elsewhere.getvalue()


def test_what_is_loaded_is_not_looked_through_for_garbage(client: TestClient) -> None:
    client.get("/livez")
    assert not any(thing is sa.Engine for thing in gc.get_objects()), "a class that the service imports"


def test_spans_that_nobody_collects_are_not_made(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr("opentelemetry.sdk.trace.Tracer.start_span", lambda _, name, *rest, **more: made.append(name))
    assert client.post("/recommend", json={"user_id": USER}).status_code == 200
    assert not made
