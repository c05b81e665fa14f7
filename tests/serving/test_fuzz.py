"""Whatever is sent by the schema is answered or refused in one line: never an error of ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from starlette.testclient import TestClient

from lethe.serving.deployment import Deployment
from lethe.serving.desk import Desk
from lethe.serving.hidden import HiddenUsers
from lethe.serving.routes import application
from tests.serving.test_events import opened
from tests.serving.test_wishes import TABLE, served

PATHS = [(path, method) for path, methods in application().openapi()["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder: Path = tmp_path_factory.mktemp("features")
    (folder / "tiny.csv").write_text(TABLE)
    app = application()
    deployment = Deployment.parse({"bento": "b:1", "families": {"f": "t:1"}, "default": "f"}, "test")
    app.state.desk = Desk(deployment, {"f": served()}, HiddenUsers(None), folder, opened(folder / "events.sqlite"))
    return app


@pytest.mark.parametrize(("path", "method"), PATHS, ids=lambda part: str(part))
def test_nothing_that_is_sent_is_an_error_of_ours(app: FastAPI, path: str, method: str) -> None:
    operation = schemathesis.openapi.from_asgi("/openapi.json", app)[path][method]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=int(os.environ.get("LETHE_FUZZ", "15")),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    def send(case: Any) -> None:
        answer = case.call()
        assert answer.status_code in (200, 400, 404, 422), answer.text
        if answer.status_code != 200:
            assert list(answer.json()) == ["error"]
            assert "\n" not in answer.json()["error"]

    send()


@pytest.mark.parametrize(
    ("path", "body", "line"),
    [
        ("events", '{"user_id": 1, "user_id": 2, "item_ids": [1]}', "body: each name must be given once"),
        ("recommend", '{"user_id": 1, "k": 2, "k": 3}', "body: each name must be given once"),
        ("recommend", '{"user_id": 1, "context": {"a": 1, "a": 2}}', "body: each name must be given once"),
        ("recommend", "[" * 100_000 + "]" * 100_000, "body: must be valid JSON"),
        ("recommend", '{"user_id": ' + "9" * 5000 + "}", "body: must be valid JSON"),
        ("recommend", '{"user_id": NaN}', "user_id: nan must be an integer or text"),
        ("recommend", '{"user_id": 1, "filter": {"kind": {"min": NaN}}}', "filter.kind: {'min': nan} must be"),
        ("events", '{"user_id": 1, "item_ids": [1], "ratings": [1e308]}', "ratings: 1e+308 Input should be less"),
        (
            "events",
            '{"user_id": 1, "item_ids": [1], "ratings": [true]}',
            "ratings: True Input should be a valid number",
        ),
        ("events", '{"user_id": 1, "item_ids": [1], "ratings": ["4"]}', "ratings: '4' Input should be a valid number"),
        ("recommend", '{"user_id": 1, "a\\nb": 1}', r"'a\nb': 1 Extra inputs are not permitted"),
        ("recommend", '{"user_id": 1, "filter": {"\\ud800": {}}}', "filter.'\ufffd\ufffd\ufffd': {} must be text"),
        ("recommend", '{"user_id": 1, "filter": {"price": NaN}}', "filter.price: nan must be a finite number"),
        ("recommend", f'{{"user_id": 1, "k": 1{"0" * 4000}}}', f"k: 1{'0' * 56}... must be between 1 and"),
        ("recommend", f'{{"user_id": 1, "{"x" * 9000}": 1}}', f"'{'x' * 56}...: 1 Extra inputs are not permitted"),
        ("similar_items", '{"item_id": null}', "body: {'item_id': None} must have one of item_id, item_ids"),
        ("similar_items", '{"item_ids": null}', "body: {'item_ids': None} must have one of item_id, item_ids"),
    ],
    ids=[
        *("user twice", "k twice", "context twice", "deep", "long", "nan", "rule", "beyond 32 bits", "boolean", "text"),
        *("lines in a name", "half a letter", "a filter by nan", "huge k", "long name", "no item", "no items"),
    ],
)
def test_what_no_schema_allows_is_refused_in_a_line(app: FastAPI, path: str, body: str, line: str) -> None:
    client = TestClient(app, raise_server_exceptions=False)
    answer = client.post(f"/v1/{path}", content=body.encode(), headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"].startswith(line)
    assert "\n" not in answer.json()["error"]
    assert len(answer.text) < 250


def test_what_is_no_route_no_method_or_no_json_is_said(app: FastAPI) -> None:
    client = TestClient(app)
    assert client.get("/v1/nothing").json() == {"error": "path: is no route of this service; /openapi.json lists them"}
    wrong = client.get("/v1/recommend")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json() == {"error": "method: is not one of this route; /openapi.json says which are"}
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = client.post("/v1/recommend", content=b'{"user_id": "anna"}', headers={"content-type": kind})
        assert answer.json() == {"error": "content-type: must be application/json, with a body of JSON"}


def test_a_fault_of_ours_says_so_and_nothing_of_what_broke(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("anna")

    monkeypatch.setattr(Desk, "recommend", breaks)
    answer = TestClient(app, raise_server_exceptions=False).post("/v1/recommend", json={"user_id": "anna"})
    assert answer.status_code == 500
    assert answer.json() == {"error": "service: a fault of ours, nothing was answered; its log has the kind of it"}
