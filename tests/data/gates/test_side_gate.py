"""The gate of side tables: it passes on good ones, and says table, rule and count on each planted fault."""

from __future__ import annotations

import numpy as np
import pytest

from lethe.data.gates.report import require
from lethe.data.gates.side import validate_shard_side, validate_side
from lethe.errors import ValidationError
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTable, SideTables
from tests.conftest import taste_blocks
from tests.side import side_tables, without_user

ROWS = taste_blocks()
TABLES = side_tables(ROWS)


def with_table(name: str, **columns: np.ndarray) -> SideTables:
    return SideTables({**TABLES.tables, name: SideTable(name, columns)}, TABLES.behaviours)


def test_good_tables_pass() -> None:
    require(validate_side(TABLES, ROWS, TABLES))
    parts = [ROWS.take(np.isin(ROWS.user_ids, ["user-001"])), ROWS.take(~np.isin(ROWS.user_ids, ["user-001"]))]
    require(validate_shard_side([(part, TABLES.of_rows(part)) for part in parts], TABLES, name="side"))


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
        require(validate_side(tables, ROWS, tables))


def test_suppressed_rows_are_counted_and_not_shown() -> None:
    allowed = without_user(TABLES, "user-004")
    with pytest.raises(ValidationError, match="links that are not allowed by") as caught:
        require(validate_side(TABLES, ROWS, allowed))
    assert "user-004" not in str(caught.value)


def test_a_shard_with_a_strangers_row_is_found() -> None:
    own = ROWS.take(ROWS.user_ids == "user-001")
    with pytest.raises(ValidationError, match="exactly those of the shard's users and items"):
        require(validate_shard_side([(own, TABLES)], TABLES, name="side"))
