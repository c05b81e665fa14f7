"""The ledger's log: one entry a change, each chained to the one before it by its hash."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from lethe.core.canonical import Json, canonical_json, digest_json
from lethe.errors import ArtifactError
from lethe.forgetting.ledger.database import events as events_table
from lethe.forgetting.ledger.requests import ForgetRequest, State
from lethe.tables.inside import DISTINCTIVE

GENESIS = "0" * 64
_NOW_CALLED = {"rejected": "cancelled"}
"""States of old entries, which can't be changed, by the names they have now."""
_OURS = {"held", "result", "touched", "failure", "established", "hold", "hidden", "lifted", "also_item"}
"""What details say in our own words, or by the names in params.yaml: somebody may be called so."""


@dataclass(frozen=True)
class Event:
    """One change of a request, or (in the state it is in) one fact about it."""

    seq: int
    request: str
    state: State
    at: str
    detail: Json
    prev_hash: str
    hash: str

    def expected_hash(self) -> str:
        """SHA-256 over everything but the hash itself."""
        return digest_json([self.seq, self.request, self.state, self.at, self.detail, self.prev_hash])


def read(connection: sa.Connection, id: str | None = None) -> list[Event]:
    """The log, of one request or whole, oldest first."""
    query = sa.select(events_table).order_by(events_table.c.seq)
    rows = connection.execute(query if id is None else query.where(events_table.c.request == id)).mappings()
    return [Event(**{**row, "detail": json.loads(row["detail"])}) for row in rows]


def names(user: str, detail: Json) -> bool:
    """Whether a detail seems to name somebody, in what isn't said in our own words."""
    said = str({name: value for name, value in detail.items() if name not in _OURS})
    return len(user) >= DISTINCTIVE and user in said


def append(connection: sa.Connection, changes: Iterable[tuple[str, State, Json]], now: datetime) -> None:
    """Add changes (request, its state, detail) to the end of the chain. ``detail`` is plain JSON without ids of people:
    the log can never be erased from."""
    query = sa.select(events_table.c.seq, events_table.c.hash).order_by(events_table.c.seq.desc()).limit(1)
    seq, previous = connection.execute(query).one_or_none() or (0, GENESIS)
    at = now.astimezone(UTC).isoformat(timespec="seconds")
    values = []
    for id, state, detail in changes:
        seq += 1
        event = Event(seq, id, state, at, json.loads(canonical_json(detail)), previous, "")
        previous = event.expected_hash()
        values.append({**vars(event), "detail": canonical_json(detail).decode(), "hash": previous})
    if values:
        connection.execute(events_table.insert(), values)


def check(events: Sequence[Event], requests: Iterable[ForgetRequest], heads: Collection[str] = ()) -> str:
    """Check a whole log, the state of each of these requests against it, and that ``heads`` (hashes that certificates
    name) are in it; returns the hash of the newest entry. Raises ArtifactError at the first fault."""
    previous = GENESIS
    last: dict[str, Event] = {}
    results: dict[str, str | None] = {}
    for place, event in enumerate(events, start=1):
        if (event.seq, event.prev_hash, event.hash) != (place, previous, event.expected_hash()):
            raise ArtifactError(f"ledger: event {place} was changed, or one before it removed")
        previous, last[event.request] = event.hash, event
        if "result" in event.detail:
            results[event.request] = str(event.detail["result"])
    for request in requests:
        end = last.get(request.id)
        if end is None or _NOW_CALLED.get(end.state, end.state) != request.state:
            raise ArtifactError(f"ledger: state of {request.id} is not the one its log ends in")
        result = None if request.result is None else request.result.plain()
        if request.state == "completed" and results.get(request.id) != digest_json(result):
            raise ArtifactError(f"ledger: result of {request.id} is not the one its log names")
    # What was signed before anything was logged names the beginning.
    missing = len(set(heads) - {GENESIS, *(event.hash for event in events)})
    if missing:
        raise ArtifactError(
            f"ledger: {missing} hashes that certificates or the witness name are not in the log; it was put back from "
            "a backup or written anew, or they are another project's"
        )
    return previous
