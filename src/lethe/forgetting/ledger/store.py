"""The ledger's database as requests: read, written in transactions, and with each change the list of hidden users."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lethe.core.canonical import canonical_json
from lethe.core.keys import RESTORE, fingerprint, folder, must_fit, subject_digest
from lethe.errors import ConfigError, DataError, RequestError
from lethe.forgetting.ledger import log
from lethe.forgetting.ledger.database import LOCK, NEWEST, migrate, one_line, open_engine, revision
from lethe.forgetting.ledger.database import events as events_table
from lethe.forgetting.ledger.database import requests as requests_table
from lethe.forgetting.ledger.database import settings as settings_table
from lethe.forgetting.ledger.log import Event
from lethe.forgetting.ledger.records import from_row, to_row
from lethe.forgetting.ledger.requests import OPEN, PENDING, ForgetRequest, State, digest_of
from lethe.serving import hidden

_FEW = 500  # Values in one query; SQLite has room for a thousand at least.
_KEY, _REKEYED = "key fingerprint", "digests of earlier keys"


class Store:
    """The database of ``url`` (sqlite:///PATH or postgresql://...), made when it is first opened, and brought to the
    newest schema whenever it is. ``hidden_users``: the list that the service obeys. ``keep_out`` is told of all open
    requests whenever that list is written, and whether others who were on it ``keep`` their place.

    Every method raises ConfigError, one line, where the database can't be reached, read or written, or was written
    under another key.
    """

    def __init__(
        self,
        url: str,
        hidden_users: Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        keep_out: Callable[[Sequence[ForgetRequest], bool], None] = lambda requests, keep: None,
    ) -> None:
        self._clock = clock
        self._hidden_users, self._keep_out = hidden_users, keep_out
        self._engine = open_engine(url)
        with self._transaction() as connection:
            newest = revision(connection) == NEWEST
        if not newest:
            # Looked at again under the write lock: two may open a new ledger at once.
            with self._transaction(write=True) as connection:
                if revision(connection) is None:
                    self._must_be_new()
                migrate(connection)
        with self._transaction() as connection:
            key = _setting(connection, _KEY)
        if key is not None:
            must_fit(key, "the ledger")

    def _must_be_new(self) -> None:
        """Raises ConfigError where an empty database stands in the place of one that had requests: taken for a new one
        it would end them all, and nobody would be hidden any more."""
        listed: frozenset[str] = frozenset()
        with suppress(DataError):
            listed = frozenset() if self._hidden_users is None else hidden.read(self._hidden_users, any_key=True)
        if listed:
            raise ConfigError(
                f"ledger: is empty, but {hidden.count_of(listed)} users are hidden for open requests; restore it from a"
                f" copy, or remove {self._hidden_users} and take the requests again"
            )

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

    def get(self, id: str) -> ForgetRequest:
        """Raises RequestError if there is no such request."""
        with self._transaction() as connection:
            return rows(connection, [id])[id]

    def get_all(self, ids: Collection[str]) -> list[ForgetRequest]:
        """The requests of these ids, in the order received. Raises RequestError if one is not there."""
        with self._transaction() as connection:
            return sorted(rows(connection, ids).values(), key=lambda request: request.received)

    def all(self) -> list[ForgetRequest]:
        """Every request, in the order received."""
        return self._select(sa.true())

    def in_state(self, *states: State) -> list[ForgetRequest]:
        """The requests in one of these states, in the order received."""
        return self._select(requests_table.c.state.in_(states))

    def pending(self) -> list[ForgetRequest]:
        """What the next run has to bring to an end: accepted, or left anywhere on the way by an interrupted run."""
        return self.in_state(*PENDING)

    def open(self) -> list[ForgetRequest]:
        """What nobody has ended, those that failed and those not yet accepted among them."""
        return self.in_state(*OPEN)

    def events(self, id: str | None = None) -> list[Event]:
        """The log, of one request or whole, oldest first."""
        with self._transaction() as connection:
            return log.read(connection, id)

    def ever_in(self, state: State) -> set[str]:
        """Ids of the requests whose log has this state, whatever they are in now."""
        query = sa.select(events_table.c.request).where(events_table.c.state == state).distinct()
        with self._transaction() as connection:
            return set(connection.execute(query).scalars())

    def check_chain(self, heads: Sequence[str] = ()) -> str:
        """Check the whole log, each request's state against it, and that ``heads`` (hashes that certificates name)
        are in it; returns the hash of the newest event. Raises ArtifactError at the first fault."""
        return log.check(self.events(), self.all(), heads)

    def publish_hidden(self) -> None:
        """Write the list of hidden users: exactly those who have an open request."""
        with self._transaction(write=True) as connection:
            self._hide(connection, keep=False)

    def rekeyed(self) -> dict[str, str]:
        """What digests of earlier keys, which the log still names, are under this one; "" where nobody knows whom they
        named."""
        with self._transaction() as connection:
            text = _setting(connection, _REKEYED)
        return json.loads(text) if text else {}

    def rekey(self, digests: Mapping[str, str]) -> None:
        """Name everybody under the key that is in place now {old digest: new digest}; who is still in the ledger is
        digested anew."""
        earlier = {old: digests.get(new, new) for old, new in self.rekeyed().items()}
        requests = [_under_new_key(request, digests) for request in self.all()]
        with self._transaction(write=True) as connection:
            update(connection, requests)
            for name, value in ((_KEY, fingerprint()), (_REKEYED, canonical_json(earlier | dict(digests)).decode())):
                connection.execute(settings_table.delete().where(settings_table.c.name == name))
                connection.execute(settings_table.insert().values(name=name, value=value))
        self.publish_hidden()

    # --- for who changes it --------------------------------------------------------------------------------------

    def _select(self, condition: sa.ColumnElement[bool]) -> list[ForgetRequest]:
        query = sa.select(requests_table).where(condition).order_by(requests_table.c.received, requests_table.c.number)
        with self._transaction() as connection:
            return [from_row(row) for row in connection.execute(query).mappings()]

    def vacuum(self) -> None:
        # Both databases keep what an update replaced in the file until it is rewritten.
        statement = "VACUUM" if self._engine.dialect.name == "sqlite" else "VACUUM FULL requests"
        with one_line(), self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statement)

    @contextmanager
    def change(self) -> Iterator[sa.Connection]:
        """A transaction that changes requests and who is hidden: more before it is committed, fewer after."""
        with self._transaction(write=True) as connection:
            if _setting(connection, _KEY) is None:
                _must_be_of_this_key(connection)
                connection.execute(settings_table.insert().values(name=_KEY, value=fingerprint()))
            yield connection
            exact = self._hide(connection, keep=True)
        if not exact:
            self.publish_hidden()

    def hide(self, connection: sa.Connection) -> frozenset[str]:
        """Hide everybody who has an open request from the service at once; returns whom the list then names."""
        self._hide(connection, keep=True)
        return frozenset() if self._hidden_users is None else hidden.read(self._hidden_users)

    def not_hidden_at_acceptance(self) -> set[str]:
        """Ids of the requests of which the log says that their user was not on the service's list when they were
        accepted. An older Lethe, which hid them in the same moment, did not write that down."""
        return {event.request for event in self.events() if event.detail.get("hidden") is False}

    def _hide(self, connection: sa.Connection, keep: bool) -> bool:
        """Write the list, those who are on it already ``keep``ing their place; whether it is exact so."""
        path = self._hidden_users
        if path is None:
            return True
        query = sa.select(requests_table).where(requests_table.c.state.in_(OPEN))
        waiting = [from_row(row) for row in connection.execute(query).mappings()]
        also_items = (request.user_digest + hidden.AS_ITEM for request in waiting if request.also_item)
        wanted = frozenset(request.user_digest for request in waiting).union(also_items)
        there: frozenset[str] | None = None
        # Missing, damaged or of the key before: everybody is hidden until it is written.
        with suppress(DataError, ConfigError):
            there = hidden.read(path)
        listed = wanted | (there or frozenset()) if keep else wanted
        if listed != there:
            hidden.publish(path, listed)
        self._keep_out(waiting, keep)
        return listed == wanted

    @contextmanager
    def _transaction(self, write: bool = False) -> Iterator[sa.Connection]:
        with one_line(), self._engine.connect().execution_options(write=write) as connection, connection.begin():
            if write and self._engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            yield connection


def _must_be_of_this_key(connection: sa.Connection) -> None:
    """Raises ConfigError where a ledger that names no key, as an older Lethe left it, has requests of another one."""
    query = sa.select(requests_table).where(requests_table.c.state.in_(OPEN), requests_table.c.kind == "user")
    waiting = [from_row(row) for row in connection.execute(query).mappings()]
    strange = [r for r in waiting if r.user is not None and subject_digest(r.dataset, r.user) != r.subject_digest]
    if strange:
        raise ConfigError(
            f"key: {len(strange)} open requests were made under another key than that in {folder()}; {RESTORE}"
        )


def _setting(connection: sa.Connection, name: str) -> str | None:
    query = sa.select(settings_table.c.value).where(settings_table.c.name == name)
    return connection.execute(query).scalar_one_or_none()


def _under_new_key(request: ForgetRequest, digests: Mapping[str, str]) -> ForgetRequest:
    if request.user is None:
        subject, user = (digests.get(old) or old for old in (request.subject_digest, request.user_digest))
    else:
        subject = digest_of(request.dataset, request.user, request.items)
        user = subject_digest(request.dataset, request.user)
    return replace(request, subject_digest=subject, user_digest=user)


def rows(connection: sa.Connection, ids: Collection[str]) -> dict[str, ForgetRequest]:
    """Requests by id, in the order of the ids. Raises RequestError if one is not there."""
    found = {request.id: request for request in where(connection, requests_table.c.id, list(ids))}
    if missing := [id for id in ids if id not in found]:
        if not re.fullmatch(r"req-[0-9a-f]+", missing[0]):
            # What was written may be somebody's id.
            raise RequestError("request: must be a request's id, such as req-0123456789abcdef; see lethe forget list")
        raise RequestError(f"request: no {missing[0]!r} in the ledger")
    return {id: found[id] for id in ids}


def where(connection: sa.Connection, column: sa.Column[Any], values: Sequence[str]) -> Iterator[ForgetRequest]:
    for start in range(0, len(values), _FEW):
        query = sa.select(requests_table).where(column.in_(values[start : start + _FEW]))
        yield from map(from_row, connection.execute(query).mappings())


def update(connection: sa.Connection, requests: Iterable[ForgetRequest]) -> None:
    rows = [{**to_row(request), "this": request.id} for request in requests]
    if rows:
        connection.execute(requests_table.update().where(requests_table.c.id == sa.bindparam("this")), rows)
