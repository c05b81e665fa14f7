"""The ledger of requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.stores.base import Found, Place, Removed, Site
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.parts import of_record
from lethe.forgetting.stores.scan import find_in_parts, look


@dataclass(frozen=True)
class LedgerStore:
    """Its subjects go with ``Ledger.erase``; one that a request under way still needs is no finding. Its file is
    rewritten, in case an earlier run was killed before it could be."""

    ledger: Ledger
    name: str = "ledger"

    def size(self) -> int:
        return self.ledger.size()

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        datasets = {n.dataset for n in needles}
        subjects = [r for r in self.ledger.pending() if r.user is not None and r.dataset in datasets]
        return Removed(self.name, len(subjects), sum(len("".join([str(r.user), *r.items]).encode()) for r in subjects))

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before = self.size()
        self.ledger.vacuum()
        return Removed(self.name, 0, before - self.size())

    def find(self, needles: Sequence[Needles]) -> Found:
        requests = self.ledger.all()
        told = [*(request.to_json() for request in requests), *(vars(event) for event in self.ledger.events())]
        kind = find_in_parts(of_record(told), needles)
        # Also by another request about the same person, on hold, say, or in another dataset.
        needed = {raw for request in requests if request.user is not None for raw in (request.user, *request.items)}
        others = [n.without(needed) for n in needles]
        if kind is None:
            kind = next((looked.kind for path in self.ledger.files() if (looked := look(path, others)).kind), None)
        return Found((Place("ledger", kind),) if kind else ())


def stores(site: Site) -> list[LedgerStore]:
    return [LedgerStore(site.ledger)]
