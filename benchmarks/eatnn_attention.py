"""What EATNN's attention looks at on Ciao, by how much users have done and whom they trust.

The thesis (table 4.7) shows the weights of single users. Nothing of one person is published here: the rows are groups.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.collaborative import RANKING, Split, ranked, score, tuned
from benchmarks.sharded import columns
from benchmarks.side_data import ciao
from benchmarks.table import Result, Row
from lethe.core.environment import code_digest
from lethe.core.random import Stream
from lethe.learning.training import train
from lethe.models import configure
from lethe.models.eatnn import EATNN
from lethe.tables.ids import Ids

PROTOCOL = (
    "Ciao, the split and the settings of eatnn-ciao; the users of test that train knows, in thirds by their train rows"
    " and by their links, those without a link apart. Common, of items: the mean share that the vector which items and"
    " friends have in common has in what a user likes, where the rest is the vector of items alone; of friends: the"
    " same in whom they trust. Beside each group its users and their recall, hits / min(K, |test|). One training for"
    " all rows of a seed."
)
PUBLISHED = columns("users", "common, of items", "common, of friends", "recall_min@50")
THIRDS = ("few", "some", "many")
_METRICS = {"cutoffs": (50,), "metrics": ("recall_min",)}


class Seen(NamedTuple):
    """Of the users of test that train knows [U]: rows of train, links, both shares of the common vector, recall."""

    rows: np.ndarray
    links: np.ndarray
    items: np.ndarray
    friends: np.ndarray
    recall: np.ndarray


def rows(data_dir: Path) -> list[Row]:
    split = ciao(data_dir)
    look = cache(partial(looked_at, split))
    config = configure("eatnn", tuned(split.dataset, "eatnn")).plain()
    decides = {"data": split.digest, "config": config, "code": code_digest(train, *RANKING, EATNN, looked_at)}

    def row(label: str, by: str, place: int) -> Row:
        def run(seed: int) -> Result:
            seen = look(seed)
            chosen = thirds(getattr(seen, by)) == place
            means = {"common, of items": seen.items, "common, of friends": seen.friends, "recall_min@50": seen.recall}
            figures = {name: float(values[chosen].mean()) for name, values in means.items()}
            return Result({"users": float(chosen.sum()), **figures}, 0.0)

        return Row(label, run, decides | {"group": [by, place]}, baseline=False)

    made = [row(f"{name} train rows", "rows", place) for place, name in enumerate(THIRDS)]
    made += [row("no links", "links", -1), *(row(f"{name} links", "links", place) for place, name in enumerate(THIRDS))]
    return made


def thirds(counts: np.ndarray) -> np.ndarray:
    """Which third of those above 0 each count is in, 0 to 2, equal ones together; -1 where it is 0."""
    bounds = np.quantile(counts[counts > 0], (1 / 3, 2 / 3)) if (counts > 0).any() else np.zeros(2)
    return np.where(counts > 0, np.searchsorted(bounds, counts), -1)


def looked_at(split: Split, seed: int) -> Seen:
    """Train EATNN and read its attention."""
    model = EATNN(configure("eatnn", tuned(split.dataset, "eatnn")), split.catalogue.shape)
    train(model, split.catalogue.encode(split.train, split.side), Stream(seed)("benchmark", "eatnn"))
    with torch.no_grad():
        items, friends = (weights[:, 0].numpy() for weights in model.attention_weights())
    people = np.unique(split.test.user_ids)
    users = split.catalogue.users.encode(people)
    recall = ranked(split, lambda chosen, _: score(model, chosen), **_METRICS)["recall_min@50"]  # type: ignore[arg-type]
    known = users >= 0
    own = users[known]
    chosen = Ids(people[known])
    return Seen(
        _counts(chosen, split.train.user_ids),
        _counts(chosen, split.side.tables["links"]["user"]),
        items[own],
        friends[own],
        recall[known],
    )


def _counts(people: Ids, users: np.ndarray) -> np.ndarray:
    """How often each of some people occurs -> [U] int64."""
    places = people.encode(users)
    return np.bincount(places[places >= 0], minlength=len(people))
