"""The gate of side tables: it passes on good ones, and says table, rule and count on each planted fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from lethe.data.beside import foreign_beside
from lethe.data.gates.report import Report, require
from lethe.data.gates.side import broken_in, validate_shard_side, validate_side
from lethe.errors import ValidationError
from lethe.tables import blocks
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTable, SideTables
from tests.conftest import taste_blocks
from tests.side import side_tables, without_user

ROWS = taste_blocks()
TABLES = side_tables(ROWS)
Rows = TypeVar("Rows", SideTable, Interactions)


def with_table(name: str, **columns: np.ndarray) -> SideTables:
    return SideTables({**TABLES.tables, name: SideTable(name, columns)}, TABLES.behaviours)


def judged(tables: SideTables, allowed: Callable[[SideTables], SideTables] = lambda tables: tables) -> Report:
    return validate_side(SideTables(tables.tables), tables.behaviours, Ids.of(ROWS.user_ids), allowed)


def laid(folder: Path, parts: dict[str, tuple[Interactions, SideTables]]) -> list[Path]:
    """The files of shards, with tables beside each, and the dataset's tables in a folder besides."""
    TABLES.write(folder / "whole")
    for shard, (rows, tables) in parts.items():
        rows.write(folder / f"{shard}.parquet")
        tables.write(folder / "side" / shard)
    return [folder / f"{shard}.parquet" for shard in parts]


def test_good_tables_pass(tmp_path: Path) -> None:
    require(judged(TABLES))
    parts = [ROWS.take(np.isin(ROWS.user_ids, ["user-001"])), ROWS.take(~np.isin(ROWS.user_ids, ["user-001"]))]
    shards = laid(tmp_path, {f"0{n}": (part, TABLES.of_rows(part)) for n, part in enumerate(parts)})
    require(validate_shard_side(shards, tmp_path / "whole", name="side"))


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (with_table("links", user=np.array(["user-001"]), friend=np.array(["user-001"])), "links that are not to some"),
        (with_table("links", user=np.array(["user-001"]), friend=np.array(["nobody"])), "links that are not of users"),
        (
            with_table(
                "user_features",
                user=np.array(["user-001"]),
                field=np.array(["age"]),
                value=np.array([""]),
                weight=np.array([np.inf], np.float32),
            ),
            "user_features that are not of finite weight",
        ),
        (
            SideTables({}, {"view": Interactions(np.array([1, 1]), np.array([2, 2]))}),
            "behaviour.view that are not there once",
        ),
    ],
)
def test_a_planted_fault_is_named(tables: SideTables, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        require(judged(tables))


def test_suppressed_rows_are_counted_and_not_shown() -> None:
    with pytest.raises(ValidationError, match="links that are not allowed by") as caught:
        require(judged(TABLES, lambda tables: without_user(tables, "user-004")))
    assert "user-004" not in str(caught.value)


@pytest.mark.parametrize("rows", [1, 10**6])
def test_of_a_behaviour_every_row_is_looked_at_however_few_at_once(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "AT_ONCE", rows)
    Interactions(np.array([1, 1, 1, 2, 3, 3]), np.array([2, 2, 2, 5, 1, 1])).write(tmp_path / "view.parquet")
    broken = broken_in(tmp_path / "view.parquet", "view", lambda tables: without_user(tables, 1))
    assert broken == {"suppressed": 3, "repeated": 3}


STRANGE: dict[str, Callable[[SideTables], SideTables]] = {
    "everybody's": lambda own: TABLES,
    "a view less": lambda own: SideTables(own.tables, own.behaviours | {"view": less(own.behaviours["view"])}),
    "a cart of a stranger": lambda own: SideTables(own.tables, own.behaviours | {"cart": TABLES.behaviours["cart"]}),
    "no cart": lambda own: SideTables(own.tables, {"view": own.behaviours["view"]}),
    "a link less": lambda own: SideTables(own.tables | {"links": less(own.tables["links"])}, own.behaviours),
    "a fact less": lambda own: SideTables(own.tables | {"triples": less(own.tables["triples"])}, own.behaviours),
    "an age more": lambda own: SideTables(
        own.tables | {"user_features": older(own.tables["user_features"])}, own.behaviours
    ),
}


def less(table: Rows) -> Rows:
    return table.take(np.arange(len(table)) > 0)


def older(features: SideTable) -> SideTable:
    return SideTable("user_features", features.columns | {"weight": features["weight"] + np.float32(1)})


@pytest.mark.parametrize("what", STRANGE)
def test_a_shard_with_something_else_beside_it_is_found(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "AT_ONCE", 7)
    own, other = (ROWS.take(ROWS.user_ids == user) for user in ("user-001", "user-005"))
    beside = TABLES.of_rows(own)
    shards = laid(tmp_path, {"00": (other, TABLES.of_rows(other)), "01": (own, STRANGE[what](beside))})
    assert foreign_beside(shards, tmp_path / "whole", []) == 1


def test_a_shard_with_a_strangers_row_is_judged_so(tmp_path: Path) -> None:
    shards = laid(tmp_path, {"00": (ROWS.take(ROWS.user_ids == "user-001"), TABLES)})
    with pytest.raises(ValidationError, match="exactly those of the shard's users and items"):
        require(validate_shard_side(shards, tmp_path / "whole", name="side"))
