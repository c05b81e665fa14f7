"""The data sets that figures are drawn from: what models learn from, and what is measured of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import lfm_ml1m, ralst_ml1m, side_data
from benchmarks.collaborative import RANKING, TIMED, Split, newest_parts, ranked, read_part, read_split, score
from benchmarks.lfm_ml1m import predictor
from lethe.errors import ConfigError
from lethe.evaluation.ranking import evaluate_users
from lethe.evaluation.rating import evaluate_ratings
from lethe.models.parts.base import Model
from lethe.models.parts.batches import negatives
from lethe.models.parts.rating import RatingModel
from lethe.models.ra_lst import RALST
from lethe.tables.catalogue import Catalogue
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import InteractionMatrix
from lethe.tables.side_tables import NO_TABLES, SideTables

ON_TRAIN = " on train"
"""Ends the name of an error of the rows that were learned from."""


class Measured(NamedTuple):
    """Of a finished model: each metric, and where users have it one by one, those [U]."""

    means: dict[str, float]
    users: dict[str, np.ndarray]


@dataclass(frozen=True)
class Bench:
    """What models of one data set learn from and how they are measured; its name is that of its settings in params/."""

    protocol: str
    """Where it stands how the data are split and what a candidate is."""
    parts: tuple[Interactions, ...]
    """What is learned from, what is tested, and what is neither."""
    side: SideTables
    digest: str
    code: tuple[Any, ...]
    """What measures."""
    measure: Callable[[Model, Sequence[str]], Measured]
    split: Split | None = None
    """Of rankings; sharded lines need it."""

    @property
    def train(self) -> Interactions:
        return self.parts[0]

    @cached_property
    def catalogue(self) -> Catalogue:
        return self.split.catalogue if self.split else Catalogue.of(self.train)

    @cached_property
    def data(self) -> InteractionMatrix:
        return self.catalogue.encode(self.train, self.side)

    @cached_property
    def activity(self) -> np.ndarray:
        """Training rows of each user of the test part [U], in the order of ``Measured.users``."""
        if self.split is None or self.split.test.contexts:
            raise ConfigError("groups: the users of these data are not ranked one by one")
        people = Ids.of(self.split.test.user_ids)
        held = people.encode(self.train.user_ids)
        return np.bincount(held[held >= 0], minlength=len(people))


def bench(name: str, data_dir: Path) -> Bench:
    """The data set of that name; raises ConfigError, DataError."""
    if name not in SETS:
        raise ConfigError(f"data: unknown data set {name!r}; known: {', '.join(SETS)}")
    return _read(name, data_dir)


@cache
def _read(name: str, data_dir: Path) -> Bench:
    return SETS[name](data_dir)


def of_split(split: Split, protocol: str, aside: Interactions | None = None) -> Bench:
    """Rankings of every candidate, user by user: metrics read NAME@CUTOFF. ``aside``: rows that nobody looks at."""

    def measure(model: Model, metrics: Sequence[str]) -> Measured:
        parts = [metric.partition("@") for metric in metrics]

        def scores(users: np.ndarray, contexts: dict[str, np.ndarray]) -> np.ndarray:
            return score(model, users, split.catalogue.encode_contexts(contexts))

        cutoffs = sorted({int(cutoff) for *_, cutoff in parts})
        users = ranked(split, scores, cutoffs=cutoffs, metrics=list(dict.fromkeys(part[0] for part in parts)))
        return Measured(
            {metric: float(users[metric].mean()) for metric in metrics}, {metric: users[metric] for metric in metrics}
        )

    parts = tuple(part for part in (split.train, split.test, split.valid, aside) if part is not None)
    return Bench(protocol, parts, split.side, split.digest, RANKING, measure, split)


def of_ratings(protocol: str, train: Interactions, test: Interactions) -> Bench:
    """Errors of held-out ratings, "rmse", and of those that were learned from, "rmse on train"."""

    catalogue = Catalogue.of(train)

    def measure(model: Model, metrics: Sequence[str]) -> Measured:
        assert isinstance(model, RatingModel)
        own = [metric.removesuffix(ON_TRAIN) for metric in metrics if metric.endswith(ON_TRAIN)]
        held_out = [metric for metric in metrics if not metric.endswith(ON_TRAIN)]
        errors = partial(evaluate_ratings, predictor(model), catalogue)
        means = errors(test, held_out) | {f"{name}{ON_TRAIN}": value for name, value in errors(train, own).items()}
        return Measured({metric: means[metric] for metric in metrics}, {})

    digest = f"{train.digest()}:{test.digest()}"
    return Bench(protocol, (train, test), NO_TABLES, digest, (evaluate_ratings,), measure)


def _ml1m_ratings(data_dir: Path) -> Bench:
    parts = lfm_ml1m.read_parts(data_dir)
    train = Interactions.concatenate(parts["train"], parts["valid"])
    return of_ratings("lfm-ml1m", train, parts["test"])


def _anime_ratings(data_dir: Path) -> Bench:
    parts = side_data.anime_ratings(data_dir)
    return of_ratings("anime", parts["train"], parts["valid"])


def _in_time(data_dir: Path) -> Bench:
    """MovieLens-1M in time, with all metrics of the table of RA_LST."""
    parts = newest_parts(data_dir)
    history = ralst_ml1m.History(Interactions.concatenate(parts["train"], parts["valid"]), parts["test"])

    def measure(model: Model, metrics: Sequence[str]) -> Measured:
        scaled = isinstance(model, RALST)
        means, users = ralst_ml1m.measure(lambda chosen: score(model, chosen), history, scaled=scaled)
        return Measured({metric: means[metric] for metric in metrics}, {metric: users[metric] for metric in metrics})

    code = (evaluate_users, negatives)
    return Bench("ralst-ml1m", (history.known, history.test), NO_TABLES, history.digest, code, measure)


SETS: dict[str, Callable[[Path], Bench]] = {
    "ml-1m": _ml1m_ratings,
    "anime-5k": _anime_ratings,
    TIMED: _in_time,
    "ml-1m-loo": lambda folder: of_split(read_split(folder, "ml-1m-loo"), "enmf-ml1m"),
    "ml-1m-receraser": lambda folder: of_split(
        read_split(folder, "ml-1m-receraser"), "receraser-ml1m", read_part(folder, "ml-1m-receraser", "rest")
    ),
    "ciao-eatnn": lambda folder: of_split(
        side_data.ciao(folder), "eatnn-ciao", read_part(folder, "ciao-eatnn", "valid")
    ),
    "taobao-mb": lambda folder: of_split(side_data.purchases(folder, "taobao-mb"), "multibehaviour-taobao-mb"),
    "beibei-buy-cart": lambda folder: of_split(side_data.purchases(folder, "beibei-buy-cart"), "multibehaviour-beibei"),
    "frappe-ensfm": lambda folder: of_split(side_data.frappe(folder), "ensfm-frappe"),
    "ml-1m-ensfm": lambda folder: of_split(side_data.ml1m_features(folder), "ensfm-ml1m"),
    "amazon-book-jnskr": lambda folder: of_split(side_data.amazon_book(folder), "jnskr-amazon-book"),
    "book-crossing-kg": lambda folder: of_split(side_data.book_crossing(folder), "knowledge-book-crossing"),
    "ml-1m-kg": lambda folder: of_split(side_data.ml1m_graph(folder), "knowledge-ml1m"),
}
