"""The gate of side tables. The frames hold how many rows break a rule: no id reaches the engine."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lethe.data.gates.engine import Count, Engine
from lethe.data.gates.report import Report
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTable, SideTables
from lethe.tables.texts import Column

RULES = {
    "unknown": "of users who have interactions",
    "to_self": "to somebody else",
    "not_finite": "of finite weight",
    "repeated": "there once",
    "suppressed": "allowed by the suppression list",
    "foreign": "exactly those of the shard's users and items",
}


def validate_side(
    tables: SideTables, interactions: Interactions, allowed: SideTables, *, engine: Engine | None = None
) -> Report:
    """Each row of a side table keeps the rules of its kind; ``allowed`` is what the suppression list leaves of them."""
    users = Ids.of(interactions.user_ids)
    left = dict(allowed.named())
    counts: list[Count] = []
    for name, table in tables.named():
        broken = {"suppressed": len(table) - len(left[name])}
        if isinstance(table, Interactions):
            broken["repeated"] = _repeated(table.user_ids, table.item_ids)
        else:
            broken["repeated"] = _repeated(*table.columns.values())
            broken |= _broken(table, users)
        counts += _counts(name, broken)
    return (engine or Engine()).record("side", counts)


def validate_shard_side(
    shards: Iterable[tuple[Interactions, SideTables]], tables: SideTables, *, name: str, engine: Engine | None = None
) -> Report:
    """The side tables of each shard are those rows of ``tables`` that belong beside its interactions."""
    wrong = sum(own.digest() != tables.of_shard(rows).digest() for rows, own in shards)
    return (engine or Engine()).record(name, _counts(name, {"foreign": wrong}))


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
