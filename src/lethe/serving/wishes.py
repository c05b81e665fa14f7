"""What a request allows: its wish, which is in words, as places of a package's items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lethe.errors import DataError
from lethe.serving.asking import Wish
from lethe.serving.choosing import Cap, Choice
from lethe.serving.event import Event
from lethe.serving.features import Features
from lethe.serving.package import Package


def choice_of(wish: Wish, name: str, package: Package, features: Callable[[], Features]) -> Choice:
    """The choice of a request to the family ``name``; ``features`` are only asked for where it names some.

    Raises DataError for an unknown field, and where nothing of the allowed is there.
    """
    allowed: np.ndarray | None = None
    caps: tuple[Cap, ...] = ()
    if wish.filter or wish.caps:
        there = features()
        allowed = there.passing(wish.rules()) if wish.filter else None
        caps = tuple(Cap(there.kinds(kind), most) for kind, most in wish.caps.items())
    if wish.allow is not None:
        places = package.places(wish.allow)
        if (places < 0).all():
            raise DataError(
                f"allow: none of the {len(places)} items is one of the family {name!r}; name some, or no list"
            )
        listed = np.zeros(len(package.counts), dtype=bool)
        listed[places[places >= 0]] = True
        allowed = listed if allowed is None else allowed & listed
    if wish.deny:
        allowed = _less(package, allowed, package.places(wish.deny))
    return Choice(allowed, wish.keep_seen, not wish.exclude_history, wish.diversity, caps)


def without(package: Package, choice: Choice, events: Sequence[Event]) -> Choice:
    """The choice without what a user took lately, which is as seen as what they took before."""
    if choice.keep_seen or not events:
        return choice
    places = package.places([event.item_id for event in events])
    return replace(choice, allowed=_less(package, choice.allowed, places))


def _less(package: Package, allowed: np.ndarray | None, places: np.ndarray) -> np.ndarray:
    left = np.ones(len(package.counts), dtype=bool) if allowed is None else allowed.copy()
    left[places[places >= 0]] = False
    return left
