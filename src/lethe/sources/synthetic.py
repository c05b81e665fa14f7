"""Generated interactions whose truth is known: who likes what, and what is popular."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lethe.config import SyntheticSource
from lethe.data.interactions import Interactions
from lethe.random import Stream

_START = 1_600_000_000
_DAY = 86_400


@dataclass(frozen=True)
class Truth:
    """What the rows were drawn from: users [num_users, rank], items [num_items, rank], popularity [num_items].

    User u likes item i as much as ``users[u] · items[i] + popularity[i]``; ids are the places in these arrays.
    """

    users: np.ndarray
    items: np.ndarray
    popularity: np.ndarray

    def likings(self, user: int) -> np.ndarray:
        """[num_items] float64: how much a user likes each item."""
        return np.einsum("r,ir->i", self.users[user], self.items) + self.popularity


def generate(source: SyntheticSource) -> tuple[Interactions, Truth]:
    """Rows and the truth behind them. Each user is drawn from a stream of their own, whoever else there is.

    A user's items are drawn without replacement with log-odds equal to their liking (Gumbel-top-k); ratings, 1 to 5,
    grow with it; timestamps are seconds, in the order in which the items were drawn.
    """
    stream = Stream(source.seed)("synthetic")
    draw = stream.numpy("items")
    truth = Truth(
        np.stack([stream.numpy("user", user).normal(size=source.rank) for user in range(source.users)]),
        draw.normal(size=(source.items, source.rank)),
        draw.normal(size=source.items),
    )
    items, ratings, times = [], [], []
    for user in range(source.users):
        likings = truth.likings(user)
        draw = stream.numpy("rows", user)
        chosen = np.argsort(-(likings + draw.gumbel(size=source.items)), kind="stable")[: source.interactions_per_user]
        items.append(chosen)
        ratings.append(np.clip(np.round(2 + likings[chosen]), 1, 5))
        times.append(_START + np.cumsum(draw.integers(1, _DAY, size=len(chosen))))
    users = np.repeat(np.arange(source.users), source.interactions_per_user)
    return Interactions.of(users, np.concatenate(items), np.concatenate(ratings), np.concatenate(times)), truth
