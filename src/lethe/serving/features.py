"""What is known of items beside the model (category, stock, price): a table a dataset, read again when it changes.

    FOLDER/DATASET.parquet or FOLDER/DATASET.csv     a column ``item``, and one for each field

The folder is LETHE_ITEM_FEATURES; nothing is trained for it. Filters and caps of requests name its fields. An item that
the table doesn't have, or has without a value, passes no filter of that field.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lethe.core.stamps import Stamp, stamp
from lethe.errors import DataError, LetheError
from lethe.tables.ids import Ids

logger = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds between two looks at a file."""
KEY = "item"

Value = bool | int | float | str


@dataclass(frozen=True)
class Rule:
    """What a filter says of a field: one of some values, none of some values, or between two numbers."""

    any_of: tuple[Value, ...] | None = None
    none_of: tuple[Value, ...] | None = None
    least: float | None = None
    most: float | None = None


class Features:
    """The fields of a dataset's items, aligned to the items of a catalogue: {field: [num_items] values, None: none}."""

    def __init__(self, columns: Mapping[str, np.ndarray]) -> None:
        self.columns = dict(columns)

    @classmethod
    def aligned(cls, table: Mapping[str, Sequence[Any]], items: Ids) -> Features:
        """The rows of a table at the places of ``items``. Raises DataError for a table without items, with what is no
        id, or with one twice."""
        if KEY not in table:
            raise DataError(f"column {KEY!r}: missing, a table of item features must have it")
        for item in table[KEY]:
            if item is not None and (isinstance(item, bool) or not isinstance(item, int | str)):
                raise DataError(f"column {KEY!r}: must hold ids as text or integers, got {type(item).__name__}")
        places = np.array([items.place(item) for item in table[KEY]], dtype=np.int64)
        known = places >= 0
        if len(np.unique(places[known])) < known.sum():
            raise DataError(f"column {KEY!r}: each item must have one row, some have several")
        columns = {}
        for name, values in table.items():
            if name != KEY:
                columns[name] = np.full(len(items), None, dtype=object)
                columns[name][places[known]] = np.array([*values, None], dtype=object)[:-1][known]
        return cls(columns)

    def passing(self, rules: Mapping[str, Rule]) -> np.ndarray:
        """[num_items] bool: items that every rule lets pass. Raises DataError for an unknown field."""
        allowed: np.ndarray | None = None
        for name, rule in rules.items():
            own = _passes(self._column("filter", name), rule, name)
            allowed = own if allowed is None else allowed & own
        assert allowed is not None, "only asked where there are rules"
        return allowed

    def kinds(self, name: str) -> np.ndarray:
        """[num_items] int64: equal for items of equal value, -1 without one. Raises DataError for an unknown field."""
        column = self._column("caps", name)
        kinds = np.full(len(column), -1, dtype=np.int64)
        there = np.array([value is not None for value in column], dtype=bool)
        kinds[there] = np.unique(column[there].astype(str), return_inverse=True)[1]
        return kinds

    def _column(self, where: str, name: str) -> np.ndarray:
        if name not in self.columns:
            known = ", ".join(self.columns) or "none, there is no table of item features"
            raise DataError(f"{where}: unknown field {name!r}; known fields: {known}")
        return self.columns[name]


def _passes(column: np.ndarray, rule: Rule, name: str) -> np.ndarray:
    there = np.array([value is not None for value in column], dtype=bool)
    passes = there.copy()
    if rule.any_of is not None:
        passes &= np.array([value in rule.any_of for value in column], dtype=bool)
    if rule.none_of is not None:
        passes &= np.array([value not in rule.none_of for value in column], dtype=bool)
    if rule.least is not None or rule.most is not None:
        try:
            numbers = column[there].astype(np.float64)
        except (TypeError, ValueError):
            raise DataError(f"filter: field {name!r} holds text, so it has no least or most") from None
        low, high = (rule.least if rule.least is not None else -np.inf), rule.most if rule.most is not None else np.inf
        passes[there] &= (numbers >= low) & (numbers <= high)
    return passes


class FeatureFile:
    """The table of one dataset. One that is damaged leaves the last good one in force, and is said in the log."""

    def __init__(self, folder: Path | None, dataset: str, items: Ids) -> None:
        self._paths = [] if folder is None else [folder / f"{dataset}{suffix}" for suffix in (".parquet", ".csv")]
        self._items, self._features = items, Features({})
        self._stamp: tuple[str, Stamp | None] | None = None
        self._looked = -LOOK

    def now(self) -> Features:
        """The fields as the file has them."""
        if self._paths and time.monotonic() - self._looked >= LOOK:
            self._looked = time.monotonic()
            path = next((path for path in self._paths if path.is_file()), None)
            now = None if path is None else (path.name, stamp(path))
            if now != self._stamp:
                self._stamp = now
                self._read(path)
        return self._features

    def _read(self, path: Path | None) -> None:
        try:
            self._features = Features({} if path is None else Features.aligned(_table(path), self._items).columns)
        except LetheError as error:
            logger.error("item features: %s; those of before stay in force", error)


def _table(path: Path) -> dict[str, list[Any]]:
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    try:
        # An id is read as it is written: as numbers 007 and 7 would be one.
        as_text = csv.ConvertOptions(column_types={KEY: pa.string()})
        table = pq.read_table(path) if path.suffix == ".parquet" else csv.read_csv(path, convert_options=as_text)
    except (OSError, pa.ArrowException):
        raise DataError(f"{path.name}: is no table of item features, must be Parquet or CSV") from None
    if twice := next((name for name in table.column_names if table.column_names.count(name) > 1), None):
        raise DataError(f"{path.name}: column {twice!r} stands there twice, each must have a name of its own")
    columns: dict[str, list[Any]] = table.to_pydict()
    return columns
