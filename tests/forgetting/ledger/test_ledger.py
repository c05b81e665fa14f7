"""The ledger: states, idempotency, the chain, and that ids leave the file."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lethe.errors import ArtifactError, ConfigError, RequestError
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import LEGAL

CANARY = "canary-person@example.org"
DATASETS = ["ml", "other"]
WAY = ("accepted", "planned", "executing", "verified")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def ledger(url):
    return Ledger(url)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "ledger.sqlite"


def add(ledger, user="u", items=(), **options):
    return ledger.add("ml", user, items, datasets=DATASETS, **options)


def bring(ledger, id, state, since=None):
    for step in WAY[0 if since is None else WAY.index(since) + 1 : WAY.index(state) + 1]:
        ledger.advance(id, step)
    return id


def test_the_ordinary_way(ledger):
    request, created = add(ledger, CANARY, ["i1", "i2"], reason="bad data")
    assert created
    assert (request.state, request.kind, request.items) == ("received", "interactions", ("i1", "i2"))
    assert ledger.pending() == []
    bring(ledger, request.id, "verified")
    assert [r.id for r in ledger.pending()] == [request.id]
    assert ledger.accepted() == []
    done = ledger.complete(request.id, {"certificate": "certificates/x.json", "shards": ["03"]})
    assert (done.state, done.user, done.items) == ("completed", None, ())
    assert done.subject_digest == request.subject_digest
    assert ledger.get(request.id) == done
    assert done.result == {"certificate": "certificates/x.json", "shards": ["03"]}
    assert [e.state for e in ledger.events(request.id)] == ["received", *WAY, "completed"]
    assert ledger.pending() == []
    assert ledger.check_chain() == ledger.events()[-1].hash


def test_asking_twice_is_one_request_until_it_is_completed(ledger):
    first, created = add(ledger, "u", ["a", "b"])
    assert created
    assert add(ledger, "u", ["b", "a"]) == (first, False)
    assert add(ledger, "u")[1], "the whole user is another subject"
    ledger.nothing_held(first.id)
    again, created = add(ledger, "u", ["a", "b"])
    assert created
    assert again.id != first.id
    assert len(ledger.all()) == 3


def test_asking_again_after_a_failure_accepts_the_same_request_again(ledger):
    request, _ = add(ledger)
    bring(ledger, request.id, "executing")
    ledger.advance(request.id, "failed", error="no room on the disk")
    assert ledger.pending() == []
    again, created = add(ledger)
    assert (again.id, again.state, created) == (request.id, "accepted", False)
    ledger.check_chain()


def test_nothing_held_completes_at_once(ledger):
    request, _ = add(ledger)
    done = ledger.nothing_held(request.id)
    assert (done.state, done.user) == ("completed", None)
    assert done.result == {"outcome": "nothing held", "rows": 0}
    started, _ = add(ledger)
    bring(ledger, started.id, "executing")
    with pytest.raises(RequestError, match="executing, it can't become completed"):
        ledger.nothing_held(started.id)


def test_a_rejected_request_keeps_no_subject(ledger):
    request, _ = add(ledger)
    assert ledger.advance(request.id, "rejected", why="not the person").user is None
    assert add(ledger)[1]


def test_a_subject_is_erased_only_when_it_is_no_longer_needed(ledger):
    request, _ = add(ledger)
    with pytest.raises(RequestError, match="still needed"):
        ledger.erase([request.id])
    bring(ledger, request.id, "verified")
    assert ledger.erase([request.id])[0].user is None
    assert ledger.erase([request.id])[0].state == "verified", "safe to repeat"
    ledger.complete(request.id, {})
    ledger.check_chain()


def test_requests_come_in_the_order_received(ledger):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ids = [add(ledger, f"u{n}", now=start + timedelta(days=day))[0].id for n, day in enumerate([3, 1, 2, 1])]
    for id in ids:
        ledger.advance(id, "accepted")
    ledger.advance(ids[0], "planned")
    assert [r.id for r in ledger.pending()] == [ids[1], ids[3], ids[2], ids[0]]
    assert [r.id for r in ledger.accepted()] == [ids[1], ids[3], ids[2]]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(sorted(LEGAL)), max_size=8))
def test_only_legal_steps_are_taken_and_each_is_logged(tmp_path_factory, steps):
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'l.sqlite'}")
    request, _ = add(ledger)
    log = ["received"]
    for step in steps:
        if step in LEGAL[log[-1]] and step != "completed":
            assert ledger.advance(request.id, step).state == step
            log.append(step)
        else:
            with pytest.raises(RequestError, match="can't become"):
                ledger.advance(request.id, step)
    assert [e.state for e in ledger.events(request.id)] == log
    ledger.check_chain()


def test_an_unknown_request_is_one_line(ledger):
    with pytest.raises(RequestError, match="request: no 'req-0' in the ledger"):
        ledger.advance("req-0", "accepted")


def test_the_log_can_only_be_appended_to(ledger):
    add(ledger)
    for change in ("UPDATE events SET state = 'completed'", "DELETE FROM events"):
        with pytest.raises(sa.exc.DBAPIError, match="only be appended"), ledger._engine.begin() as connection:
            connection.exec_driver_sql(change)
    ledger.check_chain()


@pytest.mark.parametrize(
    "change",
    [
        'UPDATE events SET detail = \'{"by":"someone"}\' WHERE seq = 3',
        "UPDATE events SET at = '2020-01-01T00:00:00+00:00' WHERE seq = 2",
        "DELETE FROM events WHERE seq = 2",
        "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)",
        "UPDATE requests SET state = 'accepted' WHERE state = 'completed'",
        "UPDATE requests SET result = '{\"rows\":9}' WHERE state = 'completed'",
    ],
)
def test_tampering_behind_the_ledgers_back_is_seen(file, change):
    ledger = Ledger(f"sqlite:///{file}")
    request, _ = add(ledger)
    bring(ledger, request.id, "verified")
    ledger.complete(request.id, {"rows": 1})
    ledger.check_chain()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute("DROP TRIGGER events_no_delete")
        assert connection.execute(change).rowcount == 1
    with pytest.raises(ArtifactError, match=r"^ledger: "):
        ledger.check_chain()


def test_a_chain_rewritten_whole_is_seen_against_a_head_that_was_signed(file, tmp_path):
    ledger = Ledger(f"sqlite:///{file}")
    add(ledger)
    head = ledger.check_chain()
    add(ledger, "v")
    assert ledger.check_chain([head]) != head
    forged = Ledger(f"sqlite:///{tmp_path / 'forged.sqlite'}")
    add(forged)
    with pytest.raises(ArtifactError, match="1 hashes that certificates name"):
        forged.check_chain([head])


@pytest.mark.parametrize("end", ["complete", "erase", "nothing_held", "reject"])
def test_after_the_end_no_byte_of_the_subject_is_in_the_file(file, end):
    ledger = Ledger(f"sqlite:///{file}")
    # Enough of them for many pages, with some that stay, so that pages are split, merged and freed.
    others = [add(ledger, f"staying-{n}" + "x" * 150)[0].id for n in range(30)]
    ids = [add(ledger, f"{CANARY}-{n}", [f"secret-item-{n}-{m}" for m in range(20)])[0].id for n in range(12)]
    everything = lambda: b"".join(path.read_bytes() for path in file.parent.glob("ledger.sqlite*"))  # noqa: E731
    assert CANARY.encode() in everything()
    assert b"secret-item" in everything()
    for id in ids:
        if end in ("complete", "erase"):
            bring(ledger, id, "verified")
        if end == "complete":
            ledger.complete(id, {"rows": 20})
        elif end == "erase":
            ledger.erase([id])
        elif end == "nothing_held":
            ledger.nothing_held(id)
        else:
            ledger.advance(id, "rejected")
    assert CANARY.encode() not in everything()
    assert b"secret-item" not in everything()
    assert ledger.get(others[0]).user is not None
    ledger.check_chain()


def test_a_log_entry_that_names_the_subject_is_our_bug(ledger):
    request, _ = add(ledger, CANARY)
    with pytest.raises(AssertionError):
        ledger.advance(request.id, "accepted", note=f"for {CANARY}")
    assert ledger.get(request.id).state == "received"


def test_what_takes_several_requests_does_all_or_nothing(ledger):
    ids = [add(ledger, f"u{n}")[0].id for n in range(3)]
    assert [r.state for r in ledger.advance_all(ids, "accepted")] == ["accepted"] * 3
    ledger.advance(ids[0], "planned")
    with pytest.raises(RequestError, match="is planned, it can't become rejected"):
        ledger.advance_all([ids[2], ids[0]], "rejected")
    assert [ledger.get(id).state for id in ids] == ["planned", "accepted", "accepted"]
    with pytest.raises(RequestError, match="no 'req-0' in the ledger"):
        ledger.get_all([ids[0], "req-0"])
    bring(ledger, ids[1], "verified", since="accepted")
    with pytest.raises(RequestError, match="is accepted, it can't become completed"):
        ledger.complete_all({ids[1]: {}, ids[2]: {}})
    assert ledger.get(ids[1]).user == "u1"
    ledger.check_chain()


def test_many_writers_make_one_chain_and_one_request_a_subject(ledger):
    def write(n):
        return add(ledger, f"u{n % 4}")[0].id

    with ThreadPoolExecutor(6) as pool:
        ids = list(pool.map(write, range(24)))
    assert len(set(ids)) == 4
    assert len(ledger.all()) == 4
    ledger.check_chain()


def test_two_that_open_a_new_ledger_at_once_both_find_it_ready(file):
    with ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(lambda _: Ledger(f"sqlite:///{file}"), range(4)))
    add(ledgers[0])
    assert len(ledgers[3].all()) == 1


def test_bad_urls_and_files_are_one_line(tmp_path):
    (tmp_path / "text.sqlite").write_text("this is not a database, though it is long enough to look like one" * 9)
    for url in ("no url", f"sqlite:///{tmp_path / 'text.sqlite'}", "postgresql://nobody@127.0.0.1:1/none"):
        with pytest.raises(ConfigError) as caught:
            Ledger(url)
        assert str(caught.value).startswith("ledger: ")
        assert "\n" not in str(caught.value)
