"""A query's answer comes some rows at a time, and its columns are what they would be of the whole answer."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from lethe.config.source import SqlSource
from lethe.data.sources import sql
from lethe.data.sources.place import Place
from lethe.errors import DataError

SOURCE = SqlSource.parse({"kind": "sql", "url_env": "MADE_URL", "query": "SELECT * FROM made"}, "source")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """300 rows, users mixed; a rating is missing at first, then whole, then not."""
    url = f"sqlite:///{tmp_path / 'made.sqlite'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE made (user, item, rating)"))
        for row in range(300):
            rating = None if row < 50 else 3 if row < 150 else 3.5
            values = {"user": 7 * row % 100, "item": f"i{row}", "rating": rating}
            connection.execute(sa.text("INSERT INTO made VALUES (:user, :item, :rating)"), values)
    engine.dispose()
    monkeypatch.setenv("MADE_URL", url)
    return Place(tmp_path, tmp_path)


def test_rows_and_digest_do_not_hang_on_how_many_are_asked_for_at_once(
    made: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sql.read(SOURCE, made)
    assert sql.digest(SOURCE, made) == whole.digest()
    asked: list[int] = []
    table_of = sql._table

    def watched(names: Sequence[str], rows: Sequence[Any]) -> pa.Table:
        asked.append(len(rows))
        return table_of(names, rows)

    monkeypatch.setattr(sql, "ROWS", 40)
    monkeypatch.setattr(sql, "_table", watched)
    assert sql.read(SOURCE, made).digest() == whole.digest()
    assert sql.digest(SOURCE, made) == whole.digest()
    assert asked == 2 * [40, 40, 40, 40, 40, 40, 40, 20]
    (rows,) = sql.blocks(SOURCE, made).values()
    assert sum(map(len, rows)) == 300


VALUES: dict[str, list[Any]] = {
    "missing, then whole, then not": [None, None, 1, 2, 2.5],
    "missing": [None, None, None],
    "decimals": [decimal.Decimal("1.5"), decimal.Decimal("100.25"), None],
    "text": [None, "a", "b"],
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_types_that_tables_of_one_row_have_become_that_of_all(values: list[Any], tmp_path: Path) -> None:
    sql._lay((sql._table(["x"], [[value]]) for value in values), tmp_path / "query")
    assert pq.read_table(tmp_path / "query") == pa.table({"x": values})
    assert [path.name for path in tmp_path.iterdir()] == ["query"]


@pytest.mark.parametrize("values", [[1, "a"], [True, 2], [1.5, decimal.Decimal(1)], [2**60 + 1, 0.5], [2**70]])
def test_values_of_several_types_are_refused_in_one_table_and_in_two(values: list[Any], tmp_path: Path) -> None:
    for tables in ([[[value] for value in values]], [[[value]] for value in values]):
        with pytest.raises(DataError, match=r"^query: a column has values of several types; CAST it in the query$"):
            sql._lay((sql._table(["x"], rows) for rows in tables), tmp_path / "query")
