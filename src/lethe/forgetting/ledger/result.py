"""What came of a request, in the form that the ledger keeps; no id of a person is in it.

The log holds the digest of it, so what was once written stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from lethe.core.canonical import Json

FORGOTTEN = "forgotten"
NOTHING_WAS_HELD = "nothing held"


@dataclass(frozen=True)
class Removed:
    """How many entries left a store."""

    store: str
    removed: int


@dataclass(frozen=True)
class Work:
    """What forgetting took: shards as FAMILY/SHARD, what left the stores, and the seconds of the run."""

    touched: tuple[str, ...]
    """Shards that held the subjects of the run."""
    retrained: tuple[str, ...]
    """Shards whose sub-models were trained anew."""
    reused: tuple[str, ...]
    purged: tuple[Removed, ...]
    stores: int
    """That were searched in the end."""
    found: int
    """Places in them that still held somebody."""
    seconds: Mapping[str, float]
    """Of the run in total, and of training alone."""
    verification: str | None = None
    """What the rebuild inside the run came to."""

    def plain(self) -> Json:
        verified = {} if self.verification is None else {"verification": self.verification}
        return {
            "shards_touched": list(self.touched),
            "shards_retrained": list(self.retrained),
            "shards_reused": list(self.reused),
            "purged": [{"store": one.store, "removed": one.removed} for one in self.purged],
            "scan": {"stores": self.stores, "found": self.found},
            "seconds": dict(self.seconds),
            **verified,
        }

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        scan = values.get("scan", {})
        return cls(
            touched=tuple(values.get("shards_touched", ())),
            retrained=tuple(values.get("shards_retrained", ())),
            reused=tuple(values.get("shards_reused", ())),
            purged=tuple(Removed(one["store"], one["removed"]) for one in values.get("purged", ())),
            stores=scan.get("stores", 0),
            found=scan.get("found", 0),
            seconds=values.get("seconds", {}),
            verification=values.get("verification"),
        )


@dataclass(frozen=True)
class Result:
    """How a request ended: something was forgotten, or nothing was held."""

    outcome: str
    suppressed: tuple[str, ...] | None = None
    """Digests that joined the suppression list; None as an older Lethe completed it."""
    certificate: str | None = None
    """Its file, below the project's folder."""
    certificate_digest: str | None = None
    work: Work | None = None
    """Where something was forgotten."""
    looked_at: Json | None = None
    """Where nothing was held: how much was found in each place that was searched."""
    written: Json | None = field(default=None, repr=False)
    """What the ledger holds, where an older Lethe wrote it in another form."""

    def plain(self) -> Json:
        """As the ledger holds it."""
        if self.written is not None:
            return self.written
        values: Json = {
            "suppressed": None if self.suppressed is None else list(self.suppressed),
            "certificate": self.certificate,
            "certificate_digest": self.certificate_digest,
            "looked_at": self.looked_at,
        }
        said = {name: value for name, value in values.items() if value is not None}
        return {"outcome": self.outcome, **said, **({} if self.work is None else self.work.plain())}

    @classmethod
    def parse(cls, values: Json) -> Self:
        suppressed: Any = values.get("suppressed")
        named: dict[str, Any] = {name: values.get(name) for name in ("certificate", "certificate_digest", "looked_at")}
        outcome = str(values.get("outcome", ""))
        result = cls(
            outcome=outcome,
            suppressed=None if suppressed is None else tuple(suppressed),
            work=Work.parse(values) if outcome == FORGOTTEN else None,
            **named,
        )
        return result if result.plain() == values else replace(result, written=values)
