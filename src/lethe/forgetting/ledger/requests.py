"""What a forget request is, which rows it covers, and which requests can't be taken."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np

from lethe.core.canonical import canonical_json
from lethe.core.keys import subject_digest
from lethe.errors import RequestError
from lethe.tables.ids import id_fault, same_id
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables

State = Literal["received", "accepted", "planned", "executing", "verified", "completed", "rejected", "failed"]
PENDING: tuple[State, ...] = ("accepted", "planned", "executing", "verified")
LEGAL: dict[State, tuple[State, ...]] = {
    "received": ("accepted", "rejected"),
    "accepted": ("planned", "rejected", "failed"),
    # A state that leads to itself, or back, is where an interrupted run goes on.
    "planned": ("planned", "executing", "failed"),
    "executing": ("executing", "verified", "failed"),
    "verified": ("verified", "executing", "completed", "failed"),
    "failed": ("accepted", "rejected"),
    "completed": (),
    "rejected": (),
}
NOTHING_HELD: tuple[State, ...] = ("received", "accepted", "planned")
"""States from which a request may complete because there is nothing (or nothing any more) to forget."""

LONGEST_REASON = 200
DISTINCTIVE = 6
"""Least length in characters of an id that may be searched as text: shorter ones occur by chance."""


@dataclass(frozen=True)
class ForgetRequest:
    """One request. ``user`` and ``items`` are raw ids as text; both are gone once the subject is erased.

    kind  "user": everything of the user; "interactions": the user's interactions with ``items``
    """

    id: str
    dataset: str
    kind: Literal["user", "interactions"]
    user: str | None = field(repr=False)
    items: tuple[str, ...] = field(repr=False)
    subject_digest: str
    reason: str
    received: datetime
    due: datetime
    state: State = "received"
    result: dict[str, Any] | None = None

    @classmethod
    def new(
        cls,
        dataset: str,
        user: str | int,
        items: Sequence[str | int] = (),
        reason: str = "user request",
        *,
        now: datetime,
        datasets: Collection[str],
        due_days: int = 30,
    ) -> ForgetRequest:
        """A checked request, received ``now`` (aware). Raises RequestError: unknown dataset, bad ids, bad reason."""
        if dataset not in datasets:
            raise RequestError(f"dataset: unknown {dataset!r}; known: {', '.join(sorted(datasets))}")
        subject, chosen = _id("user", user), tuple(sorted(_id("items", item) for item in items))
        if len(set(chosen)) < len(chosen):
            raise RequestError(f"items: each must be named once, {len(chosen) - len(set(chosen))} are repeated")
        if not 0 < len(reason.strip()) <= LONGEST_REASON or not reason.isprintable():
            raise RequestError(f"reason: must be one line of 1 to {LONGEST_REASON} characters, got {len(reason)}")
        if {subject, *chosen} & set(re.split(r"\s+", reason)):
            raise RequestError("reason: must not contain the id of the user or of an item, because it is kept for good")
        return cls(
            id=f"req-{secrets.token_hex(8)}",
            dataset=dataset,
            kind="interactions" if chosen else "user",
            user=subject,
            items=chosen,
            subject_digest=digest_of(dataset, subject, chosen),
            reason=reason.strip(),
            received=_seconds(now),
            due=_seconds(now) + timedelta(days=due_days),
        )

    def covers(self, user_ids: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """[n] bool: which of the aligned raw ids the request is about; none once its subject is erased."""
        if self.user is None:
            return np.zeros(len(user_ids), dtype=bool)
        rows = same_id(user_ids, self.user)
        if self.kind == "interactions":
            rows = rows & np.any([same_id(item_ids, item) for item in self.items], axis=0)
        return rows

    def to_json(self) -> dict[str, Any]:
        """All but the ids."""
        return {
            "id": self.id,
            "dataset": self.dataset,
            "kind": self.kind,
            "subject_digest": self.subject_digest,
            "reason": self.reason,
            "received": self.received.isoformat(),
            "due": self.due.isoformat(),
            "state": self.state,
            "result": self.result,
        }


def holds(interactions: Interactions, request: ForgetRequest) -> int:
    """How many rows of the data the request covers; 0 means that nothing is held."""
    return int(request.covers(interactions.user_ids, interactions.item_ids).sum())


def mentions(tables: SideTables, request: ForgetRequest) -> int:
    """How many rows of side tables the request covers: links of and to the user and the features, if it is about all
    of the user; behaviours like interactions."""
    found = sum(holds(rows, request) for rows in tables.behaviours.values())
    if request.kind == "user" and request.user is not None:
        for table in tables.tables.values():
            columns = [table[name] for name in ("user", "friend") if name in table.columns]
            found += int(np.any([same_id(column, request.user) for column in columns], axis=0).sum()) if columns else 0
    return found


def digest_of(dataset: str, user: str, items: Sequence[str]) -> str:
    """Keyed digest (HMAC) of a whole subject: of the user, or of the user with the sorted list of items."""
    return subject_digest(dataset, user, canonical_json(sorted(items)).decode() if items else None)


def _id(field_name: str, value: str | int) -> str:
    text = str(value)
    if fault := id_fault(text):
        raise RequestError(f"{field_name}: an id {fault}")
    return text


def _seconds(time: datetime) -> datetime:
    assert time.tzinfo is not None, "times in the ledger are aware"
    return time.astimezone(UTC).replace(microsecond=0)
