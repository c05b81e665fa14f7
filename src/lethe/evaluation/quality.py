"""What stands beside a mean: how sure it is, whom it holds for, and what the lists look like.

Nothing of one person is kept: groups have a least number of users, all else is about everybody. ``assessing`` finds it
out; whoever only reads it loads no more than this.
"""

from __future__ import annotations

from pydantic import Field

from lethe.config.section import Section

Interval = tuple[float, float]


class ActivityGroup(Section):
    """Users with about as many rows of history."""

    least: int
    """Rows of the least active of them; 0: users with no history."""
    most: int
    users: int
    metrics: dict[str, float]


class Listed(Section):
    """What the lists of one length hold, over all of those who were measured."""

    cutoff: int
    coverage: float
    """Share of the catalogue's items that are on at least one list."""
    novelty: float
    """Mean of -log2(share of users who have the item) over all places of the lists, in bits."""
    popularity: float
    """How many users have an item of the lists, over how many have the item of a row of history: 1 is no bias."""
    gini: float | None = None
    """Gini's coefficient of how often each item of the catalogue is listed: 0 where all are as often."""
    diversity: float | None = None
    """1 - the mean cosine of every two items of a list, as sets of the users who have them; over some of the lists.
    None for lists of one item."""


class Quality(Section):
    """Of a recommender on one part of a split."""

    intervals: dict[str, Interval] = Field({})
    """Of each metric, at 95 %; a metric of less than two users has none."""
    groups: tuple[ActivityGroup, ...] = ()
    """From the least active to the most."""
    lists: tuple[Listed, ...] = ()
    """By cutoff; none where ratings are predicted and nothing is listed."""

    def gap(self, metric: str) -> float | None:
        """Between the group for which a metric is highest and the one for which it is lowest."""
        values = [group.metrics[metric] for group in self.groups if metric in group.metrics]
        return max(values) - min(values) if len(values) > 1 else None
