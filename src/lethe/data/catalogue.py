"""Raw ids to dense indices and back, local to whoever builds it, and the matrix that models learn from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from lethe.data.interactions import Interactions, from_arrow, write_parquet
from lethe.data.side import NO_SIDE, FeatureMatrix, Side, TripleMatrix

if TYPE_CHECKING:
    from lethe.data.tables import SideTables

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_BETWEEN = "\x1f"
"""Stands between a field and its value in one text: the ASCII unit separator."""


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
    """The users and items of one table of interactions, and the vocabularies of what is known beside them.

    ``side`` has, where there is such a table, friends, relations and entities (raw ids) and user_features,
    item_features and contexts (each a field with one of its values, see ``token``).
    """

    users: Ids
    items: Ids
    side: dict[str, Ids] = field(default_factory=dict)

    @classmethod
    def of(cls, interactions: Interactions, tables: SideTables | None = None) -> Catalogue:
        """Of the rows, and of side tables that are theirs (``SideTables.of_rows``): items that only another behaviour
        names are items too."""
        side: dict[str, Ids] = {}
        if interactions.contexts:
            side["contexts"] = Ids.of(np.concatenate([_tokens(f, c) for f, c in interactions.contexts.items()]))
        items = [interactions.item_ids]
        if tables is not None:
            items += [rows.item_ids for rows in tables.behaviours.values()]
            for name, table in tables.tables.items():
                if name == "links":
                    side["friends"] = Ids.of(table["friend"])
                elif name == "triples":
                    side["relations"], side["entities"] = Ids.of(table["relation"]), Ids.of(table["entity"])
                else:
                    side[name] = Ids.of(_tokens(table["field"], table["value"]))
        return cls(Ids.of(interactions.user_ids), Ids.of(np.concatenate(items)), side)

    @property
    def shape(self) -> Shape:
        return Shape(len(self.users), len(self.items), **{f"num_{name}": len(ids) for name, ids in self.side.items()})

    @property
    def context_fields(self) -> list[str]:
        """Names of the context fields, in the order of ``InteractionMatrix.contexts``."""
        ids = self.side.get("contexts")
        return [] if ids is None else sorted({text.split(_BETWEEN)[0] for text in ids.values})

    def encode(self, interactions: Interactions, tables: SideTables | None = None) -> InteractionMatrix:
        """Dense form of the rows whose user and item are both known, sorted by (user, item)."""
        users, items = self.users.encode(interactions.user_ids), self.items.encode(interactions.item_ids)
        known = (users >= 0) & (items >= 0)
        contexts = self.encode_contexts(interactions.contexts)
        return InteractionMatrix(
            self.shape,
            users[known],
            items[known],
            None if interactions.ratings is None else interactions.ratings[known],
            None if interactions.timestamps is None else interactions.timestamps[known],
            None if contexts is None else contexts[known],
            NO_SIDE if tables is None else self._encode_side(tables),
        )

    def encode_contexts(self, contexts: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Values {field: [n]} -> [n, number of fields] int64, -1 for what is unknown; None without context fields."""
        if "contexts" not in self.side or not contexts:
            return None
        rows = len(next(iter(contexts.values())))
        missing = np.full(rows, -1, dtype=np.int64)
        ids = self.side["contexts"]
        columns = [ids.encode(_tokens(f, contexts[f])) if f in contexts else missing for f in self.context_fields]
        return np.stack(columns, axis=1) if columns else np.empty((rows, 0), dtype=np.int64)

    def _encode_side(self, tables: SideTables) -> Side:
        found: dict[str, Any] = {}
        for name, table in tables.tables.items():
            if name == "links":
                users, friends = self.users.encode(table["user"]), self.side["friends"].encode(table["friend"])
                known = (users >= 0) & (friends >= 0)
                shape = Shape(len(self.users), len(self.side["friends"]))
                found[name] = InteractionMatrix(shape, users[known], friends[known])
            elif name == "triples":
                items = self.items.encode(table["item"])
                parts = (
                    self.side["relations"].encode(table["relation"]),
                    self.side["entities"].encode(table["entity"]),
                )
                indptr, *columns = _ragged(len(self.items), items, *parts)
                found[name] = TripleMatrix(indptr, *columns)
            else:
                rows, ids = (self.users, table["user"]) if name == "user_features" else (self.items, table["item"])
                tokens = self.side[name].encode(_tokens(table["field"], table["value"]))
                indptr, *columns = _ragged(len(rows), rows.encode(ids), tokens, table["weight"])
                found[name] = FeatureMatrix(indptr, *columns)
        return Side(behaviours={name: self.encode(rows) for name, rows in tables.behaviours.items()}, **found)

    def write(self, folder: Path) -> None:
        for name, ids in {"users": self.users, "items": self.items, **self.side}.items():
            ids.write(folder / f"{name}.parquet")

    @classmethod
    def read(cls, folder: Path) -> Catalogue:
        side = {path.stem: path for path in sorted(folder.glob("*.parquet")) if path.stem not in ("users", "items")}
        return cls(
            Ids.read(folder / "users.parquet"),
            Ids.read(folder / "items.parquet"),
            {name: Ids.read(path) for name, path in side.items()},
        )


def _tokens(field: str | np.ndarray, values: np.ndarray) -> np.ndarray:
    """[n] object: a field with a value, as one text."""
    fields = np.broadcast_to(np.array(field, dtype=object), len(values))
    return np.array([f"{name}{_BETWEEN}{value}" for name, value in zip(fields, values, strict=True)], dtype=object)


def _ragged(num_rows: int, rows: np.ndarray, *columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """Entries of ``rows`` [n] (-1: left out), sorted by row and columns -> (indptr [num_rows + 1], columns)."""
    order = np.lexsort([*columns[::-1], rows])
    order = order[rows[order] >= 0]
    counts = np.bincount(rows[order], minlength=num_rows)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), *(column[order] for column in columns)


@dataclass(frozen=True)
class Shape:
    """How many of each kind of thing a model has rows for; what a dataset has no table of is 0."""

    num_users: int
    num_items: int
    num_friends: int = 0
    """Users as targets of links, in a vocabulary of their own."""
    num_user_features: int = 0
    num_item_features: int = 0
    """Distinct (field, value) pairs of each side; a numeric field is one."""
    num_contexts: int = 0
    """Distinct (field, value) pairs of the context fields."""
    num_relations: int = 0
    num_entities: int = 0


@dataclass(frozen=True)
class InteractionMatrix:
    """Interactions in dense indices, sorted by (user, item): what a model learns from.

    users, items  [n] int64      ratings  [n] float32 or None      timestamps  [n] int64 or None
    contexts      [n, number of context fields] int64 or None: the dense context of each field of a row

    Pairs are distinct, except under contexts: there a pair may occur once in each context.
    """

    shape: Shape
    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray | None = None
    timestamps: np.ndarray | None = None
    contexts: np.ndarray | None = None
    side: Side = NO_SIDE

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
    def lacked_before(self) -> np.ndarray:
        """[n] int64, increasing where pairs are distinct: user · (num_items + 1) + how many items that the user lacks
        come before the row's own. Searched to draw what a user lacks (see ``lethe.data.batches.negatives``)."""
        own_before = np.arange(len(self)) - self.indptr[self.users]
        return self.users * (self.num_items + 1) + self.items - own_before

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

    def distinct(self) -> InteractionMatrix:
        """Each (user, item) once, whatever the context; of ratings and timestamps the first row's."""
        new = np.ones(len(self), dtype=bool)
        new[1:] = (self.users[1:] != self.users[:-1]) | (self.items[1:] != self.items[:-1])
        return InteractionMatrix(
            self.shape,
            self.users[new],
            self.items[new],
            None if self.ratings is None else self.ratings[new],
            None if self.timestamps is None else self.timestamps[new],
            side=self.side,
        )

    def csr(self) -> sp.csr_array:
        """[num_users, num_items] of ones (float32); a pair that occurs twice is one."""
        matrix = sp.csr_array(
            (np.ones(len(self), np.float32), (self.users, self.items)), shape=(self.num_users, self.num_items)
        )
        matrix.data[:] = 1.0
        return matrix
