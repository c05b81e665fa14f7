"""The ledger: every forget request, its state, and an append-only, hash-chained log of each change.

The ids of people are in it only while they are needed. ``erase`` removes a request's subject, and from the file as
well (SQLite: secure_delete and VACUUM, no write-ahead log; PostgreSQL: VACUUM FULL); the keyed digest stays. A chain of
plain hashes shows any change but a rewriting of the whole; that shows against the heads which signed certificates name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lethe.core.canonical import canonical_json, digest_json
from lethe.errors import ArtifactError, RequestError
from lethe.forgetting.ledger.database import LOCK, NEWEST, migrate, one_line, open_engine, revision
from lethe.forgetting.ledger.database import events as events_table
from lethe.forgetting.ledger.database import requests as requests_table
from lethe.forgetting.ledger.requests import DISTINCTIVE, LEGAL, NOTHING_HELD, PENDING, ForgetRequest, State

GENESIS = "0" * 64
_FEW = 500  # Ids in one query; SQLite has room for a thousand at least.


@dataclass(frozen=True)
class Event:
    """One change of a request, chained to the change before it."""

    seq: int
    request: str
    state: State
    at: str
    detail: dict[str, Any]
    prev_hash: str
    hash: str

    def expected_hash(self) -> str:
        """SHA-256 over everything but the hash itself."""
        return digest_json([self.seq, self.request, self.state, self.at, self.detail, self.prev_hash])


class Ledger:
    """The ledger in the database of ``url`` (sqlite:///PATH or postgresql://...), made when it is first opened, and
    brought to the newest schema whenever it is.

    Every method raises ConfigError, one line, where the database can't be reached, read or written. What takes several
    ids does all or nothing.
    """

    def __init__(self, url: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._engine = open_engine(url)
        with self._transaction() as connection:
            newest = revision(connection) == NEWEST
        if not newest:
            # Looked at again under the write lock: two may open a new ledger at once.
            with self._transaction(write=True) as connection:
                migrate(connection)

    @property
    def path(self) -> Path | None:
        """The file of an SQLite ledger."""
        name = self._engine.url.database
        return Path(name) if self._engine.dialect.name == "sqlite" and name else None

    def files(self) -> list[Path]:
        """The files of an SQLite ledger, its journal included; none of a server's."""
        return sorted(self.path.parent.glob(f"{self.path.name}*")) if self.path else []

    def size(self) -> int:
        """Bytes it takes up."""
        if self.path is not None:
            return sum(path.stat().st_size for path in self.files())
        with self._transaction() as connection:
            tables = ("requests", "events")
            return sum(connection.execute(sa.select(sa.func.pg_total_relation_size(t))).scalar_one() for t in tables)

    # --- reading -------------------------------------------------------------------------------------------------

    def get(self, id: str) -> ForgetRequest:
        """Raises RequestError if there is no such request."""
        with self._transaction() as connection:
            return _request(_row(connection, id))

    def get_all(self, ids: Collection[str]) -> list[ForgetRequest]:
        """The requests of these ids, in the order received. Raises RequestError if one is not there."""
        wanted = set(ids)
        few = len(wanted) <= _FEW
        found = self._select(requests_table.c.id.in_(wanted)) if few else [r for r in self.all() if r.id in wanted]
        if missing := sorted(wanted - {request.id for request in found}):
            raise RequestError(f"request: no {missing[0]!r} in the ledger")
        return found

    def all(self) -> list[ForgetRequest]:
        """Every request, in the order received."""
        return self._select(sa.true())

    def in_state(self, *states: State) -> list[ForgetRequest]:
        """The requests in one of these states, in the order received."""
        return self._select(requests_table.c.state.in_(states))

    def accepted(self) -> list[ForgetRequest]:
        """What waits for its plan."""
        return self.in_state("accepted")

    def pending(self) -> list[ForgetRequest]:
        """What the next run has to bring to an end: accepted, or left anywhere on the way by an interrupted run."""
        return self.in_state(*PENDING)

    def events(self, id: str | None = None) -> list[Event]:
        """The log, of one request or whole, oldest first."""
        query = sa.select(events_table).order_by(events_table.c.seq)
        with self._transaction() as connection:
            rows = (
                connection.execute(query if id is None else query.where(events_table.c.request == id)).mappings().all()
            )
        return [Event(**{**row, "detail": json.loads(row["detail"])}) for row in rows]

    def check_chain(self, heads: Sequence[str] = ()) -> str:
        """Check the whole log, each request's state against it, and that ``heads`` (hashes that certificates name)
        are in it; returns the hash of the newest event. Raises ArtifactError at the first fault."""
        previous = GENESIS
        last: dict[str, Event] = {}
        events = self.events()
        for place, event in enumerate(events, start=1):
            if (event.seq, event.prev_hash, event.hash) != (place, previous, event.expected_hash()):
                raise ArtifactError(f"ledger: event {place} was changed, or one before it removed")
            previous, last[event.request] = event.hash, event
        for request in self.all():
            end = last.get(request.id)
            if end is None or end.state != request.state:
                raise ArtifactError(f"ledger: state of {request.id} is not the one its log ends in")
            if request.state == "completed" and end.detail.get("result") != digest_json(request.result):
                raise ArtifactError(f"ledger: result of {request.id} is not the one its log names")
        missing = len(set(heads) - {event.hash for event in events})
        if missing:
            raise ArtifactError(f"ledger: {missing} hashes that certificates name are not in the log")
        return previous

    # --- writing -------------------------------------------------------------------------------------------------

    def add(
        self,
        dataset: str,
        user: str | int,
        items: Sequence[str | int] = (),
        reason: str = "user request",
        now: datetime | None = None,
        *,
        datasets: Collection[str],
        due_days: int = 30,
    ) -> tuple[ForgetRequest, bool]:
        """Put a request in (state received). While one about the same subject is under way, that one is returned and
        nothing is added; one that had failed is accepted again. Raises RequestError if it is malformed."""
        new = ForgetRequest.new(
            dataset, user, items, reason, now=now or self._clock(), datasets=datasets, due_days=due_days
        )
        with self._transaction(write=True) as connection:
            query = sa.select(requests_table).where(requests_table.c.idempotency_key == new.subject_digest)
            row = connection.execute(query).mappings().one_or_none()
            if row is not None:
                known = _request(row)
                if known.state == "failed":
                    self._append(connection, known.id, "accepted", {"retry": True})
                    known = _request(_row(connection, known.id))
                return known, False
            values = new.to_json() | {
                "subject": canonical_json({"user": new.user, "items": new.items}).decode(),
                "idempotency_key": new.subject_digest,
                "result": None,
            }
            connection.execute(requests_table.insert().values(**values))
            self._append(connection, new.id, "received", {})
        return new, True

    def advance(self, id: str, state: State, **detail: Any) -> ForgetRequest:
        """Bring a request into its next state; see ``advance_all``."""
        return self.advance_all([id], state, **detail)[0]

    def advance_all(self, ids: Collection[str], state: State, **detail: Any) -> list[ForgetRequest]:
        """Bring requests into their next state. ``detail`` is plain JSON for the log, without ids of people.
        Raises RequestError for a step that is not legal; "completed" is reached by ``complete`` alone."""
        with self._transaction(write=True) as connection:
            for id in ids:
                old = _request(_row(connection, id))
                if state not in LEGAL[old.state] or state == "completed":
                    raise RequestError(f"state: {id} is {old.state}, it can't become {state}")
                # The log can never be erased from.
                named = old.user is not None and len(old.user) >= DISTINCTIVE and old.user in str(detail)
                assert not named, "detail names the subject"
                self._append(connection, id, state, detail)
                if state == "rejected":
                    _forget_subject(connection, id)
                    _release_key(connection, id)
        if state == "rejected":
            self.vacuum()
        return self.get_all(ids)

    def erase(self, ids: Collection[str]) -> list[ForgetRequest]:
        """Remove the subjects of verified requests from the ledger and its file; safe to repeat."""
        with self._transaction(write=True) as connection:
            for id in ids:
                request = _request(_row(connection, id))
                if request.state not in ("verified", "completed"):
                    raise RequestError(f"state: {id} is {request.state}, its subject is still needed")
                _forget_subject(connection, id)
        self.vacuum()
        return self.get_all(ids)

    def complete(self, id: str, result: dict[str, Any]) -> ForgetRequest:
        """End one verified request; see ``complete_all``."""
        return self.complete_all({id: result})[0]

    def complete_all(self, results: Mapping[str, dict[str, Any]]) -> list[ForgetRequest]:
        """End verified requests {id: result}; a subject is erased if it is still there. A result is plain JSON without
        ids of people."""
        return self._complete(results, ("verified",))

    def nothing_held(self, id: str) -> ForgetRequest:
        """End a request that covers no row: an unknown user, or data already forgotten."""
        return self._complete({id: {"outcome": "nothing held", "rows": 0}}, NOTHING_HELD)[0]

    def _complete(self, results: Mapping[str, dict[str, Any]], legal: tuple[State, ...]) -> list[ForgetRequest]:
        with self._transaction(write=True) as connection:
            for id, result in results.items():
                request = _request(_row(connection, id))
                if request.state not in legal:
                    raise RequestError(f"state: {id} is {request.state}, it can't become completed")
                self._append(connection, id, "completed", {"result": digest_json(result)})
                _forget_subject(connection, id)
                _release_key(connection, id)
                text = canonical_json(result).decode()
                connection.execute(requests_table.update().where(requests_table.c.id == id).values(result=text))
        self.vacuum()
        return self.get_all(results)

    # --- below ---------------------------------------------------------------------------------------------------

    def _select(self, condition: sa.ColumnElement[bool]) -> list[ForgetRequest]:
        query = sa.select(requests_table).where(condition).order_by(requests_table.c.received, requests_table.c.number)
        with self._transaction() as connection:
            return [_request(row) for row in connection.execute(query).mappings()]

    def _append(self, connection: sa.Connection, id: str, state: State, detail: dict[str, Any]) -> None:
        query = sa.select(events_table.c.seq, events_table.c.hash).order_by(events_table.c.seq.desc()).limit(1)
        seq, previous = connection.execute(query).one_or_none() or (0, GENESIS)
        at = self._clock().astimezone(UTC).isoformat(timespec="seconds")
        event = Event(seq + 1, id, state, at, json.loads(canonical_json(detail)), previous, "")
        values = {**vars(event), "detail": canonical_json(detail).decode(), "hash": event.expected_hash()}
        connection.execute(events_table.insert().values(**values))
        connection.execute(requests_table.update().where(requests_table.c.id == id).values(state=state))

    def vacuum(self) -> None:
        # Both databases keep what an update replaced in the file until it is rewritten.
        statement = "VACUUM" if self._engine.dialect.name == "sqlite" else "VACUUM FULL requests"
        with one_line(), self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statement)

    @contextmanager
    def _transaction(self, write: bool = False) -> Iterator[sa.Connection]:
        with one_line(), self._engine.connect().execution_options(write=write) as connection, connection.begin():
            if write and self._engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            yield connection


def _row(connection: sa.Connection, id: str) -> sa.RowMapping:
    row = connection.execute(sa.select(requests_table).where(requests_table.c.id == id)).mappings().one_or_none()
    if row is None:
        raise RequestError(f"request: no {id!r} in the ledger")
    return row


def _request(row: sa.RowMapping) -> ForgetRequest:
    subject = json.loads(row["subject"]) if row["subject"] else {"user": None, "items": []}
    return ForgetRequest(
        id=row["id"],
        dataset=row["dataset"],
        kind=row["kind"],
        user=subject["user"],
        items=tuple(subject["items"]),
        subject_digest=row["subject_digest"],
        reason=row["reason"],
        received=datetime.fromisoformat(row["received"]),
        due=datetime.fromisoformat(row["due"]),
        state=row["state"],
        result=json.loads(row["result"]) if row["result"] else None,
    )


def _forget_subject(connection: sa.Connection, id: str) -> None:
    connection.execute(requests_table.update().where(requests_table.c.id == id).values(subject=None))


def _release_key(connection: sa.Connection, id: str) -> None:
    # The subject may come back and ask again: from here on that is a new request.
    connection.execute(requests_table.update().where(requests_table.c.id == id).values(idempotency_key=id))
