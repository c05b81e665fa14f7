"""Where do I add an endpoint? A method of the desk, and a route of a few lines in serving/routes that calls it."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from pydantic import Field
from starlette.testclient import TestClient

from lethe.build.registry import Registry
from lethe.core.keys import subject_digest
from lethe.core.workspace import Workspace
from lethe.serving.answers import Recommended
from lethe.serving.asking import Body, RawId
from lethe.serving.deployment import Deployment
from lethe.serving.desk import Desk
from lethe.serving.hidden import HiddenUsers, publish
from lethe.serving.routes import application
from tests.serving.conftest import make_workspace, promote

# --- the endpoint: what would stand in src/lethe/serving/routes.py ----------------------------------------------


class ForMany(Body):
    user_ids: Annotated[list[RawId], Field(min_length=1, max_length=1000)]


def add_route(to: FastAPI, desk: Desk) -> None:
    @to.post("/recommend_many", response_model=list[Recommended])
    async def recommend_many(request: ForMany) -> list[Recommended]:
        """The best unseen items of each user, scored together."""
        return desk.recommend_many(request.user_ids, request.k, request.family)


# --- what then holds ---------------------------------------------------------------------------------------------


@pytest.fixture
def client(tmp_path: Any) -> TestClient:
    workspace: Workspace = make_workspace(tmp_path / "workspace")
    publish(workspace.hidden_users, [subject_digest("tiny", "user-004")])
    values = {"bento": "recommender:1", "families": {"a": promote(workspace, "a", 1)}, "default": "a", "max_k": 15}
    desk = Desk.load(Deployment.parse(values, "test"), Registry(workspace).folder, HiddenUsers(workspace.hidden_users))
    # The service's own way of refusing comes with the application.
    own = application()
    add_route(own, desk)
    return TestClient(own)


def test_it_answers_and_hides_as_the_desk_does(client: TestClient) -> None:
    asked = {"user_ids": ["user-003", "user-004", "nobody"], "k": 3}
    known, hidden, unknown = client.post("/recommend_many", json=asked).json()
    assert (known["source"], known["known"]) == ("model", True)
    assert len(known["items"]) == 3
    assert hidden == unknown


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ({"user_ids": []}, "user_ids: [] List should have at least 1 item after validation, not 0"),
        ({"user_ids": ["user-003"], "k": 16}, "k: 16 must be between 1 and 15"),
        ({"user_ids": ["user-003"], "users": 1}, "users: 1 Extra inputs are not permitted"),
    ],
)
def test_it_refuses_in_one_line_with_field_value_and_rule(client: TestClient, body: dict[str, Any], line: str) -> None:
    answer = client.post("/recommend_many", json=body)
    assert (answer.status_code, answer.json()) == (422, {"error": line})
