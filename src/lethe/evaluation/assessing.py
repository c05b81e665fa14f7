"""How sure a mean is, whom it holds for, and what the lists look like (``quality``): found out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from scipy.special import stdtrit

from lethe.evaluation.diversity import gini, unlikeness
from lethe.evaluation.quality import ActivityGroup, Interval, Listed, Quality
from lethe.evaluation.ranking import Ranked, is_first
from lethe.tables.catalogue import Catalogue
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions

CONFIDENCE = 0.95
GROUPS = 4
"""Groups of users by their activity, about equally many in each."""
LEAST = 10
"""Users of a group: of fewer, a mean would say much of each."""
BLOCKS = 50
"""Blocks of users that are left out in turn."""

Error = Callable[[np.ndarray], float]
"""A figure of errors [n], as in ``rating.ERRORS``."""


def ranking_quality(
    ranked: Ranked, catalogue: Catalogue, metrics: Sequence[str], cutoffs: Sequence[int], seen: Interactions
) -> Quality:
    """Of lists, with ``seen`` as their users' history."""
    people, owner = _owners(ranked.people)
    values = {name: ranked.values[name] for name in metrics}
    return Quality(
        intervals={name: mean_interval(each, owner) for name, each in values.items()} if len(people) > 1 else {},
        groups=_groups(
            lambda chosen: {name: float(each[chosen].mean()) for name, each in values.items()},
            _activity(people, seen),
            owner,
        ),
        lists=_lists(ranked, catalogue, cutoffs, seen),
    )


def rating_quality(
    errors: np.ndarray, people: np.ndarray, measured: Mapping[str, Error], seen: Interactions
) -> Quality:
    """Of errors r - r̂ [n] of rows that are in order of their users, ``people`` [n] raw ids."""
    users, owner = _owners(people)
    return Quality(
        intervals={name: error_interval(of, errors, owner) for name, of in measured.items()} if len(users) > 1 else {},
        groups=_groups(
            lambda chosen: {name: of(errors[chosen]) for name, of in measured.items()}, _activity(users, seen), owner
        ),
    )


def mean_interval(values: np.ndarray, owner: np.ndarray) -> Interval:
    """Student's interval for the mean of ``values`` [n], never beyond them; those of one ``owner`` [n], dense, 2 or
    more, may depend on each other. Where each has one value it is the textbook's, mean ± t · s / √n."""
    counts, sums = np.bincount(owner), np.bincount(owner, values)
    mean, people = values.mean(), len(counts)
    error = np.sqrt(np.square(sums - mean * counts).sum() * people / (people - 1)) / len(values)
    margin = _quantile(people - 1) * error
    return float(max(mean - margin, values.min())), float(min(mean + margin, values.max()))


def error_interval(measure: Error, errors: np.ndarray, owner: np.ndarray) -> Interval:
    """An interval for any figure of ``errors`` [n], by leaving out each of some blocks of owners in turn."""
    blocks = min(int(owner.max()) + 1, BLOCKS)
    block = owner % blocks
    value, without = measure(errors), np.array([measure(errors[block != left]) for left in range(blocks)])
    error = np.sqrt(np.square(without - without.mean()).sum() * (blocks - 1) / blocks)
    margin = _quantile(blocks - 1) * error
    return float(value - margin), float(value + margin)


def _quantile(degrees: int) -> float:
    """Of Student's distribution, for an interval of two sides."""
    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))


def _owners(people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct of raw ids [n] in order, and which of those each is."""
    first = is_first(people)
    return people[first], np.cumsum(first) - 1


def _activity(people: np.ndarray, seen: Interactions) -> np.ndarray:
    """How many rows of ``seen`` each of some people has -> [U] int64."""
    rows = Ids(people).encode(seen.user_ids)
    return np.bincount(rows[rows >= 0], minlength=len(people))


def _groups(
    measure: Callable[[np.ndarray], dict[str, float]], activity: np.ndarray, owner: np.ndarray
) -> tuple[ActivityGroup, ...]:
    """About equally many users in each, those of one activity together; none where they are too few for two."""
    bounds = group_bounds(activity)
    if len(bounds) < 3:
        return ()
    groups = []
    for low, high in pairwise(bounds):
        inside = (activity > low) & (activity <= high)
        own = activity[inside]
        groups.append(
            ActivityGroup(
                least=int(own.min()),
                most=int(own.max()),
                users=len(own),
                metrics=measure(np.flatnonzero(inside[owner])),
            )
        )
    return tuple(groups)


def group_bounds(activity: np.ndarray) -> list[int]:
    """Activities [U] -> -1 and the highest of each group, each with ``LEAST`` users or more."""
    wanted = max(-(-len(activity) // GROUPS), LEAST)
    bounds, held, left = [-1], 0, len(activity)
    for value, count in zip(*np.unique(activity, return_counts=True), strict=True):
        held, left = held + int(count), left - int(count)
        if (held >= wanted and left >= LEAST) or left == 0:
            bounds.append(int(value))
            held = 0
    return bounds


def _lists(ranked: Ranked, catalogue: Catalogue, cutoffs: Sequence[int], seen: Interactions) -> tuple[Listed, ...]:
    pairs = is_first(seen.user_ids) | is_first(seen.item_ids)
    items = catalogue.items.encode(seen.item_ids[pairs])
    # An item that nobody has is as new as one that one user has.
    having = np.maximum(np.bincount(items[items >= 0], minlength=len(catalogue.items)), 1)
    usual = np.square(having, dtype=np.float64).sum() / having.sum()
    first = is_first(seen.user_ids)
    bits = np.log2(max(int(first.sum()), 1) / having)
    owners = (np.cumsum(first) - 1)[pairs]
    diverse = unlikeness(ranked.sample, cutoffs, owners[items >= 0], items[items >= 0])
    listed = []
    for cutoff, counts, diversity in zip(cutoffs, ranked.shown, diverse, strict=True):
        if places := int(counts.sum()):
            listed.append(
                Listed(
                    cutoff=cutoff,
                    coverage=float((counts > 0).mean()),
                    novelty=float(counts @ bits / places),
                    popularity=float(counts @ having / places / usual),
                    gini=gini(counts),
                    diversity=diversity,
                )
            )
    return tuple(listed)
