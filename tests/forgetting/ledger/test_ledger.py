"""The ledger: states, idempotency, the chain, and that ids leave the file."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lethe.errors import ArtifactError, ConfigError, RequestError
from lethe.forgetting.ledger.database import one_line
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import LEGAL, ForgetRequest, Held
from lethe.forgetting.ledger.result import FORGOTTEN, NOTHING_WAS_HELD, Removed, Result, Work
from lethe.serving import hidden
from lethe.serving.hidden import publish, read

CANARY = "canary-person@example.org"
DATASETS = ["ml", "other"]
OVER = ("cancelled", "withdrawn")
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


HELD = Held(interactions=3)
WORK = Work(
    ("ml/03",), ("ml/03",), ("ml/04",), (Removed("artifacts", 5),), 14, 0, {"total": 3.5, "training": 1.25}, "equal"
)
DONE = Result(FORGOTTEN, ("ab" * 32,), "certificates/x.json", "cd" * 32, WORK)


def new(user="u", items=(), now=None, held=HELD, **options):
    now = now or datetime.now(UTC)
    return replace(ForgetRequest.new("ml", user, items, now=now, datasets=DATASETS, **options), held=held)


def add(ledger, user="u", items=(), accept=False, **options):
    """Received only, so that each step is one of its own."""
    return ledger.take([new(user, items, **options)], accept=accept)[0]


def nothing_held(request):
    return Result(NOTHING_WAS_HELD, tuple(request.digests()))


def step(ledger, id, state):
    return ledger.accept({id: HELD})[0] if state == "accepted" else ledger.advance(id, state)


def bring(ledger, id, state, since=None):
    for one in WAY[0 if since is None else WAY.index(since) + 1 : WAY.index(state) + 1]:
        step(ledger, id, one)
    return id


def test_the_ordinary_way(ledger):
    request, created = add(ledger, CANARY, ["i1", "i2"], reason="bad-data")
    assert created
    assert (request.state, request.kind, request.items) == ("received", "interaction", ("i1", "i2"))
    assert ledger.pending() == []
    bring(ledger, request.id, "verified")
    assert [r.id for r in ledger.pending()] == [request.id]
    done = ledger.complete(request.id, DONE)
    assert (done.state, done.user, done.items) == ("completed", None, ())
    assert done.subject_digest == request.subject_digest
    assert ledger.get(request.id) == done
    assert done.result == DONE
    assert (done.certificate, done.work) == ("certificates/x.json", WORK)
    assert [e.state for e in ledger.events(request.id)] == ["received", *WAY, "completed"]
    assert ledger.pending() == []
    assert ledger.check_chain() == ledger.events()[-1].hash


def test_asking_twice_is_one_request_until_it_is_completed(ledger):
    first, created = add(ledger, "u", ["a", "b"])
    assert created
    assert add(ledger, "u", ["b", "a"]) == (first, False)
    assert [request.id for request in ledger.open()] == [first.id]
    assert add(ledger, "u")[1], "the whole user is another subject"
    ledger.nothing_held(first.id, nothing_held(first))
    again, created = add(ledger, "u", ["a", "b"])
    assert created
    assert again.id != first.id
    assert len(ledger.all()) == 3


def test_what_failed_is_set_aside_and_can_be_tried_again(ledger):
    request, _ = add(ledger)
    bring(ledger, request.id, "planned")
    (failed,) = ledger.fail([request.id], "rows-left")
    assert (failed.state, failed.failure, failed.user) == ("failed", "rows-left", "u")
    assert ledger.pending() == []
    assert [r.id for r in ledger.open()] == [request.id]
    assert add(ledger) == (ledger.get(request.id), False), "the same request while it is open"
    (again,) = ledger.accept({request.id: request.held})
    assert (again.id, again.state, again.failure) == (request.id, "accepted", None)
    ledger.check_chain()


def test_what_holds_nothing_completes_at_once_and_its_subject_is_never_written(ledger, file, request):
    asked = new(CANARY, held=Held(source=7))
    ((done, _),) = ledger.take([asked], end=nothing_held)
    assert (done.state, done.user, done.held.source) == ("completed", None, 7)
    assert done.result is not None
    assert done.result == nothing_held(asked)
    assert done.result.suppressed == (asked.user_digest,)
    if request.node.callspec.params["url"] == "sqlite":
        assert CANARY.encode() not in file.read_bytes()
    started, _ = add(ledger)
    bring(ledger, started.id, "executing")
    with pytest.raises(RequestError, match="executing, it can't become completed"):
        ledger.nothing_held(started.id, nothing_held(started))
    ledger.check_chain()


@pytest.mark.parametrize("end", ["cancelled", "withdrawn"])
@pytest.mark.parametrize("since", ["accepted", "planned"])
def test_before_it_is_executed_a_request_may_be_ended_and_keeps_no_subject(ledger, end, since):
    request, _ = add(ledger)
    bring(ledger, request.id, since)
    assert ledger.advance(request.id, end, actor="the desk").user is None
    assert ledger.events(request.id)[-1].detail == {"actor": "the desk"}
    assert add(ledger)[1], "asking again is a new request"


def test_there_is_no_way_back_once_rows_were_removed(ledger):
    request, _ = add(ledger)
    bring(ledger, request.id, "executing")
    with pytest.raises(RequestError, match="is executing, it can't become cancelled"):
        ledger.advance(request.id, "cancelled")
    ledger.fail([request.id], "rows-left")
    with pytest.raises(RequestError, match="failed after its rows were removed; lethe forget retry"):
        ledger.advance(request.id, "withdrawn")


def test_an_external_id_makes_a_repeat_the_same_request_for_ever(ledger):
    first, _ = add(ledger, external_id="ticket-7", accept=True)
    assert add(ledger, external_id="ticket-7") == (first, False)
    bring(ledger, first.id, "verified", since="accepted")
    done = ledger.complete(first.id, DONE)
    assert add(ledger, external_id="ticket-7") == (done, False)
    with pytest.raises(RequestError, match="external_id: is that of a request about somebody else"):
        add(ledger, "v", external_id="ticket-7")
    with pytest.raises(RequestError, match="external_id: is that of"):
        ledger.take([new("w", external_id="9"), new("x", external_id="9")])
    assert len(ledger.all()) == 1, "all or nothing"


def test_an_external_id_is_no_second_persons_where_the_first_waits_already(ledger):
    add(ledger, "u", accept=True)
    with pytest.raises(RequestError, match="external_id: is that of a request about somebody else"):
        ledger.take([new("u", external_id="10"), new("y", external_id="10")])
    assert len(ledger.all()) == 1, "all or nothing"


def test_hold_facts_and_lift_are_logged_with_their_actor(ledger):
    request, _ = add(ledger, accept=True)
    assert ledger.hold(request.id, True, "legal").on_hold
    assert not ledger.hold(request.id, False, "legal").on_hold
    assert ledger.establish(request.id, "identity", "desk").facts == ("identity",)
    with pytest.raises(RequestError, match="a request about them is open"):
        ledger.lift("ml", request.user_digest)
    bring(ledger, request.id, "verified", since="accepted")
    ledger.complete(request.id, DONE)
    with pytest.raises(RequestError, match="is completed, this is for requests that are received"):
        ledger.hold(request.id, True)
    (lifted,) = ledger.lift("ml", request.user_digest, 1_000, "desk")
    assert lifted.lifted
    with pytest.raises(RequestError, match="no request about them was completed in other"):
        ledger.lift("other", request.user_digest)
    details = [event.detail for event in ledger.events(request.id)]
    assert {"hold": True, "actor": "legal"} in details
    assert {"established": "identity", "actor": "desk"} in details
    assert details[-1] == {"lifted": 1_000, "actor": "desk"}
    ledger.check_chain()


def test_an_actor_that_is_the_subject_is_refused(ledger):
    request, _ = add(ledger, CANARY, accept=True)
    with pytest.raises(RequestError, match="actor: must not contain the id") as caught:
        ledger.advance(request.id, "withdrawn", actor=CANARY.upper())
    assert CANARY not in str(caught.value)


def hidden_in(file):
    return read(file.with_name("hidden.json"))


def test_who_has_an_open_request_is_hidden_whatever_becomes_of_the_others(file):
    ledger = Ledger(f"sqlite:///{file}", file.with_name("hidden.json"))
    whole, _ = add(ledger, "u", accept=True)
    part, _ = add(ledger, "u", ["i"], accept=True)
    other, _ = add(ledger, "v", accept=True)
    assert hidden_in(file) == {whole.user_digest, other.user_digest}
    bring(ledger, whole.id, "verified", since="accepted")
    ledger.erase([whole.id])
    assert whole.user_digest in hidden_in(file), "verified and erased, not yet completed"
    ledger.complete(whole.id, DONE)
    assert hidden_in(file) == {part.user_digest, other.user_digest}, "the same user's second request is pending"
    ledger.fail([part.id], "rows-left")
    assert part.user_digest in hidden_in(file)
    ledger.advance(part.id, "cancelled")
    assert hidden_in(file) == {other.user_digest}


def test_who_is_an_item_too_is_hidden_as_one(file):
    ledger = Ledger(f"sqlite:///{file}", file.with_name("hidden.json"))
    request = new("u", also_item=True)
    ledger.take([request])
    assert hidden_in(file) == {request.user_digest, request.user_digest + hidden.AS_ITEM}
    ledger.advance(request.id, "cancelled")
    assert hidden_in(file) == frozenset()


@pytest.mark.parametrize("accept", [True, False])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_between_accepting_and_hiding_leaves_nobody_accepted_and_not_hidden(file, monkeypatch, when, accept):
    """Nor anybody received."""
    ledger = Ledger(f"sqlite:///{file}", file.with_name("hidden.json"))
    add(ledger, "v", accept=True)

    def killed(path, digests):
        if when == "after":
            publish(path, digests)
        raise KeyboardInterrupt

    monkeypatch.setattr(hidden, "publish", killed)
    with pytest.raises(KeyboardInterrupt):
        add(ledger, "u", accept=accept)
    monkeypatch.undo()
    assert [request.user for request in ledger.all()] == ["v"], "not taken"
    assert len(hidden_in(file)) == (2 if when == "after" else 1)
    ledger.publish_hidden()
    assert len(hidden_in(file)) == 1


def test_under_another_key_the_ledger_is_refused(file, tmp_path, monkeypatch):
    add(Ledger(f"sqlite:///{file}"))
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(ConfigError, match=r"key: the ledger was made under the key .*; restore it"):
        Ledger(f"sqlite:///{file}")
    assert not (tmp_path / "elsewhere").exists()


def test_ten_thousand_are_one_transaction(file):
    ledger = Ledger(f"sqlite:///{file}", file.with_name("hidden.json"))
    taken = ledger.take([new(f"u{n % 9_990}") for n in range(10_000)])
    assert sum(is_new for _, is_new in taken) == 9_990
    assert len(hidden_in(file)) == 9_990
    ledger.check_chain()


def test_a_subject_is_erased_only_when_it_is_no_longer_needed(ledger):
    request, _ = add(ledger)
    with pytest.raises(RequestError, match="still needed"):
        ledger.erase([request.id])
    bring(ledger, request.id, "verified")
    assert ledger.erase([request.id])[0].user is None
    assert ledger.erase([request.id])[0].state == "verified", "safe to repeat"
    ledger.complete(request.id, DONE)
    ledger.check_chain()


def test_requests_come_in_the_order_received(ledger):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ids = [add(ledger, f"u{n}", now=start + timedelta(days=day))[0].id for n, day in enumerate([3, 1, 2, 1])]
    for id in ids:
        step(ledger, id, "accepted")
    ledger.advance(ids[0], "planned")
    assert [r.id for r in ledger.pending()] == [ids[1], ids[3], ids[2], ids[0]]
    assert [r.id for r in ledger.in_state("accepted")] == [ids[1], ids[3], ids[2]]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(sorted(set(LEGAL) - {"completed"})), max_size=8))
def test_only_legal_steps_are_taken_and_each_is_logged(tmp_path_factory, steps):
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'l.sqlite'}")
    request, _ = add(ledger)
    log = ["received"]
    for state in steps:
        if state in LEGAL[log[-1]] and not (log[-1] == "failed" and "executing" in log and state in OVER):
            assert step(ledger, request.id, state).state == state
            log.append(state)
        else:
            with pytest.raises(RequestError, match=r"can't become|after its rows were removed"):
                step(ledger, request.id, state)
    assert [e.state for e in ledger.events(request.id)] == log
    ledger.check_chain()


def test_an_unknown_request_is_one_line(ledger):
    with pytest.raises(RequestError, match="request: no 'req-0' in the ledger"):
        ledger.advance("req-0", "planned")


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
    ledger.complete(request.id, DONE)
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
    with pytest.raises(ArtifactError, match="1 hashes that certificates or the witness name"):
        forged.check_chain([head])


@pytest.mark.parametrize("end", ["complete", "erase", "nothing_held", "cancel"])
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
            ledger.complete(id, DONE)
        elif end == "erase":
            ledger.erase([id])
        elif end == "nothing_held":
            ledger.nothing_held(id, Result(NOTHING_WAS_HELD))
        else:
            ledger.advance(id, "cancelled")
    assert CANARY.encode() not in everything()
    assert b"secret-item" not in everything()
    assert ledger.get(others[0]).user is not None
    ledger.check_chain()


def test_whether_who_is_accepted_is_hidden_is_written_down_as_the_list_then_says(tmp_path, monkeypatch):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", tmp_path / "hidden.json")
    first, _ = add(ledger, "u", accept=True)
    received, _ = add(ledger, "v")
    ledger.accept({received.id: HELD})
    assert [ledger.events(id)[-1].detail["hidden"] for id in (first.id, received.id)] == [True, True]
    assert ledger.not_hidden_at_acceptance() == set()
    monkeypatch.setattr(hidden, "publish", lambda *_: None)
    late, _ = add(ledger, "w", accept=True)
    monkeypatch.undo()
    ledger.publish_hidden()
    assert late.user_digest in read(tmp_path / "hidden.json")
    assert ledger.not_hidden_at_acceptance() == {late.id}, "that it is hidden by now changes nothing of what was"
    ledger.check_chain()


def test_a_log_entry_that_names_the_subject_is_our_bug(ledger):
    request, _ = add(ledger, CANARY, accept=True)
    with pytest.raises(AssertionError):
        ledger.advance(request.id, "planned", note=f"for {CANARY}")
    assert ledger.get(request.id).state == "accepted"


def test_who_is_called_by_a_word_of_the_log_is_no_bug(ledger):
    request, _ = add(ledger, "interactions", accept=True)
    ledger.advance(request.id, "planned", touched={"interactions": ["whole"]})
    ledger.fail([request.id], "interactions")
    with pytest.raises(RequestError, match="actor: must not contain the id of the user"):
        ledger.accept({request.id: HELD}, actor="desk of interactions")
    assert ledger.accept({request.id: HELD}, actor="desk")[0].state == "accepted"


def test_what_takes_several_requests_does_all_or_nothing(ledger):
    ids = [add(ledger, f"u{n}")[0].id for n in range(3)]
    assert [r.state for r in ledger.accept(dict.fromkeys(ids, HELD))] == ["accepted"] * 3
    bring(ledger, ids[0], "executing", since="accepted")
    with pytest.raises(RequestError, match="is executing, it can't become cancelled"):
        ledger.advance_all([ids[2], ids[0]], "cancelled")
    assert [ledger.get(id).state for id in ids] == ["executing", "accepted", "accepted"]
    with pytest.raises(RequestError, match="no 'req-0' in the ledger"):
        ledger.get_all([ids[0], "req-0"])
    bring(ledger, ids[1], "verified", since="accepted")
    with pytest.raises(RequestError, match="is accepted, it can't become completed"):
        ledger.complete_all({ids[1]: DONE, ids[2]: DONE})
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


def test_an_empty_file_in_the_place_of_a_ledger_with_open_requests_is_no_new_ledger(file):
    listed = file.with_name("hidden.json")
    add(Ledger(f"sqlite:///{file}", listed))
    whole = file.read_bytes()
    file.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"^ledger: is empty, but 1 users are hidden for open requests; restore it"):
        Ledger(f"sqlite:///{file}", listed)
    assert read(listed), "still hidden"
    file.write_bytes(whole)
    assert len(Ledger(f"sqlite:///{file}", listed).open()) == 1


def test_what_the_same_person_says_twice_is_written_down_once(ledger):
    id = add(ledger)[0].id
    for _ in range(2):
        ledger.hold(id, True, "ann")
        ledger.establish(id, "identity", "ann")
    assert [event.detail for event in ledger.events(id)[1:]] == [
        {"hold": True, "actor": "ann"},
        {"established": "identity", "actor": "ann"},
    ]
    ledger.establish(id, "identity", "ben")
    ledger.hold(id, False, "ben")
    ledger.hold(id, True, "ann")
    assert [event.detail["actor"] for event in ledger.events(id)[3:]] == ["ben", "ben", "ann"], "another says it anew"


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (
            "PRAGMA query_only = ON",
            "attempt to write a readonly database; give Lethe's user the right to write the file",
        ),
        ("PRAGMA max_page_count = 1", "database or disk is full; make room there, and run it again"),
    ],
    ids=["may not be written", "full"],
)
def test_what_the_database_refuses_says_what_to_do(before, said):
    connection = sa.create_engine("sqlite://").connect()
    connection.exec_driver_sql(before)
    with connection, pytest.raises(ConfigError, match=f"^ledger: {said}"), one_line():
        connection.exec_driver_sql("CREATE TABLE requests (id TEXT)")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (psycopg.errors.ReadOnlySqlTransaction, "name a server that may be written to"),
        (psycopg.errors.TooManyConnections, "let others end or raise its max_connections, and run it again"),
        (psycopg.OperationalError, "nothing is half done; run it again once the server answers"),
        (psycopg.errors.AdminShutdown, "nothing is half done; run it again once the server answers"),
    ],
)
def test_what_a_server_refuses_says_what_to_do_and_no_value(kind, said):
    with pytest.raises(ConfigError, match=f"^ledger: the reason; {said}$"), one_line():
        raise sa.exc.OperationalError("INSERT", {"user": "anna"}, kind("the reason\nDETAIL: anna"))


def test_bad_urls_and_files_are_one_line(tmp_path):
    (tmp_path / "text.sqlite").write_text("this is not a database, though it is long enough to look like one" * 9)
    for url in ("no url", f"sqlite:///{tmp_path / 'text.sqlite'}", "postgresql://nobody@127.0.0.1:1/none"):
        with pytest.raises(ConfigError) as caught:
            Ledger(url)
        assert str(caught.value).startswith("ledger: ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ('FATAL:  password authentication failed for user "lethe"', "mend user or password in its URL"),
        ('FATAL:  database "lethe" does not exist', "make it on the server, or mend its URL"),
        ("failed to resolve host 'nowhere'", "mend the host in its URL"),
    ],
)
def test_a_server_that_is_not_reached_says_what_to_mend(words, said):
    with pytest.raises(ConfigError, match=f"; {said}$"), one_line():
        raise sa.exc.OperationalError("INSERT", {}, psycopg.OperationalError(words))
