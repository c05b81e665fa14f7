"""Raw ids to dense indices and back, local to whoever builds it, and the matrix that models learn from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from lethe.data.interactions import Interactions, from_arrow, write_parquet

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class Ids:
    """Sorted distinct raw ids; the dense index of an id is its place. ``values`` [n] int64 or object (str)."""

    values: np.ndarray

    @classmethod
    def of(cls, ids: np.ndarray) -> Ids:
        return cls(np.unique(ids))

    def __len__(self) -> int:
        return len(self.values)

    def encode(self, ids: np.ndarray) -> np.ndarray:
        """Raw ids [m] -> dense indices [m] int64; -1 where the id is unknown."""
        ids = np.asarray(ids)
        if len(self.values) == 0 or len(ids) == 0:
            return np.full(len(ids), -1, dtype=np.int64)
        if (ids.dtype == object) != (self.values.dtype == object):
            ids = ids.astype(str).astype(object) if self.values.dtype == object else _as_integers(ids)
        if self._places is not None:
            # What lies outside is clipped to an end, where -1 stands; so does a difference that overflows.
            with np.errstate(over="ignore"):
                return self._places.take(ids.astype(np.int64, copy=False) - (self.values[0] - 1), mode="clip")
        places = np.searchsorted(self.values, ids)
        places[places == len(self.values)] = 0
        return np.where(self.values[places] == ids, places, -1).astype(np.int64)

    @cached_property
    def _places(self) -> np.ndarray | None:
        """The index of every integer from one below the smallest id to one above the largest, -1 where it is no id.

        None where ids are text, or so far apart that the table would outgrow them.
        """
        if self.values.dtype == object or int(self.values[-1]) - int(self.values[0]) > 8 * len(self.values):
            return None
        low = self.values[0]
        places = np.full(self.values[-1] - low + 3, -1, dtype=np.int64)
        places[self.values - low + 1] = np.arange(len(self.values))
        return places

    def decode(self, indices: np.ndarray) -> np.ndarray:
        """Dense indices -> raw ids."""
        return self.values[indices]

    def write(self, path: Path) -> None:
        write_parquet(
            pa.table({"id": pa.array(self.values, pa.string() if self.values.dtype == object else None)}), path
        )

    @classmethod
    def read(cls, path: Path) -> Ids:
        return cls(from_arrow(pq.read_table(path)["id"]))


def _as_integers(ids: np.ndarray) -> np.ndarray:
    # Text that is no integer can't be in an integer catalogue: the smallest int64 stands for "not there".
    absent = np.iinfo(np.int64).min
    return np.array([int(v) if _INTEGER.fullmatch(str(v)) else absent for v in ids], dtype=np.int64)


@dataclass(frozen=True)
class Catalogue:
    """The users and items of one table of interactions."""

    users: Ids
    items: Ids

    @classmethod
    def of(cls, interactions: Interactions) -> Catalogue:
        return cls(Ids.of(interactions.user_ids), Ids.of(interactions.item_ids))

    @property
    def shape(self) -> Shape:
        return Shape(len(self.users), len(self.items))

    def encode(self, interactions: Interactions) -> InteractionMatrix:
        """Dense form of the rows whose user and item are both known, sorted by (user, item)."""
        users, items = self.users.encode(interactions.user_ids), self.items.encode(interactions.item_ids)
        known = (users >= 0) & (items >= 0)
        return InteractionMatrix(
            self.shape,
            users[known],
            items[known],
            None if interactions.ratings is None else interactions.ratings[known],
            None if interactions.timestamps is None else interactions.timestamps[known],
        )

    def write(self, folder: Path) -> None:
        self.users.write(folder / "users.parquet")
        self.items.write(folder / "items.parquet")

    @classmethod
    def read(cls, folder: Path) -> Catalogue:
        return cls(Ids.read(folder / "users.parquet"), Ids.read(folder / "items.parquet"))


@dataclass(frozen=True)
class Shape:
    """How many of each kind of thing a model has rows for."""

    num_users: int
    num_items: int


@dataclass(frozen=True)
class InteractionMatrix:
    """Interactions in dense indices, sorted by (user, item): what a model learns from.

    users, items  [n] int64      ratings  [n] float32 or None      timestamps  [n] int64 or None
    """

    shape: Shape
    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray | None = None
    timestamps: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.users)

    @property
    def num_users(self) -> int:
        return self.shape.num_users

    @property
    def num_items(self) -> int:
        return self.shape.num_items

    @cached_property
    def indptr(self) -> np.ndarray:
        """[num_users + 1] int64: user u's items are ``items[indptr[u]:indptr[u + 1]]``, increasing."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.users, minlength=self.num_users))]).astype(np.int64)

    @cached_property
    def item_counts(self) -> np.ndarray:
        """[num_items] int64: rows of each item."""
        return np.bincount(self.items, minlength=self.num_items).astype(np.int64)

    @cached_property
    def transposed(self) -> InteractionMatrix:
        """The same rows with the roles of users and items swapped (item-major order)."""
        # Rows are sorted by user: a counting sort by item, which is stable, leaves them sorted by (item, user).
        places = sp.csr_array((np.arange(len(self)), self.items, self.indptr), shape=(self.num_users, self.num_items))
        order = places.tocsc().data
        return InteractionMatrix(
            Shape(self.num_items, self.num_users),
            self.items[order],
            self.users[order],
            None if self.ratings is None else self.ratings[order],
            None if self.timestamps is None else self.timestamps[order],
        )

    def csr(self) -> sp.csr_array:
        """[num_users, num_items] of ones (float32); a pair that occurs twice is one."""
        matrix = sp.csr_array(
            (np.ones(len(self), np.float32), (self.users, self.items)), shape=(self.num_users, self.num_items)
        )
        matrix.data[:] = 1.0
        return matrix
