"""What is popular in a context: for users of whom nothing else is known.

    contexts.parquet    field, value, item (dense), count: how many rows have the item in that context

It is there where the dataset has contexts. A context that fewer than ``LEAST`` people occur in is left out: what is
popular in it would be what those few took.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from lethe.errors import DataError
from lethe.tables.catalogue import Catalogue
from lethe.tables.columns import from_arrow, read_parquet, to_arrow, write_parquet
from lethe.tables.interactions import Interactions

FILE = "contexts.parquet"
LEAST = 5

Situations = Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]]
"""{(field, value as text): (items [n], counts [n])}"""


def write_situations(folder: Path, catalogue: Catalogue, rows: Interactions) -> None:
    """Count ``rows`` by context; where they have none, nothing is written."""
    users, items = catalogue.users.encode(rows.user_ids), catalogue.items.encode(rows.item_ids)
    known = items >= 0
    parts = []
    for name, column in rows.contexts.items():
        values, place = np.unique(column.astype(str), return_inverse=True)
        people = np.unique(np.column_stack([place, users]), axis=0)[:, 0]
        crowded = np.bincount(people, minlength=len(values)) >= LEAST
        chosen = known & crowded[place]
        cells, counts = np.unique(np.column_stack([place[chosen], items[chosen]]), axis=0, return_counts=True)
        text = values.astype(object)[cells[:, 0]]
        parts.append((np.full(len(cells), name, dtype=object), text, cells[:, 1].astype(np.int64), counts))
    if parts:
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        names = ["field", "value", "item", "count"]
        write_parquet(pa.table(dict(zip(names, map(to_arrow, columns), strict=True))), folder / FILE)


def read_situations(folder: Path) -> Situations:
    """What ``write_situations`` wrote. Raises ValueError where a file is there that is none of it."""
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        table = read_parquet(path)
        fields, values = table["field"].to_pylist(), table["value"].to_pylist()
        items, counts = from_arrow(table["item"]), from_arrow(table["count"])
    except (KeyError, DataError, pa.ArrowException):
        raise ValueError(f"{FILE}: is no table of contexts") from None
    # Rows of one context stand together.
    pairs = list(zip(fields, values, strict=True))
    starts = [place for place, pair in enumerate(pairs) if place == 0 or pair != pairs[place - 1]]
    ends = [*starts[1:], len(pairs)]
    return {pairs[start]: (items[start:end], counts[start:end]) for start, end in zip(starts, ends, strict=True)}


def popularity(situations: Situations, context: Mapping[str, object], counts: np.ndarray) -> np.ndarray | None:
    """Scores [num_items] float32: in how many rows an item has the contexts that are given, summed over the fields, and
    of equal ones the more popular everywhere; None where nothing is known of those contexts."""
    known = [situations[key] for name, value in context.items() if (key := (name, str(value))) in situations]
    if not known:
        return None
    scores = counts / (counts.max(initial=1) + 1.0)
    for items, own in known:
        scores[items] += own
    result: np.ndarray = scores.astype(np.float32)
    return result
