"""Side tables in raw ids: links, behaviours, features and triples beside the interactions.

Each is a set of rows in canonical order. Three rules make them forgettable: every row belongs to the users or the items
it names; a shard holds the rows of its own users and items (``SideTables.of_rows``); what is said about a user goes
with the user (``lethe.data.suppression``), links in both directions.

A dataset may name ``items`` that are recommended before anybody has had them. They and their features are in every
shard (``SideTables.of_shard``): for each of them an item is new that its own rows don't name, so that nothing of what
other shards hold, or of who was forgotten, is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lethe.core.canonical import digest_json
from lethe.errors import DataError
from lethe.tables.columns import digest_columns, from_arrow, read_parquet, sortable, to_arrow, write_parquet
from lethe.tables.ids import Ids, as_integer, canonical_ids
from lethe.tables.interactions import UNKNOWN, Interactions

COLUMNS: dict[str, tuple[str, ...]] = {
    "links": ("user", "friend"),
    "user_features": ("user", "field", "value", "weight"),
    "item_features": ("item", "field", "value", "weight"),
    "triples": ("item", "relation", "entity"),
    "items": ("item",),
}
"""The kinds of side tables and their columns. A link says that the user has chosen the friend, who is a user too."""

SAID = "value"
"""The column of what a feature says, which may name somebody (a seller), see ``may_name``."""

SAYING = (SAID, "relation", "entity")
"""Columns of what features and facts say, in which somebody may be named among other words."""

DISTINCTIVE_DIGITS = 9
"""Least length of a number that is hardly another one by chance: sizes, prices and durations are shorter."""

BEHAVIOUR = "behaviour."
"""What the name of a behaviour's file begins with."""


OF_USERS = frozenset(kind for kind, columns in COLUMNS.items() if columns[0] == "user")
"""The kinds whose rows are users', and lie in the order of these, as a behaviour's do."""


def may_name(said: str) -> bool:
    """Whether what a feature or a context says may be somebody's id: a word may, a number only if it is long."""
    return as_integer(said) is None or len(said) >= DISTINCTIVE_DIGITS


def may_name_in_context(said: str) -> bool:
    """The same of a context alone, where one word says that nothing is known."""
    return may_name(said) and said != UNKNOWN


@dataclass(frozen=True)
class SideTable:
    """Distinct rows, sorted by their columns. Build it with ``SideTable.of``.

    Ids are int64 or text (object); field, value, relation are text; entity is like ids; weight is float32: 1 for a
    category, the number itself for a numeric field, whose value is "".
    """

    kind: str
    columns: dict[str, np.ndarray]

    @classmethod
    def of(cls, kind: str, **columns: np.ndarray) -> SideTable:
        """Canonical types and order, repeated rows once. Raises DataError for missing ids or weights not finite."""
        canonical: dict[str, np.ndarray] = {}
        for name in COLUMNS[kind]:
            column = np.asarray(columns[name])
            if name == "weight":
                canonical[name] = column.astype(np.float32)
                if not np.isfinite(canonical[name]).all():
                    raise DataError(f"Column 'weight' of {kind}: {int((~np.isfinite(column)).sum())} are not finite")
            elif name in ("field", "value", "relation"):
                canonical[name] = np.array([str(v) for v in column], dtype=object)
            else:
                canonical[name] = np.asarray(canonical_ids(f"{name} of {kind}", column))
        keys = [sortable(column) for column in canonical.values()]
        order = np.lexsort(keys[::-1])
        new = np.ones(len(order), dtype=bool)
        new[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
        return cls(kind, {name: column[order][new] for name, column in canonical.items()})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def take(self, rows: np.ndarray) -> SideTable:
        """The rows of a boolean mask."""
        return SideTable(self.kind, {name: column[rows] for name, column in self.columns.items()})

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The values of each row."""
        return zip(*self.columns.values(), strict=True)

    def digest(self) -> str:
        """SHA-256 of the content, whatever the file."""
        return digest_columns(self.columns.items())

    def write(self, path: Path) -> None:
        write_parquet(pa.table({name: to_arrow(column) for name, column in self.columns.items()}), path)

    @classmethod
    def read(cls, kind: str, path: Path) -> SideTable:
        table = read_parquet(path)
        return cls(kind, {name: from_arrow(table[name]) for name in COLUMNS[kind]})


@dataclass(frozen=True)
class SideTables:
    """All side tables of a dataset or of a shard: by kind, and the behaviours (all but the target) by name."""

    tables: dict[str, SideTable] = field(default_factory=dict)
    behaviours: dict[str, Interactions] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.tables or self.behaviours)

    def named(self) -> Iterator[tuple[str, SideTable | Interactions]]:
        """Every table under the name of its file, in fixed order."""
        yield from sorted(self.tables.items())
        yield from ((BEHAVIOUR + name, rows) for name, rows in sorted(self.behaviours.items()))

    def map(
        self, table: Callable[[SideTable], SideTable], behaviour: Callable[[Interactions], Interactions]
    ) -> SideTables:
        """Each table under a function of its sort."""
        return SideTables(
            {name: table(t) for name, t in self.tables.items()},
            {name: behaviour(rows) for name, rows in self.behaviours.items()},
        )

    def of_rows(self, rows: Interactions) -> SideTables:
        """What belongs to some interactions: of their users the links they chose, the behaviours and features; of
        their items and of those the behaviours name, the features and triples. An item is then no new one."""
        known = {name: table for name, table in self.tables.items() if name != "items"}
        return SideTables(known, self.behaviours).of_shard(rows)

    def of_shard(self, rows: Interactions) -> SideTables:
        """What lies beside a shard with these rows: what belongs to them, and the new items with their features."""
        users = Ids.of(rows.user_ids)
        behaviours = {name: table.take(users.encode(table.user_ids) >= 0) for name, table in self.behaviours.items()}
        items = Ids.of(rows.item_ids, *(table.item_ids for table in behaviours.values()))
        own = {n: t.take(users.encode(t["user"]) >= 0) for n, t in self.tables.items() if n in OF_USERS}
        own |= self.of_items(items)
        return SideTables({name: own[name] for name in self.tables}, behaviours)

    def of_items(self, items: Ids) -> dict[str, SideTable]:
        """Those of the tables that are no users', as they lie beside a shard of these items, which its behaviours name
        too."""

        def own(table: SideTable) -> SideTable:
            new = [self.tables["items"]["item"]] if table.kind == "item_features" and "items" in self.tables else []
            return table.take(Ids.of(items.values, *new).encode(table["item"]) >= 0)

        others = {name: table for name, table in self.tables.items() if name not in OF_USERS}
        return {name: table if name == "items" else own(table) for name, table in others.items()}

    def without_pairs(self, held_out: Sequence[Interactions]) -> SideTables:
        """Behaviours without the (user, item) pairs that are held out of the target behaviour."""
        return self.map(lambda table: table, lambda rows: rows.take(~are_pairs_of(rows, held_out)))

    def digest(self) -> str:
        """SHA-256 over all tables and their names."""
        return digest_json({name: table.digest() for name, table in self.named()})

    def write(self, folder: Path) -> None:
        """One Parquet file a table, byte-stable."""
        for name, table in self.named():
            table.write(folder / f"{name}.parquet")

    @classmethod
    def read(cls, folder: Path, *, behaviours: bool = True) -> SideTables:
        """What ``write`` wrote, ``behaviours`` too or without them; no tables where there is no folder."""
        tables, rows = {}, {}
        for path in sorted(folder.glob("*.parquet")):
            if not is_behaviour(path):
                tables[path.stem] = SideTable.read(path.stem, path)
            elif behaviours:
                rows[path.stem.removeprefix(BEHAVIOUR)] = Interactions.read(path)
        return cls(tables, rows)


NO_TABLES = SideTables()


def is_behaviour(path: Path) -> bool:
    """Whether a file of side tables is of a behaviour, by its name."""
    return path.stem.startswith(BEHAVIOUR)


def behaviours_in(folder: Path) -> dict[str, Path]:
    """The files of the behaviours among side tables, by name."""
    return {p.stem.removeprefix(BEHAVIOUR): p for p in sorted(folder.glob("*.parquet")) if is_behaviour(p)}


def are_pairs_of(rows: Interactions, others: Sequence[Interactions]) -> np.ndarray:
    """[n] bool: which rows have a (user, item) pair that is in one of some other tables."""
    named = Interactions.concatenate(*(Interactions(other.user_ids, other.item_ids) for other in others))
    users, items = Ids.of(named.user_ids), Ids.of(named.item_ids)
    pairs = np.unique(users.encode(named.user_ids) * len(items) + items.encode(named.item_ids))
    left, right = users.encode(rows.user_ids), items.encode(rows.item_ids)
    return (left >= 0) & (right >= 0) & np.isin(left * len(items) + right, pairs)


def known_links(tables: SideTables, known: Ids) -> SideTables:
    """Links between users who have interactions; whoever has none is nobody's friend."""
    if "links" not in tables.tables:
        return tables
    links = tables.tables["links"]
    kept = (known.encode(links["user"]) >= 0) & (known.encode(links["friend"]) >= 0)
    return SideTables({**tables.tables, "links": links.take(kept)}, tables.behaviours)


def content_digest(interactions: Interactions, tables: SideTables) -> str:
    """SHA-256 of all that a dataset holds."""
    return digest_together(interactions.digest(), {name: table.digest() for name, table in tables.named()})


def digest_together(interactions: str, beside: Mapping[str, str]) -> str:
    """``content_digest`` of tables whose digests are known; of side tables by name."""
    return digest_json([interactions, digest_json(dict(beside))]) if beside else interactions


def folder_beside(path: Path) -> Path:
    """Where the side tables of a table of interactions lie: of interactions.parquet in side/, of shard 03.parquet in
    side/03/."""
    own = path.parent / "side" / path.stem
    return own if own.is_dir() else path.parent / "side"
