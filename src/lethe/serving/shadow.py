"""The shadow comparison: what is served and what is to replace it answer the same people, before the switch.

Its figures are means over a sample of at least ``FEWEST`` people, whom nothing names.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lethe.config.section import Section
from lethe.config.serving import Shadow
from lethe.errors import DeploymentError
from lethe.serving.choosing import Choice, RawId
from lethe.serving.hidden import HiddenUsers
from lethe.serving.package import Package

FEWEST = 5
"""People below whom a mean would be about somebody."""


class Compared(Section):
    """How a family's new version answers beside the served one."""

    users: int
    """Who were asked about: known to both."""
    items: int
    """Of each answer, at most."""
    overlap: float
    """Mean share of the items that both versions offer."""
    empty: float
    """Share of users whom the new version offers nothing."""
    popular: float
    """Share of users whom the new version offers just what is most popular."""
    lost: float
    """Share of users of whom one of the two is true now and was not before."""

    def line(self) -> str:
        return (
            f"overlap@{self.items} {self.overlap:.3f} of {self.users} users, empty {self.empty:.3f},"
            f" only popular {self.popular:.3f}"
        )


def compare(
    served: Mapping[str, Package], new: Mapping[str, Package], settings: Shadow, hidden: HiddenUsers
) -> dict[str, Compared]:
    """The families that both have, by name; one with too few common users is left out."""
    both = {name: _compare(served[name], new[name], settings, hidden) for name in new if name in served}
    return {name: compared for name, compared in both.items() if compared is not None}


def keep_limits(compared: Mapping[str, Compared], settings: Shadow) -> None:
    """Raises DeploymentError where a family's answers fall apart."""
    for family, figures in compared.items():
        fault = None
        if figures.overlap < settings.min_overlap:
            fault = f"overlap {figures.overlap:g} is below serving.shadow.min_overlap {settings.min_overlap:g}"
        elif figures.lost > settings.max_lost:
            fault = f"{figures.lost:g} of users are lost, above serving.shadow.max_lost {settings.max_lost:g}"
        if fault is not None:
            raise DeploymentError(
                f"shadow comparison: family {family!r}: {fault} ({figures.line()}); mend the new version, or change the"
                " limit if its answers are meant"
            )


def _compare(served: Package, new: Package, settings: Shadow, hidden: HiddenUsers) -> Compared | None:
    if served.info.dataset != new.info.dataset:
        return None
    users = _sample(served, new, settings.users, hidden)
    if len(users) < FEWEST:
        return None
    before, after = (_answers(package, users, settings.items) for package in (served, new))
    likely = _like_popular(served, users, before), _like_popular(new, users, after)
    empty = np.array([not items for items in after])
    was_theirs = np.array([bool(items) for items in before]) & ~likely[0]
    return Compared(
        users=len(users),
        items=settings.items,
        overlap=_mean([_common(*pair) for pair in zip(before, after, strict=True)]),
        empty=_mean(empty),
        popular=_mean(likely[1]),
        lost=_mean(was_theirs & (empty | likely[1])),
    )


def _sample(served: Package, new: Package, most: int, hidden: HiddenUsers) -> list[RawId]:
    """At most so many users of both, evenly spaced among them: the same ones while the users are the same."""
    users = new.ensemble.catalogue.users.values
    users = users[served.ensemble.catalogue.users.encode(users) >= 0]
    places = np.unique(np.linspace(0, max(len(users) - 1, 0), most).astype(np.int64))
    chosen: list[RawId] = users[places[places < len(users)]].tolist()
    return [user_id for user_id in chosen if not hidden.holds(new.info.dataset, user_id)]


def _answers(package: Package, users: list[RawId], k: int) -> list[list[RawId]]:
    return [[item for item, _ in answer.items] for answer in package.recommend_many(users, k)]


def _like_popular(package: Package, users: list[RawId], answers: list[list[RawId]]) -> np.ndarray:
    """[n] bool: whose items are just the most popular ones that they have not seen."""
    return np.array([_is_popular(package, *pair) for pair in zip(users, answers, strict=True)], dtype=bool)


def _is_popular(package: Package, user_id: RawId, answer: list[RawId]) -> bool:
    unseen = np.ones(len(package.counts), dtype=bool)
    unseen[package.seen(package.ensemble.catalogue.users.place(user_id))] = False
    popular = package.popular(len(answer), Choice(allowed=unseen)).items
    return bool(answer) and {item for item, _ in popular} == set(answer)


def _common(before: list[RawId], after: list[RawId]) -> float:
    most = max(len(before), len(after))
    return len({*map(str, before)} & {*map(str, after)}) / most if most else 1.0


def _mean(values: list[float] | np.ndarray) -> float:
    return round(float(np.mean(values)), 4)
