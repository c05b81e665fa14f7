"""What a certificate says, as typed values; claims.py holds what may be said, and when.

Everything of before is given by keyed digest: from a plain one, whoever has the remaining data would find the forgotten
rows by trial.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue

from lethe.config.promise import Hex, Lasting, Line, Moment
from lethe.config.section import Section
from lethe.forgetting.certificate.users import Users

PREDICATE = "urn:lethe:erasure:v1"

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Subject(Section):
    """The request."""

    id: Line
    kind: Literal["user", "interaction"]
    subject_digest: Hex
    """HMAC-SHA256 of the subject under the operator's key: recognisable to who knows the subject and holds the key."""
    reason: str
    received: Moment
    due: Moment
    completed: Moment
    hidden: bool
    """Whether from acceptance on the service answered the subject from popularity."""


class Rows(Section):
    """Rows of the subject by kind (interactions, links, ...): held at acceptance, removed, and still there."""

    held: dict[str, Count]
    removed: dict[str, Count]
    left: Count


class Shards(Section):
    """What happened to the shards of one family."""

    touched: tuple[str, ...]
    retrained: tuple[str, ...]
    reused: tuple[str, ...]


class Family(Section):
    """One served family: what is claimed of it, and the recipe that the claim is about."""

    version: Line
    claim: str = ""
    """One of ``claims.SENTENCES``; derived when it is signed."""
    recipe: dict[str, JsonValue]
    """Model, hyper-parameters, sharding, aggregator, seed."""
    chosen: str
    """By which rule, and on which data, the recipe was chosen."""
    frozen: bool
    """Whether rows are assigned to shards by an assignment that is kept for the epoch."""
    repeatable: bool
    """Whether its environment builds the same bytes from the same inputs."""
    residues: tuple[Lasting, ...]
    shards: Shards


class Purged(Section):
    """What left one store."""

    store: str
    removed: Count
    bytes: int


class Absence(Section):
    """The absence scan."""

    stores: dict[str, tuple[str, ...]]
    """Places found in each store that was searched."""
    found: Count
    needles: dict[str, Count]
    """How many of each kind were searched for."""
    typed_only: Count
    """Ids so short that they were searched where an id stands, and not in free text."""
    not_searched: tuple[str, ...]
    """Places inside the stores that could not be looked into."""


class Sample(Section):
    """How sub-models were drawn to be rebuilt; see ``drawn``. ``nonces``: of the batch's requests, sorted."""

    count: Annotated[int, Field(ge=1)]
    nonces: Annotated[tuple[Line, ...], Field(min_length=1)]
    origin: Literal["requesters", "random"]


class Scores(Section):
    """How far the scores of what is served and of its rebuild differ, over a sample of users and items that the nonces
    drew: the largest |a - b|, and the largest |a - b| / max(|a|, |b|)."""

    users: Annotated[int, Field(ge=1)]
    items: Annotated[int, Field(ge=1)]
    absolute: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    relative: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Verification(Section):
    """The rebuild from the remaining data in a clean folder, beside what is served: digests by the same names.

    ``carried``: sub-models that were not rebuilt, because nothing that they are made of changed. ``left_out``: tables
    that were not made again from their source, because it, or params.yaml, has changed since: the rebuild began with a
    kept copy of them. ``sample``: None where everything else was rebuilt. ``scores``: of each family that does not
    repeat, where it was rebuilt whole. ``reason``: why nothing was compared; empty where it was.
    """

    result: Literal["equal", "different", "not comparable", "not run"]
    served: dict[str, Hex] = Field(default_factory=dict)
    rebuilt: dict[str, Hex] = Field(default_factory=dict)
    carried: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    sample: Sample | None = None
    scores: dict[str, Scores] = Field(default_factory=dict)
    reason: str = ""

    @classmethod
    def of(
        cls,
        served: Mapping[str, str],
        rebuilt: Mapping[str, str],
        carried: Iterable[str] = (),
        sample: Sample | None = None,
        left_out: Iterable[str] = (),
        scores: Mapping[str, Scores] | None = None,
    ) -> Self:
        """Of digests that were compared; none at all would look like equality."""
        assert served, "nothing was compared"
        return cls(
            result="equal" if dict(served) == dict(rebuilt) else "different",
            served=dict(served),
            rebuilt=dict(rebuilt),
            carried=tuple(sorted(carried)),
            left_out=tuple(sorted(left_out)),
            sample=sample,
            scores=dict(scores or {}),
        )

    def about(self, dataset: str, families: Iterable[str]) -> Self:
        """What of it is about one dataset and its families."""
        own = (dataset, *families)
        served, rebuilt = (
            {name: digest for name, digest in digests.items() if name.partition("/")[0] in own}
            for digests in (self.served, self.rebuilt)
        )
        if self.result not in ("equal", "different"):
            return self
        carried, left_out = (
            [name for name in names if name.partition("/")[0] in own] for names in (self.carried, self.left_out)
        )
        scores = {family: one for family, one in self.scores.items() if family in own}
        return self.of(served, rebuilt, carried, self.sample, left_out, scores)

    @property
    def differing(self) -> tuple[str, ...]:
        """Names whose digests differ, or that stand on one side only."""
        names = sorted({*self.served, *self.rebuilt})
        return tuple(name for name in names if self.served.get(name) != self.rebuilt.get(name))


def drawn(names: Iterable[str], count: int, nonces: Iterable[str]) -> list[str]:
    """The ``count`` names that the nonces pick: those with the least SHA-256 of (all nonces, name), a line each.

    Whoever gave one of the nonces knows that nobody chose the sample.
    """
    seed = "".join(f"{nonce}\n" for nonce in nonces)
    return sorted(sorted(names, key=lambda name: hashlib.sha256(f"{seed}{name}".encode()).digest())[:count])


class Invariant(Section):
    """One thing that must hold before anything is signed."""

    name: str
    expected: str
    actual: str
    holds: bool

    @classmethod
    def of(cls, name: str, expected: object, actual: object, holds: bool) -> Self:
        return cls(name=name, expected=str(expected), actual=str(actual), holds=holds)


def fault_of_dates(received: str, due: str, completed: str) -> str | None:
    """What is wrong with a request's dates, if anything is."""
    try:
        began, latest, ended = map(datetime.fromisoformat, (received, due, completed))
    except ValueError:
        return "request: a date is not in the calendar"
    return None if began <= ended and began <= latest else "request: dates are out of order"


class Erasure(Section):
    """All that a certificate says; the predicate of its statement."""

    request: Subject
    dataset: Line
    rows: Rows
    users: Users | None
    """None for a request about some interactions: its user may stay."""
    families: dict[str, Family]
    outside_reach: tuple[Lasting, ...]
    before: dict[str, Hex]
    """Keyed digests, by name, of tables and artifacts as they were."""
    after_keyed: dict[str, Hex]
    """Keyed like ``before``: where the two are equal, nothing changed."""
    after: dict[str, Hex]
    """SHA-256, by name, of tables ({dataset}/interactions, {dataset}/{sharding}/shard/{name}) and of what is served
    ({family}/package, {family}/ensemble, {family}/sub-model/{shard})."""
    materials: dict[str, Hex]
    """SHA-256 of what else decides a rebuild: code, installed packages and requirements.lock, environment, parameters,
    suppression list. params.yaml or the lock is not named where it was edited while the request was carried out."""
    environment: dict[str, JsonValue]
    purged: tuple[Purged, ...]
    scan: Absence
    verification: Verification
    seconds: dict[str, Seconds]
    ledger_head: Hex
    """Hash of the newest event of the ledger's log when this was signed."""
    invariants: tuple[Invariant, ...] = ()
    """Derived when it is signed."""

    def claims(self) -> dict[str, str]:
        """What is claimed, by family."""
        return {family: one.claim for family, one in self.families.items()}

    def subjects(self) -> dict[str, str]:
        """What the statement is about: the remaining data and every served package, by digest."""
        named = (f"{self.dataset}/interactions", *(f"{family}/package" for family in self.families))
        return {name: self.after[name] for name in named if name in self.after}
