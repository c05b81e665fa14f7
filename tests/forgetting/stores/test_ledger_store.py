"""The ledger as a store: what a kill leaves in its file is found, and goes with the next run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from lethe.core.keys import subject_digest
from lethe.forgetting.ledger import database
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.ledger.requests import Held as RowsHeld
from lethe.forgetting.ledger.result import Result
from lethe.forgetting.stores.ledger import LedgerStore
from lethe.forgetting.stores.needles import Needles

GONE, WAITS = "canary-person", "another-person"
NEEDLES = [Needles("ml", users=frozenset({GONE}))]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


def taken(ledger: Ledger, user: str, dataset: str = "ml") -> ForgetRequest:
    """A request, accepted with a row held."""
    new = ForgetRequest.new(dataset, user, now=datetime.now(UTC), datasets=[dataset])
    return ledger.take([replace(new, held=RowsHeld(interactions=1))])[0][0]


def verified(ledger: Ledger, user: str) -> str:
    request = taken(ledger, user)
    for state in ("planned", "executing", "verified"):
        ledger.advance(request.id, state)
    return request.id


def killed_before_vacuum(ledger: Ledger, id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The subject is erased and committed; then comes the kill."""

    def kill() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "vacuum", kill)
        with pytest.raises(KeyboardInterrupt):
            ledger.erase([id])


LONG = "canary-" + "x" * 200
"""So long that SQLite, which puts the shorter row into the end of the old one's place, leaves its beginning there."""


def held_bytes(ledger: Ledger) -> bool:
    return any(b"canary-xxx" in path.read_bytes() for path in ledger.files())


def test_a_kill_between_commit_and_vacuum_leaves_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    id = verified(ledger, LONG)
    assert held_bytes(ledger)
    killed_before_vacuum(ledger, id, monkeypatch)
    assert ledger.get(id).user is None
    assert not held_bytes(ledger), "secure_delete overwrote it"


def test_without_secure_delete_it_stays_and_the_next_purge_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a build of SQLite would behave that ignores the setting."""

    def careless(connection, _) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA secure_delete = OFF")

    monkeypatch.setattr(database, "_prepare_sqlite", careless)
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    killed_before_vacuum(ledger, verified(ledger, LONG), monkeypatch)
    assert held_bytes(ledger)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection, connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE other (text TEXT)")
        connection.execute("INSERT INTO other VALUES (?)", (GONE,))
        connection.execute("DROP TABLE other")
    store = LedgerStore(ledger)
    assert [str(place) for place in store.find(NEEDLES).places] == ["ledger: text"]
    store.remove(NEEDLES)
    assert store.find(NEEDLES).places == ()
    assert not held_bytes(ledger)


def test_someone_elses_waiting_request_does_not_keep_the_file_from_being_searched(
    ledger: Ledger, tmp_path: Path
) -> None:
    id = verified(ledger, GONE)
    taken(ledger, WAITS)
    store = LedgerStore(ledger)
    assert store.find(NEEDLES).places == (), "its request still needs it"
    ledger.erase([id])
    assert store.find(NEEDLES).places == ()
    (tmp_path / "ledger.sqlite-journal").write_bytes(f"\0\0{GONE}".encode())
    assert [str(place) for place in store.find(NEEDLES).places] == ["ledger: text"]


def test_a_subject_in_an_event_is_found_even_while_it_is_needed(ledger: Ledger) -> None:
    id = verified(ledger, GONE)
    with sa.create_engine(f"sqlite:///{ledger.path}").begin() as connection:
        connection.execute(
            sa.text("UPDATE requests SET reason = :text WHERE id = :id"), {"text": f"of {GONE}", "id": id}
        )
    assert [str(place) for place in LedgerStore(ledger).find(NEEDLES).places] == ["ledger: text"]


def test_a_dry_run_counts_the_subjects(ledger: Ledger) -> None:
    verified(ledger, GONE)
    would = LedgerStore(ledger).would_remove(NEEDLES)
    assert (would.entries, would.bytes) == (1, len(GONE))


@pytest.mark.parametrize("dataset", ["ml", "shop"])
def test_what_another_request_about_the_same_person_needs_is_no_finding_and_all_else_is(
    ledger: Ledger, dataset: str
) -> None:
    """On hold, or in another dataset: by ids, and by the digests that a resumed run has."""
    id = verified(ledger, GONE)
    ledger.erase([id])
    if dataset == "ml":
        ledger.complete(id, Result("forgotten", ()))
    taken(ledger, GONE, dataset)
    keyed = [Needles("ml", keyed_users=frozenset({subject_digest("ml", GONE)}))]
    assert [LedgerStore(ledger).find(needles).places for needles in (NEEDLES, keyed)] == [(), ()]
    both = [Needles("ml", users=frozenset({GONE, WAITS}))]
    assert LedgerStore(ledger).find(both).places == ()
    path = ledger.path
    assert path is not None
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE left (user TEXT)")
        connection.execute("INSERT INTO left VALUES (?)", (WAITS,))
    assert [place.kind for place in LedgerStore(ledger).find(both).places] == ["user id"]
