"""A folder of Parquet files that is one table: nothing of it is lost, read twice, or altered."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lethe.config.table import FileFormat
from lethe.data.sources import files
from lethe.data.sources.find_columns import head_of
from lethe.data.sources.parquet import other_files, parquet_files
from lethe.errors import DataError


def write(path: Path, **columns: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def read(folder: Path, *names: str) -> dict[str, list[object]]:
    return files.load(folder, names, FileFormat()).to_pydict()


@pytest.mark.parametrize("name", ["b.PARQUET", "b.parq", "b.pq", "part-00000", "deep/b.parquet", "_day=1/b.parquet"])
def test_every_file_of_parquet_is_read(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.parquet", user=[1])
    write(tmp_path / name, user=[2])
    assert sorted(read(tmp_path, "user")["user"]) == [1, 2]


@pytest.mark.parametrize("name", ["_temporary/0/b.parquet", ".ipynb_checkpoints/b.parquet", ".b.parquet", "_b.parquet"])
def test_what_is_hidden_is_not_read_twice(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.parquet", user=[1])
    write(tmp_path / name, user=[1])
    assert read(tmp_path, "user") == {"user": [1]}
    assert other_files(tmp_path, parquet_files(tmp_path)) == []


@pytest.mark.parametrize(
    ("sign", "lake"), [("_delta_log/0.json", "Delta"), ("metadata/v1.metadata.json", "Iceberg"), (".hoodie/x", "Hudi")]
)
def test_a_table_whose_files_hold_deleted_rows_is_refused(tmp_path: Path, sign: str, lake: str) -> None:
    write(tmp_path / "data" / "a.parquet", user=[1])
    (tmp_path / sign).parent.mkdir()
    (tmp_path / sign).touch()
    with pytest.raises(DataError, match=f"is a table of {lake}, whose files also hold rows that were deleted"):
        parquet_files(tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (pa.array([7]), pa.array(["007"]), ["7", "007"]),
        (pa.array(["007"]), pa.array([7]), ["007", "7"]),
        (pa.array([7], pa.int32()), pa.array([2**40]), [7, 2**40]),
        (pa.array([2**63], pa.uint64()), pa.array([-7]), [str(2**63), "-7"]),
        (pa.array(["u7"]).dictionary_encode(), pa.array(["u8"]), ["u7", "u8"]),
        (pa.array([None]), pa.array(["u8"]), [None, "u8"]),
    ],
)
def test_ids_of_files_with_other_types_stay_what_they_are(
    tmp_path: Path, first: pa.Array, second: pa.Array, both: list[object]
) -> None:
    write(tmp_path / "a.parquet", user=first, item=[1])
    write(tmp_path / "b.parquet", item=[2], user=second)
    assert read(tmp_path, "user", "item") == {"user": both, "item": [1, 2]}


def test_types_that_nothing_holds_are_told_with_their_files(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", at=pa.array([1], pa.timestamp("s")))
    write(tmp_path / "b.parquet", at=["2023"])
    rule = r"column 'at' is of type (timestamp\[ms\]|string) in .\.parquet, and .* in .\.parquet; write it alike in all"
    with pytest.raises(DataError, match=rule):
        read(tmp_path, "at")


@pytest.mark.parametrize("other", [pa.array([1.0]), pa.array([Decimal(1)])], ids=["double", "decimal"])
def test_a_value_that_the_type_of_all_files_does_not_hold_is_told_with_its_file(
    tmp_path: Path, other: pa.Array
) -> None:
    write(tmp_path / "a.parquet", user=[2**60 + 1])
    write(tmp_path / "b.parquet", user=other)
    with pytest.raises(
        DataError, match=r"'user' is of type int64 in a\.parquet, and the .* doesn't hold all its values"
    ):
        read(tmp_path, "user")


def test_the_name_of_a_folder_is_text_to_the_letter(tmp_path: Path) -> None:
    for place, said in enumerate(["007", "7", "a%20b", "__HIVE_DEFAULT_PARTITION__"]):
        write(tmp_path / f"user={said}" / "a.parquet", item=[place])
    assert sorted(read(tmp_path, "user", "item")["user"], key=str) == ["007", "7", None, "a b"]
    assert head_of(tmp_path, {})[0] == ["item", "user"]


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "user=1" / "a.parquet", user=[2], item=[3])
    assert read(tmp_path, "item") == {"item": [3]}
    with pytest.raises(DataError, match="column 'user' is in a file and in the name of its folder"):
        read(tmp_path, "user")


def test_a_first_file_without_rows_or_columns_hides_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", user=pa.array([], pa.int64()))
    write(tmp_path / "b.parquet", user=[1], rating=[5])
    assert head_of(tmp_path, {}) == (["user", "rating"], [["1", "5"]])
    assert read(tmp_path, "rating") == {"rating": [5]}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", user=[1])
    path = write(tmp_path / "b.parquet", user=list(range(1000)))
    content = path.read_bytes()
    path.write_bytes(content[:40] + b"\xff" * 200 + content[240:])
    with pytest.raises(DataError, match=r"b\.parquet: as Parquet, it is not readable; save it again"):
        read(tmp_path, "user")
    with pytest.raises(DataError, match=r"^b\.parquet: as Parquet, it is not readable"):
        head_of(path, {})
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"b\.parquet: as Parquet, it is not readable"):
        read(tmp_path, "user")
