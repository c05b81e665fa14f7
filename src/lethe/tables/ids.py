"""Ids of people and things: as the source has them, and as dense indices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lethe.errors import DataError
from lethe.tables.columns import from_arrow, write_parquet

if TYPE_CHECKING:
    pass


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


def canonical_ids(name: str, column: np.ndarray) -> np.ndarray:
    """[n] int64, or an object array of str. Raises DataError, naming the column, for missing values and fractions."""
    column = np.asarray(column)
    if np.issubdtype(column.dtype, np.integer):
        return column.astype(np.int64)
    if np.issubdtype(column.dtype, np.floating):
        missing = int(np.isnan(column).sum())
        if missing or np.any(column != np.floor(column)):
            rule = f"{missing} values are missing" if missing else "ids must be integers or text, got fractions"
            raise DataError(f"Column {name!r}: {rule}")
        return column.astype(np.int64)
    missing = sum(v is None or v != v or v == "" for v in column)
    if missing:
        raise DataError(f"Column {name!r}: {missing} values are missing")
    return np.array([str(v) for v in column], dtype=object)


def same_id(column: np.ndarray, raw_id: str) -> np.ndarray:
    """[n] bool: where a column of raw ids (int64, or object of str) holds this id.

    An integer has one spelling, the one that its keyed digest is made of: "042" is not the id 42.
    """
    if not np.issubdtype(column.dtype, np.integer):
        return np.asarray(column == raw_id, dtype=bool)
    if not re.fullmatch(r"0|-?[1-9][0-9]{0,18}", raw_id) or not -(2**63) <= int(raw_id) < 2**63:
        return np.zeros(len(column), dtype=bool)
    return np.asarray(column == int(raw_id), dtype=bool)
