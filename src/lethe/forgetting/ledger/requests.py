"""What a forget request is, which rows it covers, and which requests can't be taken."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import unquote

import numpy as np

from lethe.core.canonical import Json, canonical_json
from lethe.core.keys import subject_digest
from lethe.errors import RequestError
from lethe.forgetting.ledger.result import Result, Work
from lethe.tables.ids import among, id_fault, same_id
from lethe.tables.inside import DISTINCTIVE
from lethe.tables.interactions import Interactions
from lethe.tables.texts import Column

State = Literal[
    "received", "accepted", "planned", "executing", "verified", "completed", "cancelled", "withdrawn", "failed"
]
PENDING: tuple[State, ...] = ("accepted", "planned", "executing", "verified")
"""What the next run has to bring to an end."""
OPEN: tuple[State, ...] = ("received", *PENDING, "failed")
"""What nobody has ended: it counts as waiting, and its subject is hidden from the service."""
LEGAL: dict[State, tuple[State, ...]] = {
    "received": ("accepted", "cancelled", "withdrawn"),
    "accepted": ("planned", "cancelled", "withdrawn", "failed"),
    # A state that leads to itself, or back, is where an interrupted run resumes.
    "planned": ("planned", "executing", "cancelled", "withdrawn", "failed"),
    "executing": ("executing", "verified", "failed"),
    "verified": ("verified", "executing", "completed", "failed"),
    "failed": ("accepted", "cancelled", "withdrawn"),
    "completed": (),
    "cancelled": (),
    "withdrawn": (),
}
NOTHING_HELD: tuple[State, ...] = ("received", "accepted", "planned")
"""States from which a request may complete because there is nothing (or nothing any more) to forget."""
BEFORE_EXECUTING: tuple[State, ...] = ("received", "accepted", "planned", "failed")
"""States in which a request may still be put on hold, taken back or cancelled."""
Fact = Literal["identity", "approval"]
UNSAID = "unsaid-item"
"""Why a request failed of whose user nobody has said whether an item, or what names the same id, is the person."""
LAST = "last-rows"
"""Why a request failed after which its dataset would have no interaction left to learn from."""

LONGEST_LINE = 100
ID_COLUMNS = ("user", "friend", "item", "entity")
"""Columns of tables that hold ids: two of people, two of things (which may be people too)."""


CLOCKS_DIFFER = timedelta(minutes=5)
"""As far as clocks of two machines may differ, or one be set back, and nobody has to look at it."""


@dataclass(frozen=True)
class Held:
    """What there was of a subject when its request was accepted: rows, but for ``earlier``, which counts files."""

    interactions: int = 0
    links: int = 0
    """Of and to the user."""
    behaviours: int = 0
    features: int = 0
    """Of the user; of an item, and what names the person, where the request is about them as an item too."""
    contexts: int = 0
    """Rows of others, which stay, that name such a person in a context."""
    source_copy: int = 0
    """Of our own copy of a downloaded source."""
    source: int = 0
    """Of the source as it was then."""
    earlier: int = 0
    """Files of versions, artifacts and DVC objects that hold the subject though no table does."""

    @property
    def rows(self) -> int:
        """Rows of the ingested tables: those that have to be gone, or to name the person no more."""
        return self.interactions + self.links + self.behaviours + self.features + self.contexts

    def to_remove(self) -> dict[str, int]:
        """By kind, in words: all but what only the source has, which never enters."""
        return {name.replace("_", " "): count for name, count in asdict(self).items() if name != "source"}

    def __add__(self, other: Held) -> Held:
        return Held(**{name: count + getattr(other, name) for name, count in asdict(self).items()})

    def __bool__(self) -> bool:
        """Whether there is anything to be removed; what only the source holds just never enters."""
        return any(self.to_remove().values())

    def __str__(self) -> str:
        counts = [f"{value} {name.replace('_', ' ')}" for name, value in asdict(self).items() if value]
        return ", ".join(counts) or "nothing"


@dataclass(frozen=True)
class ForgetRequest:
    """One request. ``user`` and ``items`` are raw ids as text; both are gone once the subject is erased.

    kind  "user": everything of the user; "interaction": the user's interactions with ``items``
    """

    id: str
    dataset: str
    kind: Literal["user", "interaction"]
    user: str | None = field(repr=False)
    items: tuple[str, ...] = field(repr=False)
    also_item: bool
    """The user is an item too (people recommended to people), or named by facts, features or contexts, and is forgotten
    as both."""
    subject_digest: str
    user_digest: str
    reason: str
    """One of the codes of params.yaml."""
    received: datetime
    due: datetime
    state: State = "received"
    held: Held = Held()
    ticket: str | None = None
    external_id: str | None = None
    """What the asking system calls it: the same one again is the same request."""
    nonce: str | None = None
    """What the requester wants the sample of a rebuild drawn by; it goes with the subject, but for the certificate."""
    on_hold: bool = False
    facts: tuple[Fact, ...] = ()
    """What has been established about the asking: see ``forgetting.requires`` in params.yaml."""
    failure: str | None = None
    """Code of what went wrong, while it is failed."""
    lifted: bool = False
    """The person may be known again."""
    said_item: bool = False
    """Somebody has said of this request whether ``also_item`` is so."""
    result: Result | None = None
    """What came of it, once it is completed."""

    @classmethod
    def new(
        cls,
        dataset: str,
        user: str | int,
        items: Sequence[str | int] = (),
        reason: str = "user-request",
        *,
        now: datetime,
        datasets: Collection[str],
        due_days: int = 30,
        also_item: bool = False,
        said_item: bool = False,
        ticket: str | None = None,
        external_id: str | None = None,
        nonce: str | None = None,
    ) -> ForgetRequest:
        """A checked request, received ``now`` (aware). Raises RequestError: unknown dataset, bad ids, bad text."""
        if dataset not in datasets:
            raise RequestError(f"dataset: unknown {dataset!r}; known: {', '.join(sorted(datasets))}")
        subject, chosen = checked_id("user", user), tuple(sorted(checked_id("items", item) for item in items))
        if len(set(chosen)) < len(chosen):
            raise RequestError(f"items: each must be named once, {len(chosen) - len(set(chosen))} are repeated")
        if also_item and chosen:
            raise RequestError("also_item: is for a request about all of a person, leave the items out")
        # A reason is one of the codes of params.yaml, which name nobody though an id may be the same word.
        check_line("reason", reason)
        for name, text in (("ticket", ticket), ("external_id", external_id), ("nonce", nonce)):
            check_line(name, text, (subject, *chosen))
        return cls(
            id=f"req-{secrets.token_hex(8)}",
            dataset=dataset,
            kind="interaction" if chosen else "user",
            user=subject,
            items=chosen,
            also_item=also_item,
            said_item=said_item,
            subject_digest=digest_of(dataset, subject, chosen),
            user_digest=subject_digest(dataset, subject),
            reason=reason,
            received=_seconds(now),
            due=_seconds(now) + timedelta(days=due_days),
            ticket=ticket,
            external_id=external_id,
            nonce=nonce,
        )

    @property
    def subject(self) -> str:
        """What two requests about the same have in common while one is under way."""
        return f"{self.subject_digest}+item" if self.also_item else self.subject_digest

    @property
    def certificate(self) -> str | None:
        """Its certificate's file, below the project's folder."""
        return None if self.result is None else self.result.certificate

    @property
    def work(self) -> Work | None:
        """What forgetting it took; None where nothing was forgotten."""
        return None if self.result is None else self.result.work

    def digests(self) -> list[str]:
        """Keyed digests by which the suppression list names the subject; none once it is erased."""
        if self.user is None:
            return []
        return sorted(subject_digest(self.dataset, self.user, item) for item in self.items or (None,))

    def days_left(self, now: datetime | None = None) -> int:
        """Whole days until it is due; below 0 where it is overdue."""
        return (self.due - (now or datetime.now(UTC))) // timedelta(days=1)

    def is_ahead(self, now: datetime) -> bool:
        """Whether it was received later than now: one of the two was told by a clock that is wrong."""
        return self.received - now > CLOCKS_DIFFER

    def covers(self, user_ids: Column, item_ids: Column) -> np.ndarray:
        """[n] bool: which of the aligned raw ids the request is about; none once its subject is erased."""
        if self.user is None:
            return np.zeros(len(user_ids), dtype=bool)
        rows = same_id(user_ids, self.user)
        if self.kind == "interaction":
            rows = rows & np.any([same_id(item_ids, item) for item in self.items], axis=0)
        return rows | same_id(item_ids, self.user) if self.also_item else rows

    def to_json(self) -> Json:
        """All but the ids."""
        plain = ("id", "dataset", "kind", "also_item", "subject_digest", "reason", "state", "ticket", "external_id")
        more = ("on_hold", "failure", "lifted")
        return {
            **{name: getattr(self, name) for name in (*plain, *more)},
            "result": None if self.result is None else self.result.plain(),
            "facts": list(self.facts),
            "held": asdict(self.held),
            "received": self.received.isoformat(),
            "due": self.due.isoformat(),
        }


def covered_by(requests: Sequence[ForgetRequest], user_ids: Column, item_ids: Column) -> np.ndarray:
    """[n] bool: which of the aligned raw ids one of the requests is about; thousands of whole users at once."""
    rows = among(user_ids, [r.user for r in requests if r.kind == "user" and r.user is not None])
    rows |= among(item_ids, [r.user for r in requests if r.also_item and r.user is not None])
    for request in requests:
        if request.kind == "interaction":
            rows |= request.covers(user_ids, item_ids)
    return rows


def holds(interactions: Interactions, request: ForgetRequest) -> int:
    """How many rows of the data the request covers; 0 means that nothing is held."""
    return int(request.covers(interactions.user_ids, interactions.item_ids).sum())


def digest_of(dataset: str, user: str, items: Sequence[str]) -> str:
    """Keyed digest (HMAC) of a whole subject: of the user, or of the user with the sorted list of items."""
    return subject_digest(dataset, user, canonical_json(sorted(items)).decode() if items else None)


def checked_id(name: str, value: str | int) -> str:
    """An id as text; every one that a table can hold. Raises RequestError, which doesn't show it."""
    text = str(value)
    if fault := id_fault(text):
        raise RequestError(f"{name}: an id {fault}")
    return text


def check_line(name: str, text: str | None, subject: Collection[str] = ()) -> None:
    """What is kept for good must be one short line that names nobody. Raises RequestError."""
    if text is None:
        return
    if not 0 < len(text.strip()) <= LONGEST_LINE or not text.isprintable():
        raise RequestError(f"{name}: must be one line of 1 to {LONGEST_LINE} characters, got {len(text)}")
    if any(_names(text, raw_id) for raw_id in subject):
        raise RequestError(f"{name}: must not contain the id of the user or of an item, because it is kept for good")


def _names(text: str, raw_id: str) -> bool:
    text, raw_id = _folded(text), _folded(raw_id)
    # A short id occurs in other words by chance: it counts where it stands alone.
    return raw_id in (text if len(raw_id) >= DISTINCTIVE else re.split(r"\W+", text)) or raw_id == text


def _folded(text: str) -> str:
    """As links (%40), other cases and other blanks spell it."""
    return " ".join(unicodedata.normalize("NFKC", unquote(text)).casefold().split())


def _seconds(time: datetime) -> datetime:
    assert time.tzinfo is not None, "times in the ledger are aware"
    return time.astimezone(UTC).replace(microsecond=0)
