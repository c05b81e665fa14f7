"""What users liked, in its order: for models that follow one, and of what somebody does next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.likes import passes


@dataclass(frozen=True)
class Sequences:
    """User u took ``items[indptr[u]:indptr[u + 1]]``, dense, oldest first, with repeats; indptr [num_users + 1]."""

    indptr: np.ndarray
    items: np.ndarray

    @classmethod
    def made(cls, catalogue: Catalogue, rows: Interactions) -> Sequences:
        """Those of some rows, as far as the catalogue has them; of equal times in the order of the rows."""
        users, items = catalogue.users.encode(rows.user_ids), catalogue.items.encode(rows.item_ids)
        known = (users >= 0) & (items >= 0)
        times = np.zeros(len(rows), np.int64) if rows.timestamps is None else rows.timestamps
        order = np.lexsort([times[known], users[known]])
        counts = np.bincount(users[known], minlength=len(catalogue.users))
        return cls(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), items[known][order].astype(np.int64))

    def arrays(self) -> dict[str, np.ndarray]:
        """As ``of_arrays`` reads them."""
        return {"sequence_indptr": self.indptr, "sequences": self.items}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Sequences | None:
        """The sequences among some arrays, if they are there."""
        return cls(arrays["sequence_indptr"], arrays["sequences"]) if "sequences" in arrays else None

    def of(self, user: int) -> np.ndarray:
        """Those of one user."""
        return self.items[self.indptr[user] : self.indptr[user + 1]]


def liked(
    places: np.ndarray, ratings: Sequence[float | None] | None, positive: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Those of dense items (-1: unknown) that are known and nobody disliked, and their ratings (nan: none) float32."""
    stars = np.array(ratings or [np.nan] * len(places), dtype=np.float32)
    kept = places >= 0
    if positive is not None:
        kept &= np.isnan(stars) | passes(stars, positive)
    return places[kept], stars[kept]
