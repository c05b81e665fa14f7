"""Rows as users of such software have them, written in the shapes that their tools write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lethe.config.params import Params
from lethe.config.reading import Reading
from lethe.core.workspace import Workspace
from lethe.data import add as adding
from lethe.data import sources
from lethe.tables.interactions import Interactions

FIRST_SECOND = 1_700_000_000
ROWS = [
    (user, 1 + (7 * user + 3 * place) % 40, 1 + (user + place) % 5, FIRST_SECOND + 10 * place + 1000 * user)
    for user in range(1, 21)
    for place in range(10)
]
"""(user, item, rating, second): 20 users, 10 rows each, no pair twice."""

Row = tuple[int, int, int, int]


def table(
    path: Path,
    *,
    user: Callable[[int], object] = str,
    item: Callable[[int], object] = str,
    rating: Callable[[int], object] = str,
    time: Callable[[int], object] = str,
    header: str | None = "user,item,rating,timestamp",
    separator: str = ",",
    end: str = "\n",
    encoding: str = "utf-8",
    before: Sequence[str] = (),
    after: Sequence[str] = (),
) -> Path:
    """Write ``ROWS`` as CSV, each value by its function."""
    lines = [] if header is None else [header.replace(",", separator)]
    lines += [separator.join(map(str, (user(u), item(i), rating(r), time(t)))) for u, i, r, t in ROWS]
    path.write_bytes("".join(line + end for line in (*before, *lines, *after)).encode(encoding))
    return path


@dataclass(frozen=True)
class Added:
    """A dataset that was added: its rows, its section of params.yaml, what the user was told."""

    rows: Interactions
    source: dict[str, Any]
    notes: str


def add(workspace: Workspace, path: Path, columns: dict[str, str | None] | None = None, **given: Any) -> Added:
    """As ``lethe data add`` does; by default with rating and timestamp."""
    mapped = {"rating": "rating", "timestamp": "timestamp"} if columns is None else columns
    given = {"positive": "all", **given}
    notes = adding.add(workspace, "shop", path, Reading({"user": None, "item": None, **mapped}, given)).notes
    config = Params.read(workspace.params).datasets["shop"]
    rows = sources.read(config.source, root=workspace.root, copy=workspace.source_copy("shop"))
    assert isinstance(rows, Interactions)
    section = yaml.safe_load(workspace.params.read_text())["datasets"]["shop"]["source"]
    return Added(rows, section, "\n".join(notes))


def expected(user: Callable[[int], object] = int, ticks: int = 1, late: int = 0) -> Interactions:
    """``ROWS`` in canonical form; ``late`` is added to each time."""
    users, items, ratings, times = (np.array(column) for column in zip(*ROWS, strict=True))
    named = [user(u) for u in users.tolist()]
    ids = np.array(named, dtype=object if isinstance(named[0], str) else np.int64)
    return Interactions.of(ids, items, ratings, times * ticks + late, ticks=ticks)
