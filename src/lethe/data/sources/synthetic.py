"""Generated interactions whose truth is known: who likes what, and what is popular."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lethe.config.source import SyntheticSource
from lethe.core.random import Stream
from lethe.data.sources.place import Place
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTable, SideTables

_START = 1_600_000_000
_DAY = 86_400
_HABIT = 5.0
"""Added to the log-odds of choosing in the evening what was chosen in the morning."""


@dataclass(frozen=True)
class Truth:
    """What the rows were drawn from: users [num_users, rank], items [num_items, rank], popularity [num_items].

    User u likes item i as much as ``users[u] · items[i] + popularity[i]``; ids are the places in these arrays.
    """

    users: np.ndarray
    items: np.ndarray
    popularity: np.ndarray
    daytime: np.ndarray
    """[num_items]: how much more each item is liked in the morning, and less in the evening; used with contexts."""

    def likings(self, user: int) -> np.ndarray:
        """[num_items] float64: how much a user likes each item."""
        return np.einsum("r,ir->i", self.users[user], self.items) + self.popularity


def read(source: SyntheticSource, place: Place) -> Interactions:
    """The rows alone."""
    return generate(source)[0]


def digest(source: SyntheticSource, place: Place) -> str:
    """Of what the rows are made by: they are a function of it."""
    return source.digest()


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
        stream.numpy("daytime").normal(size=source.items),
    )
    items, ratings, times = [], [], []
    half = source.interactions_per_user // 2
    for user in range(source.users):
        likings = truth.likings(user)
        draw = stream.numpy("rows", user)
        if source.contexts:
            morning = _choose(likings + 2 * truth.daytime, half, draw)
            again = np.isin(np.arange(source.items), morning) * _HABIT
            evening = _choose(likings - 2 * truth.daytime + again, source.interactions_per_user - half, draw)
            chosen = np.concatenate([morning, evening])
        elif source.memory:
            chosen = _follow(likings, source.memory * truth.items @ truth.items.T, source.interactions_per_user, draw)
        else:
            chosen = _choose(likings, source.interactions_per_user, draw)
        items.append(chosen)
        ratings.append(np.clip(np.round(2 + likings[chosen]), 1, 5))
        times.append(_START + np.cumsum(draw.integers(1, _DAY, size=len(chosen))))
    users = np.repeat(np.arange(source.users), source.interactions_per_user)
    contexts = {}
    if source.contexts:
        when = np.where(np.arange(source.interactions_per_user) < half, "morning", "evening").astype(object)
        contexts["daytime"] = np.tile(when, source.users)
    columns = [np.concatenate(column) for column in (items, ratings, times)]
    return Interactions.of(users, columns[0], columns[1], columns[2], contexts), truth


def side_tables(source: SyntheticSource) -> SideTables:
    """What stands beside the rows: friends of like taste, three times as many views as interactions and half as many
    carts, the strongest taste of each user and item as a feature, and the same of items as facts."""
    if not source.side:
        return SideTables()
    stream = Stream(source.seed)("synthetic")
    _, truth = generate(source)
    count = min(5, source.users - 1)
    friends, viewed, carted = [], [], []
    for user in range(source.users):
        draw = stream.numpy("side", user)
        alike = truth.users @ truth.users[user]
        alike[user] = -np.inf
        friends.append(_choose(alike, count, draw))
        likings = truth.likings(user)
        viewed.append(_choose(likings, min(3 * source.interactions_per_user, source.items), draw))
        carted.append(_choose(likings, max(1, source.interactions_per_user // 2), draw))

    def rows(chosen: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return np.repeat(np.arange(source.users), [len(c) for c in chosen]), np.concatenate(chosen)

    def features(kind: str, role: str, vectors: np.ndarray) -> SideTable:
        ids = np.arange(len(vectors))
        return SideTable.of(
            kind,
            **{role: np.concatenate([ids, ids])},
            field=np.repeat(["taste", "strength"], len(ids)),
            value=np.concatenate([_words(vectors), np.full(len(ids), "", dtype=object)]),
            weight=np.concatenate([np.ones(len(ids)), np.abs(vectors).max(axis=1)]),
        )

    links = dict(zip(("user", "friend"), rows(friends), strict=True))
    items = np.arange(source.items)
    return SideTables(
        {
            "links": SideTable.of("links", **links),
            "user_features": features("user_features", "user", truth.users),
            "item_features": features("item_features", "item", truth.items),
            "triples": SideTable.of(
                "triples",
                item=np.concatenate([items, items]),
                relation=np.repeat(["likes", "lacks"], len(items)),
                entity=np.concatenate([_words(truth.items), _words(-truth.items)]),
            ),
        },
        {"view": Interactions.of(*rows(viewed)), "cart": Interactions.of(*rows(carted))},
    )


def _choose(log_odds: np.ndarray, count: int, draw: np.random.Generator) -> np.ndarray:
    """``count`` distinct places, in the order drawn (Gumbel-top-k)."""
    return np.argsort(-(log_odds + draw.gumbel(size=len(log_odds))), kind="stable")[:count]


def _follow(log_odds: np.ndarray, after: np.ndarray, count: int, draw: np.random.Generator) -> np.ndarray:
    """``count`` distinct places, one after the other: ``after`` [place, place] adds to the log-odds of the next."""
    chosen: list[int] = []
    odds = log_odds.copy()
    for _ in range(count):
        odds[chosen] = -np.inf
        chosen.append(int(np.argmax(odds + draw.gumbel(size=len(odds)))))
        odds = log_odds + after[chosen[-1]]
    return np.array(chosen)


def _words(vectors: np.ndarray) -> np.ndarray:
    """The dimension in which each row is largest, as text."""
    return np.array([f"t{place}" for place in vectors.argmax(axis=1)], dtype=object)
