"""How far rows have moved from those that an epoch began with: counts in fixed bins, compared by PSI and KS.

Bins don't depend on the data, so that rows that are forgotten can be taken out of counts that were made with them.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lethe.config.section import Section
from lethe.tables.blocks import AT_ONCE, Block
from lethe.tables.columns import column_of, distinct
from lethe.tables.interactions import TIMES, Interactions
from lethe.tables.texts import Column, Texts, concatenated

Counts = dict[float, int]
"""How many fall into each bin, by what the bin begins with; none is 0."""
Shape = dict[str, Counts]
"""Counts by what was counted: ``MEASURED``, as far as the rows have it."""

MEASURED = {
    "rows per user": "users by how many rows they have, in bins of 1, 2 to 3, 4 to 7, …",
    "rows per item": "items by how many rows they have (popularity), likewise",
    "ratings": "rows by their rating, to two digits",
    "hours": "rows by their hour of the day in UTC, where timestamps are times",
}
LEAST_SHARE = 1e-4
"""What a bin without any counts as: PSI knows no zero."""
HOUR, DAY = 3600, 24


class Moved(Section):
    """How two counts of the same differ."""

    of: str
    psi: float
    """Population stability index: Σ (now − then) · ln(now / then) over the bins' shares."""
    ks: float
    """Kolmogorov and Smirnov's statistic: the largest distance between the two cumulative shares."""
    p_value: float
    """Of a distance as large by chance. Of many rows the least distance is significant: no limit is set on it."""
    above: bool
    """Whether PSI or KS is above its limit."""

    def __str__(self) -> str:
        return f"{self.of}: PSI {self.psi:.3f}, KS {self.ks:.3f}"


class Drift(Section):
    """What a dataset's rows have come to since its epoch began."""

    dataset: str
    epoch: int
    moved: tuple[Moved, ...]

    @property
    def above(self) -> tuple[Moved, ...]:
        return tuple(one for one in self.moved if one.above)


def there_by(rows: Interactions, newest: int | None) -> np.ndarray:
    """[n] bool: which rows are of that time or earlier; all, where there is no time to tell them by."""
    if newest is None or rows.timestamps is None:
        return np.ones(len(rows), dtype=bool)
    return rows.timestamps <= newest


def less(shape: Shape, now: Shape, remaining: Shape) -> Shape:
    """A shape without what is ``now`` and will not be among what is ``remaining``.

    Exact where both are counted of the rows that were there when ``shape`` was (``there_by``).
    """
    return {of: _less(counts, now.get(of, {}), remaining.get(of, {})) for of, counts in shape.items()}


def moved(then: Shape, now: Shape, *, psi: float, ks: float) -> tuple[Moved, ...]:
    """What both shapes count, compared; ``psi``, ``ks``: the limits. Nothing is said of what has no rows any more."""
    both = [of for of in MEASURED if then.get(of) and now.get(of)]
    return tuple(_moved(of, then[of], now[of], psi, ks) for of in both)


def _moved(of: str, then: Counts, now: Counts, most_psi: float, most_ks: float) -> Moved:
    from scipy.special import rel_entr  # slow to import, and whoever reads a report needs none of it
    from scipy.stats import kstwo

    bins = sorted({*then, *now})
    before, after = (np.array([counts.get(bin, 0) for bin in bins], dtype=np.float64) for counts in (then, now))
    rows = before.sum() * after.sum() / (before.sum() + after.sum())
    shares = [counts / counts.sum() for counts in (before, after)]
    old, new = (np.maximum(share, LEAST_SHARE) for share in shares)
    psi = float((rel_entr(new, old) + rel_entr(old, new)).sum())
    ks = float(np.abs(np.cumsum(shares[0]) - np.cumsum(shares[1])).max())
    p_value = float(np.clip(kstwo.sf(ks, max(1, round(rows))), 0, 1))
    return Moved(of=of, psi=psi, ks=ks, p_value=p_value, above=psi > most_psi or ks > most_ks)


class Tally:
    """A shape as it is counted, some users at a time; ``timed``: whether timestamps are times, no mere positions."""

    def __init__(self, timed: bool) -> None:
        self._timed = timed
        self._items = _ItemTally()
        self.clear()

    def clear(self) -> None:
        self._shape = Shape()
        self._items.clear()
        self.newest: int | None = None
        """The latest time, in the table's own unit; none where there are no times."""

    def add(self, block: Block) -> None:
        """Count some users' rows, all there are of them."""
        shape = {"rows per user": _by_size(_tally(block["user"])[1])}
        if "rating" in block:
            shape["ratings"] = _by_value(block["rating"])
        if self._timed and (time := next((name for name in TIMES if name in block), None)):
            shape["hours"] = _counts(block[time] // TIMES[time] // HOUR % DAY)
            self.newest = _latest(self.newest, block[time])
        self._items.add(block["item"])
        self._shape = _sum(self._shape, shape)

    @property
    def shape(self) -> Shape:
        shape = self._shape | {"rows per item": _by_size(self._items.sizes())}
        return {of: shape[of] for of in MEASURED if of in shape}


class _ItemTally:
    """How many rows each item has: an item's are in many blocks, a user's in one."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._tallies: list[tuple[Column, np.ndarray]] = []
        self._held = 0

    def add(self, ids: np.ndarray | pa.ChunkedArray) -> None:
        self._tallies.append(_tally(ids))
        self._held += len(self._tallies[-1][0])
        # Added up whenever they have become twice as many as there are items, or blocks' worth of them.
        if self._held > 2 * max(len(self._tallies[0][0]), AT_ONCE):
            self._add_up()

    def sizes(self) -> np.ndarray:
        self._add_up()
        return self._tallies[0][1]

    def _add_up(self) -> None:
        items, counts = zip(*self._tallies, strict=True)
        values, places = _distinct(concatenated(items))
        self._tallies = [(values, np.bincount(places, weights=np.concatenate(counts)).astype(np.int64))]
        self._held = len(values)


def _tally(ids: np.ndarray | pa.ChunkedArray) -> tuple[Column, np.ndarray]:
    """The distinct ids of a column, and how many rows each has."""
    values, places = _distinct(ids if isinstance(ids, np.ndarray) else column_of(ids))
    return values, np.bincount(places, minlength=len(values))


def _distinct(ids: Column) -> tuple[Column, np.ndarray]:
    """The distinct ids of a column, text in any order; and which each row holds."""
    if isinstance(ids, Texts):
        there = ids.used()
        return Texts(np.arange(len(there.values), dtype=np.int32), there.values), there.codes
    return distinct(ids)


def _latest(newest: int | None, times: np.ndarray) -> int | None:
    if not len(times):
        return newest
    return int(times.max()) if newest is None else max(newest, int(times.max()))


def _by_size(sizes: np.ndarray) -> Counts:
    return _counts(2.0 ** np.floor(np.log2(sizes)))


def _by_value(values: np.ndarray) -> Counts:
    bins = Counts()
    for value, count in _counts(values).items():
        bin = float(f"{value:.2g}")
        bins[bin] = bins.get(bin, 0) + count
    return bins


def _counts(values: np.ndarray) -> Counts:
    bins, counts = np.unique(values, return_counts=True)
    return dict(zip(map(float, bins), map(int, counts), strict=True))


def _sum(shape: Shape, other: Shape) -> Shape:
    both = {of: [counts[of] for counts in (shape, other) if of in counts] for of in {**shape, **other}}
    return {of: _added(counts) for of, counts in both.items()}


def _added(several: list[Counts]) -> Counts:
    return {bin: sum(counts.get(bin, 0) for counts in several) for bin in sorted({b for c in several for b in c})}


def _less(counts: Counts, now: Counts, remaining: Counts) -> Counts:
    left = {bin: counts.get(bin, 0) - now.get(bin, 0) + remaining.get(bin, 0) for bin in {*counts, *remaining}}
    return {bin: count for bin, count in left.items() if count > 0}
