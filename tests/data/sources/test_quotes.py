"""A quote without another swallows rows: whoever reads CSV hears of it, whatever column it is in."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lethe.config.side import SideSources
from lethe.config.table import FileFormat, TableFormat
from lethe.data.sources import quotes, side, table
from lethe.errors import DataError
from lethe.tables.ids import Ids

SWALLOWED = "lines that look like rows stand inside of values in quotes"
PLAIN = TableFormat(columns={"rating": "rating"})


def lines(title: Callable[[int], str], end: str = "\n") -> str:
    return end.join(["user,item,title,rating", *(f"{n % 7},{n},{title(n)},{n % 5}" for n in range(60)), ""])


def open_quote(n: int) -> str:
    return {20: '"7 inches', 26: '8"'}.get(n, "some")


def several_lines(n: int) -> str:
    return f'"Of {n}, and 2,\n3, ""4"", 5\nand 6, 7, 8"'


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=repr)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_a_file_that_is_read_again_is_refused_too(tmp_path: Path, end: str, packed: bool) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes((gzip.compress if packed else bytes)(lines(open_quote, end).encode()))
    with pytest.raises(DataError, match=rf"^orders\.csv: 6 {SWALLOWED}, so a quote has no other; take it away"):
        table.read(path, PLAIN)


@pytest.mark.parametrize(
    "title",
    [several_lines, lambda n: '"7"" disc"', lambda n: '7" disc', lambda n: '7" disc' if n == 20 else '"one\ntwo"'],
    ids=["texts of several lines", "quotes in quotes", "quotes outside", "both"],
)
def test_quotes_that_hold_no_rows_are_read(tmp_path: Path, title: Callable[[int], str]) -> None:
    (tmp_path / "orders.csv").write_text(lines(title))
    assert len(table.read(tmp_path / "orders.csv", PLAIN)) == 60


def test_only_rows_like_the_first_are_missed(tmp_path: Path) -> None:
    """As many columns, and numbers where those have them."""
    (tmp_path / "orders.csv").write_text(lines(lambda n: '"a,1\nb,c,d,2\nmore"' if n == 9 else "some"))
    assert len(table.read(tmp_path / "orders.csv", PLAIN)) == 60


def test_a_value_longer_than_what_is_looked_at_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotes, "_AT_ONCE", 7)
    (tmp_path / "orders.csv").write_text(lines(open_quote))
    with pytest.raises(DataError, match=SWALLOWED):
        table.read(tmp_path / "orders.csv", PLAIN)


def test_a_side_table_is_held_to_the_same(tmp_path: Path) -> None:
    ids = Ids(np.arange(60))
    titles = [f"{n},{open_quote(n)},{n}" for n in range(60)]
    (tmp_path / "products.csv").write_text("\n".join(["item,title,price", *titles]))
    told = SideSources.parse({"item_features": {"path": "products.csv", "fields": {"price": {"kind": "number"}}}}, "s")
    with pytest.raises(DataError, match=rf"^products\.csv: 6 {SWALLOWED}"):
        side.tables(told, ids, ids, root=tmp_path)


def test_where_no_line_ends_inside_of_quotes_no_value_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotes, "_swallowed", lambda *_: pytest.fail("was looked at"))
    piece = lines(lambda n: f'"Of {n}, and ""more"""').encode()
    assert list(quotes.without_swallowed(Path("orders.csv"), iter([piece]), FileFormat())) == [piece]
