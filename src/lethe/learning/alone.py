"""A model by itself: settings, a frame of interactions, recommendations; no project, no files.

It learns and scores by the same code as in a project: the same rows, settings and seed give the same scores as a
family's candidate on one shard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lethe.core import cores
from lethe.core.random import Stream
from lethe.errors import ConfigError, DataError, DeviceError
from lethe.learning.aggregation import identity
from lethe.learning.device import CPU, check_device, fall_back
from lethe.learning.ensemble import Ensemble
from lethe.learning.memory import must_fit_memory
from lethe.learning.training import learns_on, train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.models.parts.base import Config, Model
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

if TYPE_CHECKING:
    import pandas as pd

SHARD = "00"
"""What a project calls the only shard."""


@dataclass(frozen=True)
class Recommender:
    """A model with its settings, before it has learnt anything."""

    name: str
    config: Config

    @classmethod
    def of(cls, name: str, **settings: Any) -> Recommender:
        """By the model's name and options, as in params.yaml. Raises ConfigError for an unknown one."""
        return cls(name, configure(name, settings))

    def fit(
        self,
        frame: pd.DataFrame,
        *,
        user: str = "user",
        item: str = "item",
        rating: str | None = None,
        timestamp: str | None = None,
        weight: str | None = None,
        seed: int = 2026,
        device: str = "cpu",
        threads: int | None = None,
    ) -> Fitted:
        """Learn from a frame with a row an interaction; the keywords name its columns. Of a pair that recurs the latest
        row counts. ``threads``: cores of this process that compute from then on, by default all that there are; the
        bytes are the same for any number.

        Raises DataError for a column that is missing or has a wrong type, ConfigError for a weight that the model would
        not learn or a device that can't be had, DeviceError for one that is too small (``auto`` then takes the CPU).
        """
        check_device(device)
        cores.use(threads)
        kind = MODELS[self.name]
        if weight is not None and not kind.weighs(self.config):
            way = f"set {kind.weight_option} above 0" if kind.weight_option else "this model knows none"
            raise ConfigError(f"weight: {weight!r}, but {self.name} learns no weights; {way}, or leave it out")
        columns = {"user": user, "item": item, "rating": rating, "timestamp": timestamp, "weight": weight}
        rows = _rows(frame, columns)
        catalogue = Catalogue.of(rows)
        must_fit_memory(self.name, kind, self.config, catalogue.shape)
        stream = Stream(seed)("sub-model", self.name, SHARD)
        where = learns_on(kind, self.config, device, len(rows))
        try:
            model = self._learn(catalogue, rows, stream, where)
        except DeviceError as error:
            fall_back(error, device)
            model = self._learn(catalogue, rows, stream, CPU)
        ensemble, _ = identity.fit([SubModel(SHARD, model, catalogue)], rows, identity.Config(), stream)
        return Fitted(self.name, ensemble, rows)

    def _learn(self, catalogue: Catalogue, rows: Interactions, stream: Stream, where: torch.device) -> Model:
        model = MODELS[self.name](self.config, catalogue.shape)
        train(model, catalogue.encode(rows), stream, where)
        return model


@dataclass(frozen=True)
class Fitted:
    """A model that has learnt."""

    name: str
    ensemble: Ensemble
    rows: Interactions = field(repr=False)
    """What it has learnt from."""

    def recommend(self, users: Iterable[Any], k: int = 10, *, seen: bool = False) -> pd.DataFrame:
        """The k best items of each user, best first: columns user, item, score, source.

        ``seen``: also what the user has already. Of a user that it doesn't know the ``source`` is "popular", not
        "model", and the scores are how many rows the items have. Raises ConfigError where k is no number of items.
        """
        import pandas as pd

        _must_be_a_number_of_items(k)

        wanted = list(users)
        ids = self.ensemble.catalogue
        places = np.array([ids.users.place(user) for user in wanted], dtype=np.int64)
        scores = np.tile(self._counts.astype(np.float64), (len(wanted), 1))
        known = np.flatnonzero(places >= 0)
        if len(known):
            scores[known] = self.ensemble.score(places[known])
            if not seen:
                scores[known] = np.where(self._has(places[known]), -np.inf, scores[known])
        # Equal scores in the order of the ids, whatever the machine.
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        parts = [
            pd.DataFrame(
                {
                    "user": wanted[row],
                    "item": ids.items.decode(best := order[row][np.isfinite(scores[row][order[row]])]),
                    "score": scores[row][best],
                    "source": "model" if places[row] >= 0 else "popular",
                }
            )
            for row in range(len(wanted))
        ]
        return (
            pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["user", "item", "score", "source"])
        )

    @property
    def _counts(self) -> np.ndarray:
        """[num_items] int64: rows of each item."""
        items = self.ensemble.catalogue.items
        return np.bincount(items.encode(self.rows.item_ids), minlength=len(items))

    def _has(self, users: np.ndarray) -> np.ndarray:
        """[B, num_items] bool: what dense users have already."""
        ids, rows = self.ensemble.catalogue, self.rows
        asked, again = np.unique(users, return_inverse=True)
        place = np.full(len(ids.users), -1)
        place[asked] = np.arange(len(asked))
        of = place[ids.users.encode(rows.user_ids)]
        has = np.zeros((len(asked), len(ids.items)), dtype=bool)
        has[of[of >= 0], ids.items.encode(rows.item_ids)[of >= 0]] = True
        return has[again]


def _must_be_a_number_of_items(k: object) -> None:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ConfigError(f"k: {k!r} must be a whole number, at least 1")


def _rows(frame: pd.DataFrame, columns: dict[str, str | None]) -> Interactions:
    """The interactions of a frame, each pair once."""
    for column in columns.values():
        if column is not None and column not in frame.columns:
            known = ", ".join(map(str, frame.columns))
            raise DataError(f"frame: column {column!r} is missing, it has {known}; name one of these")
    if not len(frame):
        raise DataError("frame: it has no rows, at least 1 is needed")
    values = {role: None if name is None else _values(frame[name], role) for role, name in columns.items()}
    user_ids, item_ids = values["user"], values["item"]
    assert user_ids is not None
    assert item_ids is not None
    rows = Interactions.of(user_ids, item_ids, values["rating"], values["timestamp"], weights=values["weight"])
    # In canonical order the last row of a pair is the latest, and of equally late ones the best rated.
    last = np.append((rows.user_ids[1:] != rows.user_ids[:-1]) | (rows.item_ids[1:] != rows.item_ids[:-1]), True)
    return rows.take(last.astype(bool))


def _values(column: pd.Series, role: str) -> np.ndarray:
    if missing := int(column.isna().sum()):
        raise DataError(f"frame: column {column.name!r} must have no empty values, {missing} are empty")
    if role == "timestamp" and column.dtype.kind == "M":
        return np.asarray(column.astype("datetime64[s]").astype(np.int64))
    values = column.to_numpy()
    if role in ("user", "item") and values.dtype.kind not in "iu":
        return column.astype(str).to_numpy(dtype=object)
    return np.asarray(values)
