"""A batch at the desk: everybody gets the answer that they get alone, a hidden user that of an unknown one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lethe.build.registry import Registry
from lethe.core.keys import subject_digest
from lethe.core.workspace import Workspace
from lethe.serving.asking import Wish
from lethe.serving.deployment import Deployment
from lethe.serving.desk import BadRequest, Desk, NotServed
from lethe.serving.hidden import HiddenUsers, publish
from tests.serving.conftest import promote

USERS = ["user-003", "nobody", "user-004", "user-005"]


@pytest.fixture
def desk(workspace: Workspace) -> Desk:
    deployment = Deployment.parse(
        {"bento": "recommender:1", "families": {"a": promote(workspace, "a", 1)}, "default": "a", "max_k": 15}, "test"
    )
    publish(workspace.hidden_users, [subject_digest("tiny", "user-004")])
    return Desk.load(deployment, Registry(workspace).folder, HiddenUsers(workspace.hidden_users))


def test_a_batch_gives_everybody_the_answer_they_get_alone(desk: Desk) -> None:
    answers = desk.recommend_many(USERS, 5)
    assert [answer.known for answer in answers] == [True, False, False, True]
    for user, answer in zip(USERS, answers, strict=True):
        alone = desk.recommend(user, 5)
        assert [item.item_id for item in answer.items] == [item.item_id for item in alone.items]
        assert answer.model_copy(update={"items": []}) == alone.model_copy(update={"items": []})


def test_a_hidden_user_in_a_batch_is_answered_as_an_unknown_one_to_the_letter(desk: Desk) -> None:
    answers = desk.recommend_many(USERS, 5)
    assert answers[2] == answers[1]


def test_a_batch_is_bounded_and_refused_as_one_user_is(desk: Desk) -> None:
    with pytest.raises(BadRequest, match=r"^user_ids: 1001 users are too many, at most 1000"):
        desk.recommend_many(["user-003"] * 1001, 5)
    with pytest.raises(BadRequest, match=r"^k: 16 must be between 1 and 15"):
        desk.recommend_many(USERS, 16)
    with pytest.raises(NotServed, match=r"^family: 'x' must be one of a"):
        desk.recommend_many(USERS, 5, "x")
    assert desk.recommend_many([], 5) == []


def test_more_items_than_there_are_give_all_there_are(desk: Desk) -> None:
    """Whoever asks, and in whatever way: k above the catalogue's size is a shorter list, each item once."""
    desk = replace(desk, deployment=desk.deployment.model_copy(update={"max_k": 100}))
    items = {offer.item_id for offer in desk.recommend("nobody", 100).items}
    for wish in (Wish(keep_seen=True), Wish(keep_seen=True, diversity=0.5), Wish(keep_seen=True, diversity=1)):
        answers = [desk.recommend("user-003", 100, wish=wish), *desk.recommend_many(USERS, 100, wish=wish)]
        for answer in answers:
            assert sorted(offer.item_id for offer in answer.items) == sorted(items)
    near = desk.similar_items("item-001", 100).items
    assert sorted(str(offer.item_id) for offer in near) == sorted(str(item) for item in items - {"item-001"})
    assert 0 < len(desk.explain("user-003", "item-001", 100).items) < len(items)
