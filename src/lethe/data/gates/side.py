"""The gate of side tables. The frames hold how many rows break a rule: no id reaches the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from lethe.data.beside import foreign_beside
from lethe.data.gates.engine import Count, Engine
from lethe.data.gates.report import Report
from lethe.tables.blocks import Block, Source, in_steps, rows_of
from lethe.tables.ids import Ids
from lethe.tables.side_tables import BEHAVIOUR, SideTable, SideTables
from lethe.tables.texts import Column

RULES = {
    "unknown": "of users who have interactions",
    "to_self": "to somebody else",
    "not_finite": "of finite weight",
    "repeated": "there once",
    "suppressed": "allowed by the suppression list",
    "foreign": "exactly those of the shard's users and items",
}


Allowed = Callable[[SideTables], SideTables]
"""What the suppression list leaves of side tables."""


def validate_side(
    tables: SideTables,
    behaviours: Mapping[str, Source],
    users: Ids,
    allowed: Allowed,
    *,
    engine: Engine | None = None,
) -> Report:
    """Each row of a side table keeps the rules of its kind. ``tables``: all but behaviours; ``users``: who may be in
    links, where there are any."""
    left, counts = allowed(tables).tables, list[Count]()
    for name, table in sorted(tables.tables.items()):
        broken = {"suppressed": len(table) - len(left[name]), "repeated": _repeated(*table.columns.values())}
        counts += _counts(name, broken | _broken(table, users))
    for name, rows in sorted(behaviours.items()):
        counts += _counts(BEHAVIOUR + name, broken_in(rows, name, allowed))
    return (engine or Engine()).record("side", counts)


def validate_shard_side(
    shards: Sequence[Path], tables: Path, withheld: Sequence[Path] = (), *, name: str, engine: Engine | None = None
) -> Report:
    """The side tables of each shard are those rows of the tables in a folder that belong beside its interactions."""
    wrong = foreign_beside(shards, tables, withheld)
    return (engine or Engine()).record(name, _counts(name, {"foreign": wrong}))


def broken_in(behaviour: Source, name: str, allowed: Allowed) -> dict[str, int]:
    """How many rows of a behaviour break which rule; some users are looked at at a time."""

    def count(block: Block, _: object) -> tuple[int, int]:
        rows = rows_of(block)
        left = allowed(SideTables(behaviours={name: rows})).behaviours[name]
        return len(rows) - len(left), _repeated(rows.user_ids, rows.item_ids)

    suppressed, repeated = (sum(of_rule) for of_rule in zip(*in_steps(count, behaviour), strict=True))
    return {"suppressed": suppressed, "repeated": repeated}


def _broken(table: SideTable, users: Ids) -> dict[str, int]:
    if table.kind == "links":
        unknown = sum((users.encode(table[name]) < 0).astype(int) for name in ("user", "friend"))
        return {"unknown": int(np.sum(unknown > 0)), "to_self": int((table["user"] == table["friend"]).sum())}
    if "weight" in table.columns:
        return {"not_finite": int((~np.isfinite(table["weight"])).sum())}
    return {}


def _repeated(*columns: Column) -> int:
    """How many rows equal the row before, in tables whose equal rows stand together."""
    return int(np.all([column[1:] == column[:-1] for column in columns], axis=0).sum())


def _counts(table: str, broken: dict[str, int]) -> list[Count]:
    return [
        Count("ExpectColumnValuesToBeBetween", f"be 0: rows of {table} that are not {RULES[name]}", name, rows)
        for name, rows in broken.items()
    ]
