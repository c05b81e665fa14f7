"""The certificate of a request of whose subject nothing was held: where was looked, what stands there, and that the
subject is suppressed. tools/check_certificate.py has the same rules and no line in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from lethe.config.promise import Hex, Line, Moment
from lethe.config.section import Section
from lethe.forgetting.certificate.content import Count, Invariant, fault_of_dates

PREDICATE = "urn:lethe:nothing-held:v1"
TABLES, COPY, VERSIONS, ARTIFACTS, OBJECTS = PLACES = (
    "ingested tables",
    "copy of the source",
    "versions",
    "artifacts",
    "DVC objects",
)
"""What is ours, and must hold nothing: rows of tables, files of the others."""
CLAIM = "nothing of the subject is held, and nothing of it will enter until it is lifted"
SOURCE_HOLDS = "; the source still has rows of it, which its owner has to remove"
SOURCE_UNREAD = "; the source could not be read"
ELSEWHERE = "; other datasets hold the same id, which this request does not name"


class Asked(Section):
    """The request."""

    id: Line
    kind: Literal["user", "interaction"]
    subject_digest: Hex
    """HMAC-SHA256 of the subject under the operator's key, as on the receipt."""
    reason: str
    received: Moment
    due: Moment
    completed: Moment


class NothingHeld(Section):
    """All that it says."""

    request: Asked
    dataset: Line
    held: dict[str, Count]
    """What of the subject stands in each of ``PLACES``: rows of tables, files of what was made of them."""
    source: Count | None
    """Rows of the source as it was then; null where it could not be read."""
    elsewhere: dict[str, Count]
    """Rows of the same subject in each other dataset."""
    remotes: dict[str, Count | None] = Field({})
    """Files of each DVC remote that no output names any more and that lie in no cache here; null where it could not be
    read."""
    named: Annotated[int, Field(ge=1)]
    """How many keyed digests name the subject: one of a user, one of each interaction."""
    suppressed: tuple[Hex, ...]
    """Those of them that stand on the suppression list."""
    interactions: Hex
    """SHA-256 of the table that was searched."""
    suppression_list: Hex
    """SHA-256 of the list."""
    ledger_head: Hex
    """Hash of the newest event of the ledger's log when the search ended."""
    claim: str = ""
    """Derived when it is signed."""
    invariants: tuple[Invariant, ...] = ()
    """Derived when it is signed."""

    def claims(self) -> dict[str, str]:
        """What is claimed, by dataset."""
        return {self.dataset: self.claim}

    def subjects(self) -> dict[str, str]:
        """What the statement is about: the data that hold nothing."""
        return {f"{self.dataset}/interactions": self.interactions}


def derived(content: NothingHeld) -> NothingHeld:
    """With claim and invariants made from the evidence."""
    return content.model_copy(update={"claim": claim(content), "invariants": invariants(content)})


def claim(content: NothingHeld) -> str:
    """The most that the evidence lets us say."""
    source = SOURCE_UNREAD if content.source is None else SOURCE_HOLDS if content.source else ""
    unread = "".join(f"; the {name} could not be read" for name in unread_remotes(content))
    return CLAIM + source + unread + (ELSEWHERE if any(content.elsewhere.values()) else "")


def unread_remotes(content: NothingHeld) -> list[str]:
    """Where nobody could look."""
    return sorted(name for name, count in content.remotes.items() if count is None)


def invariants(content: NothingHeld) -> tuple[Invariant, ...]:
    """Every line that must hold, made from the evidence."""
    counts = [
        *((place, content.held.get(place, "not searched")) for place in PLACES),
        *((name, count) for name, count in sorted(content.remotes.items()) if count is not None),
    ]
    listed = len(set(content.suppressed))
    return (
        *(Invariant.of(f"held in {place}", 0, count, count == 0) for place, count in counts),
        Invariant.of("on the suppression list", content.named, listed, listed == content.named),
    )


def contradictions(content: NothingHeld) -> Iterator[str]:
    """Each way in which it says what its evidence doesn't carry, in a line; none for a sound one."""
    for one in content.invariants:
        if not one.holds:
            yield f"{one.name}: must be {one.expected}, is {one.actual}"
    if content.invariants != invariants(content):
        yield "invariants: they are not those of the evidence"
    if content.claim != claim(content):
        yield "claim: it is not what the evidence carries"
    if strange := sorted(content.held.keys() - set(PLACES)):
        yield f"held: {strange[0]} is no place that is searched"
    if content.dataset in content.elsewhere:
        yield f"elsewhere: {content.dataset} is no other dataset"
    if content.request.kind == "user" and content.suppressed != (content.request.subject_digest,):
        yield "suppressed: what stands on the list is not the subject"
    if fault := fault_of_dates(content.request.received, content.request.due, content.request.completed):
        yield fault
