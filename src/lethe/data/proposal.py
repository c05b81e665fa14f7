"""What suits a dataset, where nobody says otherwise: which rows are likes, how to split, what to train first.

Functions of figures alone; whoever adds the data is told what was taken, and every choice is one line of params.yaml.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from lethe.config.dataset import LeaveOneOutSplit, NewestSplit, RandomSplit, Split
from lethe.data.profile import Profile, Ratings, part_sizes
from lethe.tables.interactions import Interactions

_LEAST = 0.04
"""Share of the rows that validation and test must each have: of fewer, metrics are noise."""
_ITEMS_OF_EASE = 5_000
"""Its matrix of items by items then takes less than half a gigabyte."""
BESIDE = {
    "links": "collective-social",
    "behaviours": "collective-behaviours",
    "triples": "collective-graph",
    "user_features": "ensfm",
    "item_features": "ensfm",
}
"""The model that a kind of side table is first tried with."""
WEIGHING = {"alpha": 1.0}
"""Settings of WMF by which interactions count as they weigh."""


@dataclass(frozen=True)
class FirstFamily:
    """The candidates that a dataset's family begins with, and settings of theirs that its size asks for."""

    models: tuple[str, ...]
    settings: dict[str, dict[str, float]]


def propose_positive(ratings: Ratings | None) -> str | None:
    """The threshold of likes: above 0 where there are dislikes, else the upper half of a scale; None: every row."""
    if ratings is None:
        return None
    if ratings.disliked:
        return "> 0"
    if ratings.on_a_scale:
        return f">= {ratings.median:g}"
    return None


def propose_split(rows: Interactions, name: str, seed: int, *, timed: bool) -> Split:
    """By time where there is a time: each user's newest tenths; one row of each user where those would be too few."""
    by_time: list[Split] = [NewestSplit(by="newest"), LeaveOneOutSplit(by="leave-one-out")]
    at_random: list[Split] = [RandomSplit(), LeaveOneOutSplit(by="leave-one-out", order="random")]
    options = by_time if timed else at_random
    for option in options:
        sizes = part_sizes(rows, option, name, seed)
        if min(sizes["valid"], sizes["test"]) >= _LEAST * len(rows):
            return option
    return RandomSplit()


def propose_family(profile: Profile, side: Collection[str] = (), *, weighted: bool = False) -> FirstFamily:
    """Popularity, by which all others are measured; a model of items; one of two towers, as large as the data carry;
    and one for each kind of table beside the interactions."""
    items = "ease" if profile.items <= _ITEMS_OF_EASE else "item-knn"
    smaller = min(profile.users, profile.items)
    size = 16 if smaller < 200 else 32 if smaller < 1_000 else 64
    beside = dict.fromkeys(model for kind, model in BESIDE.items() if kind in side)
    wmf: dict[str, float] = {} if size == 64 else {"embedding_dim": size}
    wmf |= WEIGHING if weighted else {}
    return FirstFamily(("mostpop", items, "wmf", *beside), {"wmf": wmf} if wmf else {})
