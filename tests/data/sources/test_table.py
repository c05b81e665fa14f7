"""CSV and Parquet by a column mapping: what is read, and what is said about what can't be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lethe.config.source import FolderSource, TableSource
from lethe.data import sources
from lethe.data.sources import files, table
from lethe.errors import DataError
from lethe.tables.interactions import Interactions

ALL = {"user": "who", "item": "what", "rating": "stars", "timestamp": "when"}


def read(path: Path, columns: dict[str, Any] | None = None, **more: Any) -> Interactions:
    source = TableSource(kind="table", path=path.name, columns=columns or {}, **more)
    rows = sources.read(source, root=path.parent, copy=path.parent / "copy")
    assert isinstance(rows, Interactions)
    return rows


def fault(path: Path, columns: dict[str, Any] | None = None, **more: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(path, columns, **more)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_csv_and_parquet_of_the_same_rows_are_the_same(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "what;extra;who;when;stars\n7;x;2;100;4.5\n3;y;1;200;5\n")
    table = pa.table({"who": [1, 2], "what": [3, 7], "stars": [5.0, 4.5], "when": [200, 100]})
    pq.write_table(table, tmp_path / "a.parquet")
    one, other = read(csv, ALL, separator=";"), read(tmp_path / "a.parquet", ALL)
    assert one.digest() == other.digest()
    assert one.user_ids.tolist() == [1, 2]
    assert one.ratings is not None
    assert one.ratings.tolist() == [5.0, 4.5]


def test_unmapped_columns_are_not_read(tmp_path: Path) -> None:
    rows = read(write(tmp_path / "a.csv", "user,item,rating\n1,2,five\n"))
    assert rows.ratings is None


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "user,item\n1,2\n")
    source = TableSource(kind="table", path=str(path))
    assert len(sources.read(source, root=Path("/elsewhere"), copy=path)) == 1


def test_ids_are_integers_only_where_all_are(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "user,item\n1,a\n2,b\n")).user_ids.dtype == np.int64
    assert read(write(tmp_path / "a.csv", "user,item\n1,a\nx2,b\n")).user_ids.tolist() == ["1", "x2"]
    assert read(write(tmp_path / "a.csv", "user,item\n007,1\n7,2\n")).user_ids.tolist() == ["007", "7"]
    assert read(write(tmp_path / "a.csv", "user,item\n1,2\n"), ids="text").user_ids.tolist() == ["1"]
    assert "set the source's ids to text" in fault(write(tmp_path / "a.csv", "user,item\nx,2\n"), ids="integer")


def test_which_rows_are_chosen_hangs_on_no_other_row(tmp_path: Path) -> None:
    """Else whoever leaves, with a word among numbers, takes other people's rows along or brings some back."""
    lines = ["user,item,label", "1,1,1", "2,1,1.0", "3,1,+1", "4,1,01", "5,1,2", "6,1,", "7,1,likes"]
    for some in (lines, lines[:-1]):
        rows = read(write(tmp_path / "a.csv", "\n".join(some) + "\n"), where={"label": "1"})
        assert rows.user_ids.tolist() == [1, 2, 3, 4]


def test_times_become_seconds(tmp_path: Path) -> None:
    columns = {"timestamp": "when"}
    ms = read(write(tmp_path / "a.csv", "user,item,when\n1,2,1600000000999\n"), columns, timestamp_unit="ms")
    text = write(tmp_path / "b.csv", "user,item,when\n1,2,2020-09-13 12:26:40\n")
    iso = read(text, columns, timestamp_unit="iso")
    moments = pa.array([1_600_000_000_999], pa.timestamp("ms"))
    pq.write_table(pa.table({"user": [1], "item": [2], "when": moments}), tmp_path / "c.parquet")
    for rows in (ms, iso, read(tmp_path / "c.parquet", columns)):
        assert rows.timestamps is not None
        assert rows.timestamps.tolist() == [1_600_000_000]
    position = read(write(tmp_path / "d.csv", "user,item,when\n1,2,1500\n"), columns, timestamp_unit="position")
    assert position.timestamps is not None
    assert position.timestamps.tolist() == [1500]


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ("", None, ["the file is empty"]),
        ("user,item\n", None, ["no rows", "at least 1"]),
        ("user,thing\n1,2\n", None, ["column 'item' is missing", "user, thing"]),
        ("user,item\n1,2\n,3\n,4\n", None, ["column 'user'", "row count with an empty user: 2"]),
        ("user,item,stars\n1,2,five\n", {"rating": "stars"}, ["column 'stars' must be numbers, got text"]),
        ("user,item,stars\n1,2,nan\n", {"rating": "stars"}, ["column 'stars'", "1 values are missing or not finite"]),
        ("user,item,when\n1,2,soon\n", {"timestamp": "when"}, ["column 'when' must be numbers or times"]),
        ("user,item\n1,canary-77\n2,canary-78,3\n", None, ["a row has 3 columns, must be 2"]),
    ],
)
def test_a_fault_names_file_column_and_rule(
    tmp_path: Path, text: str, columns: dict[str, Any] | None, words: list[str]
) -> None:
    said = fault(write(tmp_path / "bad.csv", text), columns)
    for word in words:
        assert word in said
    assert "canary" not in said


def test_faults_of_parquet(tmp_path: Path) -> None:
    assert "not readable" in fault(write(tmp_path / "bad.parquet", "no parquet"))
    pq.write_table(pa.table({"user": [True], "item": [1]}), tmp_path / "b.parquet")
    assert "column 'user' must be integers or text, got bool" in fault(tmp_path / "b.parquet")
    pq.write_table(pa.table({"user": [1.5], "item": [1]}), tmp_path / "c.parquet")
    assert "column 'user' must be integers or text, got fractions" in fault(tmp_path / "c.parquet")
    pq.write_table(pa.table({"user": [1, None], "item": [1, 2]}), tmp_path / "d.parquet")
    assert "row count with an empty user: 1" in fault(tmp_path / "d.parquet")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    source = TableSource(kind="table", path="nowhere.csv")
    for call in (sources.read, sources.digest):
        with pytest.raises(DataError, match=r"nowhere\.csv: no such file"):
            call(source, root=tmp_path, copy=tmp_path / "copy")


def test_the_digest_follows_the_bytes(tmp_path: Path) -> None:
    source = TableSource(kind="table", path="a.csv")
    path = write(tmp_path / "a.csv", "user,item\n1,2\n")
    before = sources.digest(source, root=tmp_path, copy=tmp_path / "copy")
    assert before == sources.digest(source, root=tmp_path, copy=tmp_path / "copy")
    assert (before["kind"], before["reach"]) == ("table", "outside")
    write(path, "user,item\n1,3\n")
    assert sources.digest(source, root=tmp_path, copy=tmp_path / "copy")["digest"] != before["digest"]


def test_a_folder_gives_its_parts_with_ids_of_one_type(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "user,item\n1,10\n2,11\n")
    write(tmp_path / "test.csv", "user,item\nx,10\n1,12\n")
    source = FolderSource(kind="folder", path=".", train="train.csv", test="test.csv")
    parts = sources.read(source, root=tmp_path, copy=tmp_path / "copy")
    assert isinstance(parts, dict)
    assert set(parts) == {"train", "test"}
    assert parts["train"].user_ids.tolist() == ["1", "2"]
    assert parts["train"].item_ids.tolist() == [10, 11]
    before = sources.digest(source, root=tmp_path, copy=tmp_path / "copy")["digest"]
    write(tmp_path / "test.csv", "user,item\n1,12\n")
    assert sources.digest(source, root=tmp_path, copy=tmp_path / "copy")["digest"] != before


def test_a_file_is_read_on_from_the_block_that_was_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS", 2)
    opened, load = list[Path](), table.load_blocks
    monkeypatch.setattr(table, "load_blocks", lambda path, *how: (opened.append(path), load(path, *how))[1])
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"u": [*"aabbc"], "i": [*"xyxyx"]}), path)
    how = TableSource.parse({"kind": "table", "path": path.name, "columns": {"user": "u", "item": "i"}}, "source")
    rows = table.Rows.of(path, how)
    users = [user for block in rows for user in block.user_ids]
    assert users == [*"aabbc"]
    assert len(opened) == 1
    assert [user for block in rows for user in block.user_ids] == users


def test_several_may_read_a_file_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS", 2)
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"u": [*"aabbc"], "i": [*"xyxyx"]}), path)
    how = TableSource.parse({"kind": "table", "path": path.name, "columns": {"user": "u", "item": "i"}}, "source")
    rows = table.Rows.of(path, how)
    for one, other in zip(rows, rows, strict=True):
        assert list(one.user_ids) == list(other.user_ids)
