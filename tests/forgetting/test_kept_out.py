"""The event buffer and requests: wiped in the moment of acceptance, and nobody forgotten comes back into it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import yaml

from lethe.config.params import Params
from lethe.config.serving import Events
from lethe.core.keys import subject_digest
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.errors import ConfigError
from lethe.forgetting import certificate, intake, rotation, standing
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.stores.events import EventStore
from lethe.forgetting.stores.needles import Needles
from lethe.serving.event import Event
from lethe.serving.event_file import files
from lethe.serving.events import EventBuffer
from lethe.serving.hidden import HiddenUsers
from tests.conftest import make_workspace, taste_blocks
from tests.house import ask, fulfil, train

USER, OTHER, ITEM, LATER = "user-003", "user-004", "item-001", "item-002"


def switch(workspace: Workspace, events: dict[str, float] | None) -> None:
    """As somebody who edits params.yaml does, and deploys."""
    params = yaml.safe_load(workspace.params.read_text())
    params["serving"]["events"] = events
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    standing.publish_hidden(workspace)


@pytest.fixture
def followed(tiny: Workspace) -> Workspace:
    """Data, nothing trained, and a buffer."""
    params = Params.read(tiny.params)
    build_data(tiny, params, "tiny", list(params.pipeline.shardings))
    switch(tiny, {})
    return tiny


def tell(workspace: Workspace, user: str, *items: str) -> int:
    """What a worker does when it is told; how many events there are of the user then."""
    hidden, buffer = HiddenUsers(workspace.hidden_users), EventBuffer(workspace.events, Events())
    buffer.take("tiny", user, [Event(item) for item in items], lambda: hidden.holds("tiny", user))
    return kept(workspace, user)


def kept(workspace: Workspace, user: str) -> int:
    return len(EventBuffer(workspace.events, Events()).of("tiny", user))


def in_any_file(workspace: Workspace, user: str) -> bool:
    digest = subject_digest("tiny", user).encode()
    return any(digest in file.read_bytes() for file in files(workspace.events))


def test_a_request_wipes_the_buffer_and_keeps_its_subject_out(followed: Workspace) -> None:
    assert tell(followed, USER, ITEM, LATER) == tell(followed, OTHER, ITEM, LATER) == 2
    ask(followed, USER)
    assert not in_any_file(followed, USER), "not even in what was deleted"
    assert tell(followed, USER, ITEM) == 0
    assert not in_any_file(followed, USER)
    assert kept(followed, OTHER) == 2


def test_it_is_done_before_the_request_is_accepted_or_the_request_is_not_taken(
    followed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(followed, USER, ITEM)
    monkeypatch.setattr(Ledger, "_log", stopped)
    with pytest.raises(KeyboardInterrupt):
        ask(followed, USER)
    monkeypatch.undo()
    followed.events.write_bytes(b"damaged" * 1000)
    with pytest.raises(ConfigError, match=r"^events\.sqlite: the events that the service keeps can't be wiped"):
        ask(followed, USER)
    assert standing.ledger(followed).all() == []


def stopped(*_: object) -> None:
    raise KeyboardInterrupt


def test_events_that_arrive_while_requests_are_taken_leave_nothing(followed: Workspace) -> None:
    """Two workers tell of a customer without a pause, before, while and after the request is taken."""
    over, busy = threading.Event(), threading.Barrier(3)

    def worker(item: str) -> None:
        hidden, buffer = HiddenUsers(followed.hidden_users), EventBuffer(followed.events, Events())
        busy.wait()
        while not over.is_set():
            buffer.take("tiny", USER, [Event(item)], lambda: hidden.holds("tiny", USER))

    workers = [threading.Thread(target=worker, args=(item,)) for item in (ITEM, LATER)]
    for one in workers:
        one.start()
    busy.wait()
    try:
        ask(followed, USER)
        assert not in_any_file(followed, USER), "from acceptance on"
    finally:
        over.set()
        for one in workers:
            one.join()
    assert not in_any_file(followed, USER)


def test_who_was_only_in_the_buffer_is_known_and_gets_a_certificate(followed: Workspace) -> None:
    tell(followed, "session-77", ITEM)
    (id,) = ask(followed, "session-77")
    request = standing.ledger(followed).get(id)
    assert (request.state, request.result.outcome) == ("completed", "nothing held")
    assert not in_any_file(followed, "session-77")
    assert tell(followed, "session-77", ITEM) == 0, "they are suppressed, and stay out"


def test_a_merged_account_that_stands_nowhere_else_goes_too(followed: Workspace) -> None:
    standing.alias(followed, None, [(USER, "session-77")])
    tell(followed, "session-77", ITEM)
    ask(followed, USER)
    assert not in_any_file(followed, "session-77")
    assert tell(followed, "session-77", ITEM) == 0


def test_an_account_that_is_merged_while_a_request_waits_goes_too(followed: Workspace) -> None:
    ask(followed, USER)
    assert tell(followed, "session-77", ITEM) == 1
    standing.alias(followed, None, [(USER, "session-77")])
    assert not in_any_file(followed, "session-77")


def test_who_is_let_go_or_lifted_is_followed_again(followed: Workspace) -> None:
    (id,) = ask(followed, USER)
    standing.ledger(followed).advance(id, "cancelled")
    assert tell(followed, USER, ITEM) == 1
    assert tell(followed, "session-77", ITEM) == 1
    ask(followed, "session-77")
    standing.publish_hidden(followed)
    assert tell(followed, "session-77", ITEM) == 0
    standing.lift(followed, "tiny", "session-77")
    assert tell(followed, "session-77", ITEM) == 1


def test_switched_off_it_is_gone_and_a_new_one_keeps_the_same_people_out(followed: Workspace) -> None:
    ask(followed, USER)
    tell(followed, OTHER, ITEM)
    switch(followed, None)
    assert files(followed.events) == []
    ask(followed, "user-005")
    switch(followed, {"minutes": 5})
    assert kept(followed, OTHER) == 0
    assert tell(followed, USER, ITEM) == tell(followed, "user-005", ITEM) == 0
    assert tell(followed, OTHER, ITEM) == 1


def test_a_new_key_empties_it_and_keeps_the_same_people_out(followed: Workspace, tmp_path: Path) -> None:
    ask(followed, USER)
    tell(followed, OTHER, ITEM)
    rotation.rotate(followed, tmp_path / "backup.json")
    assert kept(followed, OTHER) == 0
    assert tell(followed, USER, ITEM) == 0
    assert tell(followed, OTHER, ITEM) == 1


def test_a_request_waits_for_facts_and_the_buffer_does_not(followed: Workspace) -> None:
    params = yaml.safe_load(followed.params.read_text())
    params["forgetting"] = {"requires": ["identity"]}
    followed.params.write_text(yaml.safe_dump(params))
    tell(followed, USER, ITEM)
    assert intake.submit(followed, "tiny", USER).state == "received"
    assert not in_any_file(followed, USER), "whoever is hidden is not kept"


def test_the_store_finds_and_removes_what_a_kill_left(followed: Workspace) -> None:
    tell(followed, USER, ITEM, LATER)
    tell(followed, OTHER, ITEM, LATER)
    store = EventStore(followed.events)
    digest = subject_digest("tiny", USER)
    by_id, by_digest = Needles("tiny", users=frozenset({USER})), Needles("tiny", keyed_users=frozenset({digest}))
    pair = Needles("tiny", pairs=frozenset({(OTHER, ITEM)}))
    for needles in (by_id, by_digest, pair):
        assert {place.kind for place in store.find([needles]).places} == {"digest"}
    assert [store.would_remove([needles]).entries for needles in (by_id, by_digest, pair)] == [2, 2, 1]
    assert store.remove([pair]).entries == 1
    assert store.remove([by_id]).entries == 2
    assert (kept(followed, OTHER), kept(followed, USER)) == (1, 0)
    assert not store.find([by_id, by_digest, pair]).places
    assert store.remove([by_id, by_digest, pair]).entries == 0, "safe to repeat"
    assert store.find([Needles("tiny", users=frozenset({OTHER}))]).places
    assert not EventStore(followed.root / "none" / "events.sqlite").find([by_id]).places


def test_a_run_names_it_and_its_subject_stays_out_after_it(tmp_path: Path) -> None:
    rows = taste_blocks()
    workspace = make_workspace(tmp_path / "workspace", rows, ("wmf",))
    mine = str(rows.item_ids[rows.user_ids == OTHER][0])
    train(workspace)
    switch(workspace, {})
    tell(workspace, USER, ITEM)
    tell(workspace, OTHER, ITEM)
    (id,) = ask(workspace, USER)
    (single,) = ask(workspace, OTHER, items=(mine,))
    fulfil(workspace)
    signed = certificate.read(workspace.root / standing.ledger(workspace).get(id).certificate)
    assert signed.scan.stores["events"] == ()
    assert "events" in {purged.store for purged in signed.purged}
    assert tell(workspace, USER, ITEM) == 0, "hidden no more, and out for good"
    assert tell(workspace, OTHER, mine, "item-019") == 1, "of single interactions those alone"
    assert standing.ledger(workspace).get(single).state == "completed"
