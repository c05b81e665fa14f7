"""People who are items too, as where people choose each other or sell: who is hidden is offered to nobody, from the
moment their request is accepted, and is asked about as if they had never been there, which is how it ends.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lethe.core.keys import subject_hashes
from lethe.serving.hidden import AS_ITEM, HiddenUsers
from lethe.tables.ids import Ids


class HiddenItems:
    """Which of a family's items the list hides, looked up anew whenever it names others."""

    def __init__(self, hidden: HiddenUsers, dataset: str, items: Ids) -> None:
        self._hidden, self._dataset, self._items = hidden, dataset, items
        # The list that was looked at, who of it is an item, what came of it: together, so that no thread sees half.
        self._seen: tuple[frozenset[str], frozenset[str], np.ndarray | None] = frozenset(), frozenset(), None

    def left(self, allowed: np.ndarray | None = None) -> np.ndarray | None:
        """[num_items] bool: what is left of the allowed items; None where all of them are."""
        offered = self._offered()
        return allowed if offered is None else offered if allowed is None else offered & allowed

    def known(self, places: np.ndarray) -> np.ndarray:
        """Which of some places [n] are those of an item that is there to be asked about; -1 is no place."""
        offered, there = self._offered(), places >= 0
        return there if offered is None else there & offered[places]

    def _offered(self) -> np.ndarray | None:
        digests = self._hidden.digests()
        seen, people, offered = self._seen
        # The same object, not an equal one: each answer asks, and of the hidden there may be many. While nobody knows
        # who is hidden, those count of whom it was known.
        if digests is None or digests is seen:
            return offered
        if (now := _people(digests)) != people:
            offered = self._without(now)
        self._seen = digests, now, offered
        return offered

    def _without(self, people: frozenset[str]) -> np.ndarray | None:
        hidden = {bytes.fromhex(digest) for digest in people}
        hashes = subject_hashes(self._dataset, self._items.values.tolist())
        offered = np.fromiter((digest not in hidden for digest in hashes), bool, len(self._items))
        return None if offered.all() else offered


def _people(digests: Iterable[str]) -> frozenset[str]:
    return frozenset(digest.removesuffix(AS_ITEM) for digest in digests if digest.endswith(AS_ITEM))
