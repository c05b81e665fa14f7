"""The smoke test, put to desks that answer wrongly in one way each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lethe.core.artifacts import ArtifactStore
from lethe.core.keys import subject_digest
from lethe.core.workspace import Workspace
from lethe.errors import DeploymentError
from lethe.serving import deploy
from lethe.serving.answers import RawId, Recommended, Similar
from lethe.serving.deployment import Deployment
from lethe.serving.desk import Desk
from lethe.serving.hidden import HiddenUsers, publish
from lethe.serving.smoke import NOBODY, smoke_test
from tests.serving.conftest import ROWS, promote

FIRST, SECOND = sorted(set(ROWS.user_ids))[:2]


class Told:
    """A desk's answers, changed by the test, and who was asked about."""

    def __init__(self, desk: Desk, change: Callable[[Recommended], Recommended] = lambda answer: answer) -> None:
        self.desk, self.change = desk, change
        self.asked: list[RawId] = []

    def recommend(self, user_id: RawId, k: int, family: str | None) -> Recommended:
        self.asked.append(user_id)
        answer = self.desk.recommend(user_id, k, family)
        return answer if user_id == NOBODY else self.change(answer)

    def similar_items(self, item_id: RawId, k: int, family: str | None) -> Similar:
        return self.desk.similar_items(item_id, k, family)


@pytest.fixture
def desk(workspace: Workspace) -> Desk:
    deployment = Deployment.parse({"bento": "b:1", "families": {"a": promote(workspace, "a", 0)}, "default": "a"}, "t")
    store = ArtifactStore(workspace.artifacts)
    return Desk.load(
        deployment, lambda tag: store.open(workspace.bentoml_home.joinpath("models", *tag.split(":"))).path,
        HiddenUsers(workspace.hidden_users),
    )  # fmt: skip


def seen_by(user_id: str) -> set[RawId]:
    return set(ROWS.item_ids[ROWS.user_ids == user_id].tolist())


def test_somebody_known_is_asked_about_and_nobody_who_is_hidden(desk: Desk, workspace: Workspace) -> None:
    told = Told(desk)
    smoke_test(desk, told, desk.hidden)
    assert told.asked == [NOBODY, FIRST]
    publish(workspace.hidden_users, [subject_digest("tiny", FIRST)])
    told = Told(desk)
    smoke_test(desk, told, desk.hidden)
    assert told.asked == [NOBODY, SECOND]
    workspace.hidden_users.unlink()  # Then everybody is hidden.
    told = Told(desk)
    smoke_test(desk, told, desk.hidden)
    assert told.asked == [NOBODY]


def test_who_asks_to_be_forgotten_meanwhile_is_rightly_answered_from_popularity(
    desk: Desk, workspace: Workspace
) -> None:
    def hides(answer: Recommended) -> Recommended:
        publish(workspace.hidden_users, [subject_digest("tiny", FIRST)])
        return answer.model_copy(update={"source": "popular"}) if told.asked[-1] == FIRST else answer

    told = Told(desk, hides)
    smoke_test(desk, told, desk.hidden)
    assert told.asked == [NOBODY, FIRST, SECOND]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda answer: answer.model_copy(update={"source": "popular"}), "from its model, got .* source 'popular'"),
        (lambda answer: answer.model_copy(update={"items": []}), "from its model, got 0 items"),
        (
            lambda answer: answer.model_copy(
                update={
                    "items": [
                        answer.items[0],
                        answer.items[0].model_copy(update={"item_id": min(seen_by(FIRST), key=str)}),
                    ]
                }
            ),
            "must not offer what a user has seen, 1 of 2 are",
        ),
    ],
)
def test_a_wrong_answer_to_somebody_known_is_one_line_without_their_id(
    desk: Desk, change: Callable[[Recommended], Recommended], line: str
) -> None:
    with pytest.raises(DeploymentError, match=f"^smoke test: family 'a' .*{line}") as caught:
        smoke_test(desk, Told(desk, change), desk.hidden)
    assert FIRST not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_of_scores_that_are_no_numbers_is_not_deployed(desk: Desk) -> None:
    package = desk.packages["a"]
    ensemble = replace(package.ensemble, users=np.full_like(package.ensemble.users, np.nan))
    broken = replace(desk, packages={"a": replace(package, ensemble=ensemble)})
    with pytest.raises(DeploymentError, match="must answer a user it knows from its model, got 0 items"):
        smoke_test(broken, broken, desk.hidden)


def test_who_has_seen_everything_is_not_asked_about(desk: Desk) -> None:
    package = desk.packages["a"]
    every = np.arange(len(package.counts))
    indptr = np.concatenate([[0, len(every)], len(every) + package.indptr[2:] - package.indptr[1]])
    items = np.concatenate([every, package.items[package.indptr[1] :]])
    full = replace(desk, packages={"a": replace(package, indptr=indptr, items=items)})
    told = Told(full)
    smoke_test(full, told, desk.hidden)
    assert told.asked == [NOBODY, SECOND]


def test_a_deployment_is_tested_before_the_switch_with_the_workspaces_own_list_of_hidden_users(
    workspace: Workspace,
) -> None:
    asked: list[Desk] = []

    def spy(desk: Desk, answers: object, hidden: HiddenUsers) -> None:
        asked.append(desk)
        assert hidden.path == workspace.hidden_users

    deployment = Deployment.parse({"bento": "b:1", "families": {"a": promote(workspace, "a", 0)}, "default": "a"}, "t")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deploy, "smoke_test", spy)
        with pytest.raises(DeploymentError, match="bento 'b:1' is not in the bento store"):
            deploy.redeploy(workspace, deployment)
    assert [desk.deployment for desk in asked] == [deployment]
