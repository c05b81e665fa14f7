"""A session is followed between trainings: what was told of a user is answered by, and not offered again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from lethe.core.keys import subject_digest
from lethe.core.random import Stream
from lethe.learning.aggregation import identity
from lethe.learning.ensemble import Asked
from lethe.learning.training import train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.serving.deployment import Deployment
from lethe.serving.desk import BadRequest, Desk, NotServed
from lethe.serving.event import Event
from lethe.serving.event_file import Named, keep_out
from lethe.serving.events import Unavailable
from lethe.serving.hidden import Everybody, HiddenUsers, publish
from lethe.serving.package import Package
from lethe.serving.packing import write_package
from lethe.serving.sequences import Sequences
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from tests.contract import checkerboard
from tests.serving.conftest import package_info
from tests.serving.test_events import opened
from tests.serving.test_gate import Role, client, served
from tests.serving.test_package import SEEN, package

ROWS = checkerboard(3)
NEW = "new"


def made(folder: Path, model: str, rows: Interactions = ROWS, positive: str | None = None, **values: Any) -> Package:
    """A small trained package."""
    catalogue = Catalogue.of(rows)
    learner = MODELS[model](configure(model, values), catalogue.shape)
    train(learner, catalogue.encode(rows), Stream(1)("test"))
    ensemble, _ = identity.fit([SubModel("whole", learner.eval(), catalogue)], rows, identity.Config(), Stream(1))
    write_package(folder, ensemble, rows, package_info(model=model).model_copy(update={"positive": positive}))
    return Package.load(folder)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    publish(tmp_path / "hidden.json", [subject_digest("tiny", "hidden")])
    deployment = Deployment.parse({"bento": "b:1", "families": {"f": "t:1"}, "default": "f"}, "test")
    events = opened(tmp_path / "serving" / "events.sqlite")
    packages = {"f": made(tmp_path / "package", "wmf", embedding_dim=4)}
    return Desk(deployment, packages, HiddenUsers(tmp_path / "hidden.json"), events=events)


def ids(desk: Desk, user: int | str, **said: Any) -> list[int | str]:
    return [item.item_id for item in desk.recommend(user, 5, **said).items]


def liked_of(desk: Desk, user: int) -> list[int | str]:
    seen = desk.packages["f"].seen(user)
    return list(desk.packages["f"].ensemble.catalogue.items.decode(seen).tolist())


def test_somebody_new_is_answered_by_what_they_did_as_by_a_history(desk: Desk) -> None:
    liked = liked_of(desk, 0)[:3]
    before, as_history = desk.recommend(NEW, 5), desk.recommend(NEW, 5, history=liked)
    assert before.source == "popular"
    assert desk.take(NEW, liked).taken == 3
    assert desk.recommend(NEW, 5) == as_history
    assert as_history.items[0].reason == "history"
    assert desk.recommend_many(["other", NEW], 5) == [before, as_history]
    assert desk.scores(NEW, liked) == desk.scores("other", liked, history=liked)
    assert desk.explain(NEW, as_history.items[0].item_id, 2) == desk.explain(
        "other", as_history.items[0].item_id, 2, history=liked
    )
    # What the request says again is not counted twice.
    assert desk.recommend(NEW, 5, history=liked) == as_history
    assert desk.recommend("hidden", 5) == before


def test_to_what_is_known_of_a_known_user_it_is_added(desk: Desk) -> None:
    user = desk.packages["f"].ensemble.catalogue.users.values[0]
    best = ids(desk, user)
    as_history = desk.recommend(user, 5, history=best[:1])
    desk.take(user, best[:1], recommendation_id="rec-0123456789abcdef")
    assert desk.recommend(user, 5) == as_history
    assert as_history.items[0].reason == "taste and history"
    assert best[0] not in ids(desk, user), "what was just taken is not offered again"


def test_what_was_told_is_seen_and_keep_seen_says_otherwise(desk: Desk) -> None:
    from lethe.serving.asking import Wish

    liked = liked_of(desk, 0)
    desk.take(NEW, liked[:3])
    assert not set(liked[:3]) & set(ids(desk, NEW, wish=Wish(exclude_history=False, k=5)))
    again = desk.recommend(NEW, 15, wish=Wish(keep_seen=True)).items
    assert set(liked[:3]) <= {item.item_id for item in again}
    assert ids(desk, NEW, wish=Wish(allow=liked[2:5])) == ids(desk, NEW, wish=Wish(allow=liked[3:5]))


def test_the_answer_reveals_neither_who_is_hidden_nor_who_is_a_customer(desk: Desk) -> None:
    buffer, known = desk.events, desk.packages["f"].ensemble.catalogue.users.values[1]
    assert buffer is not None
    keep_out(buffer.path, Named(users=frozenset({subject_digest("tiny", "forgotten")})))
    liked = liked_of(desk, 0)[:2]
    answers = [desk.take(user, liked) for user in (known, NEW, "hidden", "forgotten")]
    assert all(answer == answers[0] for answer in answers)
    assert [len(buffer.of("tiny", user)) for user in (known, NEW, "hidden", "forgotten")] == [2, 2, 0, 0]
    assert desk.recommend("forgotten", 5).source == "popular"


def test_of_who_is_hidden_later_nothing_is_answered_by(desk: Desk) -> None:
    liked = liked_of(desk, 0)[:2]
    desk.take(NEW, liked)
    assert desk.hidden.path is not None
    publish(desk.hidden.path, [subject_digest("tiny", NEW)])
    assert desk.recommend(NEW, 5) == desk.recommend("nobody", 5)
    assert desk.recommend_many([NEW], 5) == [desk.recommend("nobody", 5)]
    assert desk.scores(NEW, liked) == desk.scores("nobody", liked)
    assert desk.explain(NEW, liked[0], 3).items == []


def test_what_can_t_be_taken_is_refused_whoever_it_is_about(desk: Desk) -> None:
    for user in ("hidden", NEW):
        with pytest.raises(NotServed, match=r"^item_id: 'none' must be an item of the family 'f'$"):
            desk.take(user, ["none"])
        with pytest.raises(BadRequest, match=r"^ratings: 1 given, must be as many as the 2 items$"):
            desk.take(user, liked_of(desk, 0)[:2], ratings=[1.0])
    with pytest.raises(NotServed, match=r"^events: this service keeps none; serving\.events in params\.yaml"):
        replace(desk, events=None).take(NEW, liked_of(desk, 0)[:1])
    with pytest.raises(Unavailable, match="nobody knows who is hidden"):
        replace(desk, hidden=Everybody()).take(NEW, liked_of(desk, 0)[:1])


def test_dislikes_are_seen_and_not_followed(tmp_path: Path) -> None:
    rows = Interactions.of(ROWS.user_ids, ROWS.item_ids, np.full(len(ROWS), 5.0))
    liking = made(tmp_path / "liking", "wmf", rows, positive=">= 4", embedding_dim=4)
    items = liking.ensemble.catalogue.items.decode(liking.seen(0)[:3]).tolist()
    told = [Event(str(items[0]), 5.0), Event(str(items[1]), 1.0), Event(str(items[2]))]
    followed, stars = liking.followed(-1, None, None, told)
    assert liking.ensemble.catalogue.items.decode(followed).tolist() == [items[0], items[2]]
    assert stars is not None
    assert stars.tolist() == pytest.approx([5.0, np.nan], nan_ok=True)
    assert len(liking.followed(-1, items, [1.0, 4.0, 5.0])[0]) == 2, "so are those of a request's history"


def test_a_family_that_folds_nobody_in_answers_those_it_knows_as_before() -> None:
    fixed = package(SEEN, np.arange(16, dtype=np.float32).reshape(4, 4))
    told = [Event("20")]
    assert fixed.recommend(3, 2, lately=told).source == "model"
    assert fixed.recommend(99, 2, lately=told).source == "similar"


def test_a_model_that_follows_an_order_goes_on_from_the_users_own_sequence(tmp_path: Path) -> None:
    order = np.random.default_rng(5).permutation(len(ROWS))
    timed = Interactions.of(ROWS.user_ids, ROWS.item_ids, timestamps=order)
    served = made(tmp_path / "timed", "gru4rec", timed, epochs=1, embedding_dim=4)
    user = served.ensemble.catalogue.users.values[0]
    mine = timed.take(timed.user_ids == user)
    assert mine.timestamps is not None
    own = mine.item_ids[np.argsort(mine.timestamps)]
    assert served.sequences is not None
    assert served.ensemble.catalogue.items.decode(served.sequences.of(0)).tolist() == own.tolist()
    new = next(raw for raw in served.ensemble.catalogue.items.values.tolist() if raw not in own)
    followed, _ = served.followed(0, None, None, [Event(str(new))])
    asked = Asked(histories=[np.append(own, new)])
    expected = served.ensemble.score(np.array([0]), asked)[0]
    scored = served.scores(0, followed)
    assert scored is not None
    np.testing.assert_array_equal(scored[0], expected)
    assert served.followed(0, None, None, [Event(str(own[0]))])[0].tolist() == [], "a training has learnt it since"
    # A history stands for all that they did, and what was told before goes before it.
    given, _ = served.followed(0, own[:2].tolist(), None, [Event(str(new)), Event(str(own[1]))])
    assert served.ensemble.catalogue.items.decode(given).tolist() == [new, *own[:2]]


def test_sequences_leave_out_what_the_catalogue_does_not_have() -> None:
    catalogue = Catalogue.of(Interactions.of(np.array([1, 2, 2]), np.array([10, 10, 20])))
    rows = Interactions.of(
        np.array([2, 1, 2, 3, 2]), np.array([20, 10, 30, 10, 10]), timestamps=np.array([9, 1, 3, 1, 2])
    )
    made = Sequences.made(catalogue, rows)
    assert [made.of(user).tolist() for user in range(2)] == [[0], [0, 1]]
    assert Sequences.of_arrays(made.arrays()) == made
    assert Sequences.of_arrays({}) is None


def test_the_route_takes_and_the_next_answer_follows(tmp_path: Path) -> None:
    gate = served(events=opened(tmp_path / "events.sqlite"))
    asking = client(gate, Role.READER)
    first = asking.post("/v1/recommend", json={"user_id": "new", "k": 2}).json()
    body = {"user_id": "new", "item_ids": [20], "recommendation_id": first["recommendation_id"]}
    assert asking.post("/v1/events", json=body).json() == {"taken": 1, "family": "f", "version": "t:1"}
    after = asking.post("/v1/recommend", json={"user_id": "new", "k": 4}).json()
    assert (first["source"], after["source"]) == ("popular", "similar")
    assert 20 not in [item["item_id"] for item in after["items"]]
    assert gate.state.desk.events.of("tiny", "new")[0].recommendation == first["recommendation_id"]


@pytest.mark.parametrize(
    ("said", "status", "line"),
    [
        ({"item_ids": []}, 422, "item_ids: [] List should have at least 1 item"),
        ({"item_ids": [10] * 101}, 422, "item_ids: "),
        ({"item_ids": [10], "recommendation_id": "mine"}, 422, "recommendation_id: 'mine' String should match"),
        ({"item_ids": [10], "family": "x"}, 404, "family: 'x' must be one of f"),
        ({"item_ids": [99]}, 404, "item_id: 99 must be an item of the family 'f'"),
        ({"item_ids": [10], "ratings": [1, 2]}, 422, "ratings: 2 given, must be as many as the 1 items"),
        ({"item_ids": [10], "at": 3}, 422, "at: 3 Extra inputs"),
    ],
)
def test_what_is_wrong_with_an_event_is_one_line(said: dict[str, Any], status: int, line: str) -> None:
    answer = client(served(), Role.READER).post("/v1/events", json={"user_id": "u"} | said)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert answer.json()["error"].startswith(line)


def test_a_buffer_that_is_away_is_a_503_and_answers_go_on(tmp_path: Path) -> None:
    buffer = opened(tmp_path / "events.sqlite")
    asking: TestClient = client(served(events=buffer, rate=1000), Role.READER)
    for file in tmp_path.glob("events.sqlite*"):
        file.unlink()
    answer = asking.post("/events", json={"user_id": "u", "item_ids": [10]})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"].startswith("events: can't be kept now")
    assert asking.post("/recommend", json={"user_id": 1}).status_code == 200
