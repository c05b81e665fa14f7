"""Whom the suppression list names in one dataset, and where columns do: all by keyed digests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lethe.core.keys import row_digest, subject_digests
from lethe.tables.columns import distinct
from lethe.tables.inside import KnownIds, inside, may_stand_inside
from lethe.tables.side_tables import may_name
from lethe.tables.texts import Column

LONGEST = 1 << 12
"""Bytes of the longest id that is looked for inside of what is said."""


@dataclass(frozen=True)
class Listed:
    """What the list names in one dataset, as digests. ``owners``: of those users single rows are named; ``lengths``: of
    ids that are looked for inside of what is said."""

    users: frozenset[str]
    since: Mapping[str, int]
    items: frozenset[str]
    pairs: frozenset[str]
    rows: frozenset[str]
    owners: frozenset[str]
    lengths: frozenset[int]

    def __bool__(self) -> bool:
        return bool(self.users or self.since or self.items or self.owners)


def digests_in(dataset: str, column: Column, *, numbers: bool = True) -> tuple[list[str], np.ndarray]:
    """Keyed digest of each distinct id of a column, and for each row which of them is its own. Without ``numbers``
    these have none."""
    ids, places = distinct(column)
    digests = subject_digests(dataset, ids.tolist())
    if not numbers:
        digests = [digest if may_name(str(raw)) else "" for raw, digest in zip(ids, digests, strict=True)]
    return digests, places


def named_inside(
    dataset: str, column: Column, people: AbstractSet[str], lengths: AbstractSet[int], known: KnownIds
) -> Iterator[tuple[str, np.ndarray]]:
    """Digests of those of some people whose ids stand inside of what a column says, with [n] bool: in which rows."""
    texts = sorted(may_stand_inside(column, lengths))
    named = {raw: one for raw, one in zip(texts, subject_digests(dataset, texts), strict=True) if one in people}
    yield from ((named[raw], rows) for raw, rows in inside(column, named, known).items())


@lru_cache
def lengths_among(dataset: str, digests: frozenset[str]) -> frozenset[int]:
    """What lines of the list say of lengths: which they are only trial shows."""
    some = range(1, LONGEST + 1) if digests else ()
    return frozenset(length for length in some if row_digest(dataset, "length", length) in digests)


def those(digests: Sequence[str], named: AbstractSet[str]) -> np.ndarray:
    return np.fromiter((digest in named for digest in digests), dtype=bool, count=len(digests))
