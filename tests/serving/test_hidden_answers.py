"""A hidden user is answered like an unknown one, whatever else is said with the request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lethe.core.keys import subject_digest
from lethe.serving.asking import Wish
from lethe.serving.deployment import Deployment
from lethe.serving.desk import BadRequest, Desk, NotServed
from lethe.serving.hidden import AS_ITEM, HiddenUsers, publish
from tests.serving.test_package import SEEN, Fixed, package

SCORES = np.arange(16, dtype=np.float32).reshape(4, 4)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    served = package(SEEN, SCORES)
    assert isinstance(served.ensemble, Fixed)
    served.ensemble.accepts = frozenset({"history", "contexts"})
    path = tmp_path / "hidden.json"
    publish(path, [subject_digest(served.info.dataset, 1)])
    deployment = Deployment.parse({"bento": "b:1", "families": {"f": "t:1"}, "default": "f"}, "test")
    return Desk(deployment, {"f": served}, HiddenUsers(path))


@pytest.mark.parametrize(
    "said",
    [{}, {"history": [10, 20]}, {"context": {"daytime": "morning"}}, {"history": [10], "context": {"daytime": "x"}}],
    ids=["nothing", "history", "context", "both"],
)
def test_whatever_is_said_with_the_request(desk: Desk, said: dict[str, object]) -> None:
    hidden = desk.recommend(1, 3, **said)  # type: ignore[arg-type]
    assert hidden == desk.recommend("nobody", 3)
    assert hidden.source == "popular"
    assert desk.recommend(2, 3, **said).source == "model"  # type: ignore[arg-type]


def test_several_at_once_and_the_same_id_as_text(desk: Desk) -> None:
    first, second, third = desk.recommend_many([1, "1", 2], 3)
    assert first == second == desk.recommend("nobody", 3)
    assert third.source == "model"


def test_what_others_are_refused_is_refused_to_the_hidden_too(desk: Desk) -> None:
    served = desk.packages["f"]
    assert isinstance(served.ensemble, Fixed)
    served.ensemble.accepts = frozenset()
    for user in (1, 2, "nobody"):
        with pytest.raises(BadRequest, match="context"):
            desk.recommend(user, 3, context={"daytime": "morning"})
        with pytest.raises(BadRequest, match=r"^ratings: 1 given, must be as many as the history's 2 items"):
            desk.recommend(user, 3, history=[10, 20], ratings=[4.0])


def test_who_is_an_item_too_is_offered_to_nobody(desk: Desk) -> None:
    served = desk.packages["f"]
    list_of, person = desk.hidden.path, subject_digest(served.info.dataset, 20)
    assert list_of is not None
    everything = Wish(keep_seen=True)
    before = {user: {one.item_id for one in desk.recommend(user, 4, wish=everything).items} for user in (2, "nobody")}
    assert all(20 in items for items in before.values())
    publish(list_of, [person, person + AS_ITEM])
    for user, items in before.items():
        assert {one.item_id for one in desk.recommend(user, 4, wish=everything).items} == items - {20}
        assert 20 not in {one.item_id for one in desk.recommend_many([user], 4, wish=everything)[0].items}
    assert 20 not in {one.item_id for one in desk.similar_items(10, 4).items}
    assert desk.scores(2, [10, 20]).scores[1] is None
    with pytest.raises(NotServed, match=r"^item_id: 20 must be an item of the family"):
        desk.similar_items(20, 3)
    list_of.unlink()
    assert 20 not in {one.item_id for one in desk.recommend(2, 4, wish=everything).items}, "nobody says they are back"
    publish(list_of, [])
    assert {one.item_id for one in desk.recommend(2, 4, wish=everything).items} == before[2]


def test_an_item_that_only_has_the_id_of_a_hidden_user_stays(desk: Desk) -> None:
    assert desk.hidden.path is not None
    publish(desk.hidden.path, [subject_digest(desk.packages["f"].info.dataset, 20)])
    assert 20 in {one.item_id for one in desk.recommend(2, 4, wish=Wish(keep_seen=True)).items}
