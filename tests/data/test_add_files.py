"""``lethe data add``, files: every shape of CSV is read, or refused with the option that reads it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lethe.config.params import Params
from lethe.config.reading import Reading
from lethe.config.table import TableFormat
from lethe.core.workspace import Workspace
from lethe.data.add import read_new
from lethe.data.ingest import ingest
from lethe.data.sources import table as table_source
from lethe.data.sources.find_columns import find_columns
from lethe.errors import ConfigError, DataError
from tests.data.made_sources import ROWS, add, expected, table


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({}, {}),
        ({"end": "\r\n"}, {}),
        ({"end": "\r"}, {}),
        ({"encoding": "utf-8-sig"}, {}),
        ({"encoding": "utf-16"}, {"encoding": "utf-16"}),
        ({"encoding": "utf-16-le"}, {"encoding": "utf-16-le"}),
        ({"encoding": "utf-16-be"}, {"encoding": "utf-16-be"}),
        ({"encoding": "utf-32"}, {"encoding": "utf-32"}),
        ({"separator": ";"}, {"separator": ";"}),
        ({"separator": "\t"}, {"separator": "\t"}),
        ({"separator": "|"}, {"separator": "|"}),
        ({"separator": "::"}, {"separator": "::"}),
        ({"separator": " "}, {"separator": " "}),
        ({"separator": "~"}, {"separator": "~"}),
        ({"separator": ":"}, {"separator": ":"}),
        ({"separator": "||"}, {"separator": "||"}),
        ({"separator": "|~|"}, {"separator": "|~|"}),
        ({"separator": ";", "time": lambda t: f"{t},0"}, {"separator": ";"}),
        # A mark that stands in every line but not between columns.
        ({"header": "user,item,rating (1:5),timestamp", "rating": lambda r: f"{r}"}, None),
        ({"separator": ", "}, {"trim": True}),
        ({"separator": " ; "}, {"separator": ";", "trim": True}),
        ({"separator": ";", "before": ["sep=;"]}, {"separator": ";", "ignore_lines": ["sep="]}),
        ({"separator": ";", "before": ["sep=;"], "end": "\r\n"}, {"separator": ";", "ignore_lines": ["sep="]}),
        ({"separator": ";", "rating": lambda r: f"{r},0"}, {"separator": ";", "decimal": ","}),
        ({"rating": lambda r: f'"{r},0"'}, {"decimal": ","}),
        ({"rating": lambda r: f"{r}.0"}, {}),
        ({"user": lambda u: f'"{u}"', "item": lambda i: f'"{i}"'}, {}),
        ({"user": lambda u: f'" {u}"', "separator": ", "}, {"trim": True}),
    ],
)
def test_shapes_that_are_read(
    tiny: Workspace, tmp_path: Path, written: dict[str, Any], told: dict[str, Any] | None
) -> None:
    columns = {"rating": "rating (1:5)", "timestamp": "timestamp"} if told is None else None
    added = add(tiny, table(tmp_path / "r.csv", **written), columns)
    assert added.rows.digest() == expected().digest()
    common = {"kind", "path", "columns"}
    assert {k: v for k, v in added.source.items() if k not in common} == {
        **(told or {}),
        "ids": "integer",
        "timestamp_unit": "s",
    }


@pytest.mark.parametrize("separator", [",", "\t", "::", "|", ";"])
def test_a_file_without_names_of_columns_is_read_by_their_places(
    tiny: Workspace, tmp_path: Path, separator: str
) -> None:
    path = table(tmp_path / "u.data", header=None, separator=separator)
    with pytest.raises(DataError, match=r"^u\.data: the first line looks like a row.* give --no-header"):
        add(tiny, path)
    places = {"rating": "3", "timestamp": "4"}
    assert add(tiny, path, places, header=False).rows.digest() == expected().digest()


def test_a_row_in_place_of_a_header_is_not_told(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", header=None, user=lambda u: f"canary{'abcdefghijklmnopqrstuvwxyz'[u]}")
    with pytest.raises(DataError) as caught:
        add(tiny, path)
    assert "canary" not in str(caught.value)
    assert "--no-header" in str(caught.value)


@pytest.mark.parametrize("given", ["\t", "\\t", "tab"])
def test_the_tabulator_may_be_given_as_a_shell_passes_it(tiny: Workspace, tmp_path: Path, given: str) -> None:
    path = table(tmp_path / "r.tsv", separator="\t")
    assert add(tiny, path, separator=given).rows.digest() == expected().digest()


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_western_names_in_an_older_encoding(tiny: Workspace, tmp_path: Path, encoding: str) -> None:
    def name(user: int) -> str:
        return f"{('José', 'Zoë', 'Jürgen', 'Michèle')[user % 4]}{user}"

    added = add(tiny, table(tmp_path / "r.csv", user=name, encoding=encoding))
    assert added.rows.digest() == expected(name).digest()
    assert "--encoding says otherwise" in added.notes


@pytest.mark.parametrize(
    ("encoding", "word"), [("gb18030", "用户编号"), ("shift_jis", "ユーザー"), ("cp1251", "Иванов")]
)
def test_an_encoding_that_is_given_is_taken(tiny: Workspace, tmp_path: Path, encoding: str, word: str) -> None:
    def name(user: int) -> str:
        return f"{word}{user}"

    path = table(tmp_path / "r.csv", user=name, encoding=encoding)
    assert add(tiny, path, encoding=encoding).rows.digest() == expected(name).digest()


@pytest.mark.parametrize(("encoding", "word"), [("gb18030", "用户编号"), ("cp1251", "Иванов")])
def test_an_encoding_that_is_found_is_told(tiny: Workspace, tmp_path: Path, encoding: str, word: str) -> None:
    def name(user: int) -> str:
        return f"{word}{user}"

    added = add(tiny, table(tmp_path / "r.csv", user=name, encoding=encoding))
    assert f"read as {added.source['encoding']}; --encoding says otherwise" in added.notes
    # Every reading keeps the users apart.
    assert len(set(added.rows.user_ids)) == len({user for user, *_ in ROWS})


def test_an_encoding_that_does_not_fit_is_refused(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", user=lambda u: f"José{u}", encoding="cp1252")
    with pytest.raises(DataError, match=r"r\.csv: it is not in utf-8; give the encoding \(--encoding\)$"):
        add(tiny, path, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"encoding: 'klingon' must be an encoding"):
        add(tiny, path, encoding="klingon")


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, table(path.with_name("inner.csv")).read_bytes())
    return path


def packed(path: Path, pack: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(pack(table(path.with_name("inner.csv")).read_bytes()))
    return path


def zstd(content: bytes) -> bytes:
    return pa.compress(content, "zstd", asbytes=True)


def lz4(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("r.csv.gz", gzip.compress),
        ("r.csv.bz2", bz2.compress),
        ("r.csv.xz", lzma.compress),
        ("r.zst", zstd),
        ("r.lz4", lz4),
        ("twice.gz", lambda content: gzip.compress(bz2.compress(content))),
    ],
)
def test_compressed_files(tiny: Workspace, tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    assert add(tiny, packed(tmp_path / name, pack)).rows.digest() == expected().digest()


def test_what_is_packed_in_an_archive_is_unpacked_but_not_for_ever(tiny: Workspace, tmp_path: Path) -> None:
    content = gzip.compress(table(tmp_path / "inner.csv").read_bytes())
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.writestr("a.csv.gz", content)
        archive.writestr("b.txt", "no rows")
    deep = content
    for _ in range(9):
        deep = gzip.compress(deep)
    (tmp_path / "deep.gz").write_bytes(deep)
    with pytest.raises(DataError, match=r"deep\.gz: it is packed more than 3 times; unpack it"):
        add(tiny, tmp_path / "deep.gz")
    assert add(tiny, tmp_path / "r.zip", member="a.csv.gz").rows.digest() == expected().digest()


def test_archives(tiny: Workspace, tmp_path: Path) -> None:
    several = zipped(tmp_path / "two.zip", "a.csv", "b/c.csv")
    with pytest.raises(DataError, match=r"two\.zip: the archive holds 2 files \(a\.csv, b/c\.csv\).*give --member"):
        add(tiny, several)
    assert add(tiny, several, member="b/c.csv").rows.digest() == expected().digest()


def tarred(path: Path, mode: str, *names: str) -> Path:
    inner = table(path.with_name("inner.csv"))
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name in names:
            archive.add(inner, name)
    return path


@pytest.mark.parametrize(("name", "mode"), [("r.tar", "w"), ("r.tar.gz", "w:gz"), ("r.tgz", "w:gz"), ("r.txz", "w:xz")])
def test_a_tar_archive_is_read_where_it_is(tiny: Workspace, tmp_path: Path, name: str, mode: str) -> None:
    assert add(tiny, tarred(tmp_path / name, mode, "./data/ratings.csv", "data/._ratings.csv")).rows.digest() == (
        expected().digest()
    )
    assert not (tmp_path / "data").exists()


def test_a_tar_archive_of_several_files_asks_which(tiny: Workspace, tmp_path: Path) -> None:
    several = tarred(tmp_path / "two.tar", "w", "a.csv", "b/c.csv")
    with pytest.raises(DataError, match=r"two\.tar: the archive holds 2 files \(a\.csv, b/c\.csv\).*give --member"):
        add(tiny, several)
    whole = several.read_bytes()
    several.write_bytes(whole[:700])
    with pytest.raises(DataError, match=r"two\.tar: the archive is damaged"):
        add(tiny, several, member="a.csv")
    several.write_bytes(whole)
    assert add(tiny, several, member="b/c.csv").rows.digest() == expected().digest()


def test_columns_that_nobody_named_are_mentioned(tiny: Workspace, tmp_path: Path) -> None:
    added = add(tiny, table(tmp_path / "r.csv"), {"timestamp": "-"})
    assert added.notes == "r.csv: column 'rating' is not read; --rating-column rating reads it as the rating"


def test_an_archive_of_one_file(tiny: Workspace, tmp_path: Path) -> None:
    assert add(tiny, zipped(tmp_path / "one.zip", "ratings.csv")).rows.digest() == expected().digest()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x05\x06" + bytes(18), "the archive holds no file"),
        (b"PK\x03\x04 broken", "the archive is damaged"),
        (b"\x1f\x8b broken", "the compressed file is damaged"),
        (b'{"user": 1, "item": 2}\n', "is JSON; save it as CSV or Parquet"),
        (b'[\n {"user": 1}]', "is JSON"),
        (b"SQLite format 3\x00" + bytes(80), "is an SQLite database"),
        (b"\xd0\xcf\x11\xe0" + bytes(80), "is an Excel file"),
        (b"user\0\0\0\0item" + bytes(range(128, 256)), "is no text"),
        (b"PAR1 broken", "as Parquet, it is not readable"),
        (b"just\nsome\nlines\n", "its lines have one column, and user and item are two"),
        (b"a,b\nc;d;e\nf g h i\n", "no separator gives its lines the same number of columns; give --separator"),
        (b"user,item,item,time\n1,2,3,4\n5,6,7,8\n", "column 'item' is there 2 times; rename all but one"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(80), "is a 7z archive"),
        (b"Rar!\x1a\x07\x00" + bytes(80), "is a RAR archive"),
        (b"\x89HDF\r\n" + bytes(80), "is an HDF5 file"),
        (b"\x80\x04\x95" + bytes(80), "is a pickle"),
        (b"<!DOCTYPE html><table></table>", "is a web page or XML"),
    ],
)
def test_what_is_no_table_is_named(tiny: Workspace, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "odd.csv").write_bytes(content)
    before = tiny.params.read_bytes()
    with pytest.raises(DataError, match=r"^odd\.csv: ") as caught:
        add(tiny, tmp_path / "odd.csv", {})
    assert words in str(caught.value)
    assert tiny.params.read_bytes() == before


def test_a_workbook_is_no_archive_of_tables(tiny: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is an Excel file"):
        add(tiny, zipped(tmp_path / "r.xlsx", "xl/workbook.xml", "a.csv"))


@pytest.mark.parametrize("mark", ["#", "%", "//"])
def test_comments_are_left_out_when_it_is_said(tiny: Workspace, tmp_path: Path, mark: str) -> None:
    path = table(tmp_path / "r.csv", before=[f"{mark} made in 2023, by hand"], after=[f"{mark} the end"])
    with pytest.raises(DataError, match=f"--ignore-lines '{mark}'"):
        add(tiny, path)
    assert add(tiny, path, ignore_lines=[mark]).rows.digest() == expected().digest()


@pytest.mark.parametrize("line", ["Total,200,,", "TOTAL,,,", "Summe,200,600,", "总计,200,,1"])
def test_a_total_at_the_end_is_no_row(tiny: Workspace, tmp_path: Path, line: str) -> None:
    begins = line.split(",")[0] + ","
    path = table(tmp_path / "r.csv", after=[line])
    with pytest.raises(DataError, match=f"looks like a total; give --ignore-lines '{begins}'"):
        add(tiny, path)
    assert add(tiny, path, ignore_lines=[begins]).rows.digest() == expected().digest()


def test_a_total_with_fewer_columns_is_told_by_them(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", after=["Total,200"])
    with pytest.raises(DataError, match=r"a row has 2 columns, must be 4; .*--ignore-lines"):
        add(tiny, path)
    assert add(tiny, path, ignore_lines=["Total,"]).rows.digest() == expected().digest()


def test_a_user_whose_name_begins_like_a_total_stays(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", user=lambda u: f"Totally{u}", after=["Total,200,,"])
    assert len(add(tiny, path, ignore_lines=["Total,"]).rows) == len(ROWS)


def test_names_of_columns_are_taken_to_the_letter_and_told(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", header="UserID,ItemID,Rating,Time")
    with pytest.raises(DataError, match=r"column 'user' is missing, it has UserID, ItemID, Rating, Time;.*--user-col"):
        add(tiny, path)
    columns = {"user": "UserID", "item": "ItemID", "rating": "Rating", "timestamp": "Time"}
    assert add(tiny, path, columns).rows.digest() == expected().digest()


def test_quotes_commas_and_line_breaks_in_values(tiny: Workspace, tmp_path: Path) -> None:
    def name(user: int) -> str:
        return f'Smith, {user} "x"\nof York'

    path = table(tmp_path / "r.csv", user=lambda u: '"' + name(u).replace('"', '""') + '"')
    assert add(tiny, path).rows.digest() == expected(name).digest()


def test_params_keep_their_comments_and_layout(tiny: Workspace, tmp_path: Path) -> None:
    text = "# Of the shop.\n" + tiny.params.read_text().replace("seed: 7", "seed: 7  # a prime")
    tiny.params.write_text(text)
    add(tiny, table(tmp_path / "r.csv"))
    new = tiny.params.read_text()
    assert new.startswith("# Of the shop.\n")
    assert "seed: 7  # a prime" in new
    assert [line for line in text.splitlines() if line not in new.splitlines()] == []


@pytest.mark.parametrize("separator", ["\x01", "~", "^"])
def test_a_rare_separator_is_given_or_found(tiny: Workspace, tmp_path: Path, separator: str) -> None:
    path = table(tmp_path / "r.csv", separator=separator)
    given = f"\\x{ord(separator):02x}" if separator == "\x01" else separator
    assert add(tiny, path, separator=given).rows.digest() == expected().digest()


def test_a_title_above_the_names_of_columns(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", before=["Export of our shop"])
    with pytest.raises(DataError, match="give --ignore-lines 'Export of our shop' if it is a title"):
        add(tiny, path)
    with pytest.raises(DataError, match="give --ignore-lines with what it begins with if it is a title"):
        add(tiny, table(tmp_path / "q.csv", before=["7"]))
    assert add(tiny, path, ignore_lines=["Export"]).rows.digest() == expected().digest()


@pytest.mark.parametrize(
    ("written", "places"),
    [
        ({"time": lambda t: f"{t},"}, {"rating": "3", "timestamp": "4"}),
        ({"user": lambda u: f"9,{u}"}, {"user": "2", "item": "3", "rating": "4", "timestamp": "5"}),
    ],
)
def test_rows_with_a_column_more_than_is_named(
    tiny: Workspace, tmp_path: Path, written: dict[str, Any], places: dict[str, str | None]
) -> None:
    path = table(tmp_path / "r.csv", **written)
    with pytest.raises(
        DataError, match="5 columns, of which the first line names 4; give --ignore-lines 'user,' --no-h"
    ):
        add(tiny, path)
    assert add(tiny, path, places, header=False, ignore_lines=["user,"]).rows.digest() == expected().digest()


@pytest.mark.parametrize(
    ("names", "row"),
    [
        (",user,item,rating,timestamp", "{n},{row}"),
        ("user,item,rating,timestamp,", "{row},"),
    ],
)
def test_one_column_may_have_no_name(tmp_path: Path, names: str, row: str) -> None:
    """Row numbers, as data frames write them, and what a separator at the end of each line makes."""
    lines = [row.format(n=n, row=",".join(map(str, values))) for n, values in enumerate(ROWS)]
    path = tmp_path / "r.csv"
    path.write_text("\n".join([names, *lines]))
    columns, found = find_columns(path, {}, {})
    assert columns == {name: name for name in ("user", "item", "rating", "timestamp")}
    assert "header" not in found.options


def test_lines_of_separators_alone(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", after=[",,,", ",,,", ""])
    with pytest.raises(DataError, match="2 rows have no value in any column; give --ignore-lines ',,,'"):
        add(tiny, path)
    assert add(tiny, path, ignore_lines=[",,,"]).rows.digest() == expected().digest()


def test_a_column_that_is_there_twice_is_no_column(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", header="user,item,rating,user")
    with pytest.raises(DataError, match=r"r\.csv: column 'user' is there 2 times; rename all but one$"):
        add(tiny, path, {"rating": "rating"})


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"separator": "¦"}, {"separator": "¦"}),
        ({"separator": "\x1f"}, {"separator": "\x1f"}),
        ({"separator": "  "}, {"separator": "  "}),
        ({"separator": "\t\t"}, {"separator": "\t\t"}),
        ({"separator": ";", "before": ['"sep=;"']}, {"separator": ";", "ignore_lines": ['"sep=']}),
        # A year in the name of a column, and a number: words above numbers are names all the same.
        ({"header": "user,item,rating,timestamp", "user": lambda u: "user" if u == 3 else f"u{u}"}, {"ids": "text"}),
    ],
)
def test_rarer_shapes_that_are_read(
    tiny: Workspace, tmp_path: Path, written: dict[str, Any], told: dict[str, Any]
) -> None:
    added = add(tiny, table(tmp_path / "r.csv", **written))
    assert len(added.rows) == len(ROWS)
    assert {name: added.source[name] for name in told} == told


@pytest.mark.parametrize("name", ["rating_2024", "2024"])
def test_a_column_may_be_named_by_a_year(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / "r.csv", header=f"user,item,{name},timestamp")
    columns, findings = find_columns(path, {}, {})
    assert columns["user"] == "user"
    assert "header" not in findings.options


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0b", "\x1c"])
def test_marks_that_end_lines_elsewhere_may_stand_in_ids(tiny: Workspace, tmp_path: Path, mark: str) -> None:
    path = table(tmp_path / "r.csv", user=lambda u: f"u{mark}{u}")
    assert f"u{mark}7" in add(tiny, path).rows.user_ids


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: [*lines[:90], lines[0], *lines[90:]], "1 rows repeat the names of the columns"),
        (lambda lines: [lines[0], *lines], "1 rows repeat the names of the columns"),
        (lambda lines: ["0,1,2,3", *lines[1:]], "the first line may number the columns, or be a row"),
        (lambda lines: [f'"{line}"' for line in lines], "each of its lines stands in quotes as a whole"),
        (lambda lines: [*lines, "   "], "or --trim where they are blank"),
        (
            lambda lines: [*lines[:5], '"a\\"b",1,2,3', *lines[5:]],
            "a quote inside of a value stands behind a backslash",
        ),
        (
            lambda lines: [",".join(f"'{cell}'" for cell in line.split(",")) for line in lines],
            "all ids stand in quotes",
        ),
        (
            lambda lines: [f"{n} " + "8 9 10 11 12 13 14 15" for n in range(20)],
            "which columns are user and item is not clear",
        ),
        (lambda lines: [lines[0]], "it has no rows"),
        (
            lambda lines: ["1:", *lines[1:99], "2:", *lines[99:]],
            "lines of one column, such as the first, head the rows",
        ),
        (
            lambda lines: ["user," + ",".join(f"item{n}" for n in range(6)), *(f"{n},0,3,0,5,1,0" for n in range(20))],
            "6 columns are called item0 and the like, as in a table with a column for each item; write a row for each",
        ),
        (lambda lines: ["user,item,item_2", *(f"{n},{n},1" for n in range(20))], "may be column 'item' or 'item_2'"),
        (lambda lines: ["user,item", *(f"{n},{n} 4 {n % 7} 8" for n in range(20))], "look like lists of ids"),
    ],
)
def test_shapes_that_are_refused_with_what_to_do(
    tiny: Workspace, tmp_path: Path, change: Callable[[list[str]], list[str]], words: str
) -> None:
    lines = table(tmp_path / "r.csv").read_text().splitlines()
    (tmp_path / "r.csv").write_text("\n".join(change(lines)))
    with pytest.raises(DataError, match=words):
        read_new(tiny, "shop", tmp_path / "r.csv", Reading(assume=True), seed=1)


@pytest.mark.parametrize(
    "other", ["order_id", "sellerId", "shop_no", "quantity", "unitPrice", "Lineitem quantity", "hour", "video_duration"]
)
def test_a_number_of_something_else_is_no_rating(tiny: Workspace, tmp_path: Path, other: str) -> None:
    path = table(tmp_path / "r.csv", header=f"user,item,{other},timestamp")
    new = read_new(tiny, "shop", path, Reading(assume=True), seed=1)
    assert "rating" not in new.section.columns
    assert new.section.positive is None
    assert f"; not read: {other};" in "\n".join(new.notes)


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        (lambda u, i, _, t: (u, t, 30.25 + i, -97.5 - i, i), {"user": "1", "item": "5", "timestamp": "2"}),
        (lambda u, i, _, t: (u, t, i, 0), {"user": "1", "item": "3", "timestamp": "2"}),
        (lambda u, i, r, _: (u, i, r - 9), {"user": "1", "item": "2"}),
    ],
)
def test_places_and_numbers_that_say_nothing_are_no_columns_of_ours(
    tmp_path: Path, row: Callable[[int, int, int, int], tuple[object, ...]], columns: dict[str, str]
) -> None:
    (tmp_path / "r.csv").write_text("".join(",".join(map(str, row(*each))) + "\n" for each in ROWS))
    assert find_columns(tmp_path / "r.csv", {}, {})[0] == columns


def test_a_column_that_counts_the_rows_is_nobody(tmp_path: Path) -> None:
    lines = [f"{place},{user},{item},{time}" for place, (user, item, _, time) in enumerate(ROWS, 1)]
    (tmp_path / "r.csv").write_text("\n".join(lines))
    assert find_columns(tmp_path / "r.csv", {}, {})[0] == {"user": "2", "item": "3", "timestamp": "4"}


def test_a_weight_that_nobody_named_is_told_with_the_columns_that_were_found(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", header="user,item,plays,timestamp")
    notes = "\n".join(read_new(tiny, "shop", path, Reading(assume=True), seed=1).notes)
    assert "column 'plays' is not read; --weight-column plays reads it as the weight" in notes


@pytest.mark.parametrize(("name", "seen"), [("user\u00a0", r"'user\xa0'"), ("u\u200bser", r"'u\u200bser'")])
def test_a_column_whose_name_has_signs_that_cannot_be_seen_is_told_with_them(
    tiny: Workspace, tmp_path: Path, name: str, seen: str
) -> None:
    path = table(tmp_path / "r.csv", header=f"{name},item,rating,timestamp")
    with pytest.raises(DataError, match="column 'user' is missing") as caught:
        add(tiny, path)
    assert seen in str(caught.value)


def test_columns_that_are_numbered_are_read_when_they_are_named(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", header="0,1,2,3")
    reading = Reading({"user": "0", "item": "1", "rating": "2", "timestamp": "3"}, assume=True)
    assert read_new(tiny, "shop", path, reading, seed=1).profile.rows == len(ROWS)


@pytest.mark.parametrize("folder", ["data/shop", "data/shop/raw", "reports", "artifacts", ".lethe"])
def test_a_file_where_lethe_deletes_is_refused(tiny: Workspace, folder: str) -> None:
    (tiny.root / folder).mkdir(parents=True, exist_ok=True)
    path, before = table(tiny.root / folder / "r.csv"), tiny.params.read_bytes()
    with pytest.raises(ConfigError, match=r"^path: r\.csv lies in .*, where Lethe writes and deletes; move it"):
        add(tiny, path)
    assert tiny.params.read_bytes() == before


def test_a_file_of_the_users_beside_the_datasets_is_read(tiny: Workspace) -> None:
    (tiny.root / "data" / "raw").mkdir(parents=True)
    assert add(tiny, table(tiny.root / "data" / "raw" / "r.csv")).source["path"] == "data/raw/r.csv"


def test_few_bytes_of_another_encoding_are_told(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv", user=lambda u: f"Zoë{u}")
    path.write_bytes(path.read_bytes().replace("Zoë7,".encode(), "Zoë7,".encode("latin-1"), 1))
    with pytest.raises(DataError, match="1 of its words are not in utf-8, and the others are; mend them"):
        add(tiny, path)


def test_a_plain_file_may_be_named_like_a_packed_one(tiny: Workspace, tmp_path: Path) -> None:
    assert add(tiny, table(tmp_path / "r.csv.gz")).rows.digest() == expected().digest()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"BZh9 cut", "the compressed file is damaged"),
        (gzip.compress(b"PAR1 and more"), "is a Parquet file that is packed; unpack it"),
        (b"\xef\xbb\xbf\n <html>", "is a web page or XML"),
        (b'\n [\n {"user": 1}]', "is JSON"),
        (b"[[1, 2],\n[3, 4]]", "is JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "is a pointer of Git LFS"),
        (b"MATLAB 5.0 MAT-file" + bytes(200), "is a file of MATLAB"),
        (bytes(8) + b"DUCK" + bytes(200), "is no text"),
        (b"\xef\xbb\xbf\n", "the file is empty"),
        (b"user,item\n1," + b"2" * 5_000_000, "a row is longer than a megabyte"),
        (b"2" * 5_000_000, "its lines have one column"),
    ],
    ids=[
        "cut",
        "packed-parquet",
        "html",
        "json",
        "lists",
        "lfs",
        "matlab",
        "duckdb",
        "empty",
        "long-row",
        "one-column",
    ],
)
def test_what_is_no_table_is_named_whatever_stands_before_it(
    tiny: Workspace, tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "odd.csv").write_bytes(content)
    with pytest.raises(DataError, match=words):
        add(tiny, tmp_path / "odd.csv", {})


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ("xl/workbook.bin", "an Excel file"),
        ("content.xml", "an OpenDocument file"),
        ("word/document.xml", "a Word file"),
    ],
)
def test_documents_of_other_programs_are_no_archives(tiny: Workspace, tmp_path: Path, inside: str, words: str) -> None:
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.writestr("mimetype", "x")
        archive.writestr(inside, "x")
    with pytest.raises(DataError, match=f"is {words}; save it as CSV or Parquet"):
        add(tiny, tmp_path / "r.zip")


def test_what_is_no_file_is_named(tiny: Workspace, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("loop", "does not exist"),
        ("pipe", "is no file and no folder"),
        (".", "has no train.parquet"),
    ):
        with pytest.raises(ConfigError, match=words):
            add(tiny, tmp_path / name)


def test_that_a_link_is_read_by_what_it_leads_to_is_told(tiny: Workspace, tmp_path: Path) -> None:
    """Exports often have one to the newest of them."""
    table(tmp_path / "r-2024.csv")
    (tmp_path / "newest.csv").symlink_to("r-2024.csv")
    added = add(tiny, tmp_path / "newest.csv")
    assert added.source["path"].endswith("r-2024.csv")
    assert (
        "newest.csv: is a link to r-2024.csv, which is read from now on, wherever the link leads later" in added.notes
    )


def test_a_file_that_comes_in_another_encoding_says_so(tiny: Workspace, tmp_path: Path) -> None:
    path = table(tmp_path / "r.csv")
    add(tiny, path)
    table(path, encoding="utf-16")
    with pytest.raises(DataError, match=r"r\.csv: it is not in utf-8; give the encoding"):
        ingest(tiny, Params.read(tiny.params), "shop")


def test_names_of_columns_that_come_again_later_are_no_row(tiny: Workspace, tmp_path: Path) -> None:
    lines = ["user,item", *(f"u{user},i{item}" for user, item, *_ in ROWS)]
    path = tmp_path / "r.csv"
    path.write_text("\n".join(lines))
    columns = {"rating": None, "timestamp": None}
    source = add(tiny, path, columns).source
    path.write_text("\n".join([*lines, *lines]))
    with pytest.raises(DataError, match=r"r\.csv: 1 rows repeat the names of the columns"):
        table_source.read(
            path, TableFormat.parse({n: v for n, v in source.items() if n in TableFormat.model_fields}, "x")
        )


@pytest.mark.parametrize("again", ["User,ITEM", "\ufeffuser,item", " user,item"])
def test_names_of_columns_come_again_in_another_case_or_behind_a_mark(
    tiny: Workspace, tmp_path: Path, again: str
) -> None:
    path = tmp_path / "r.csv"
    path.write_text("\n".join(["user,item", *(f"u{u}user,i{i}" for u, i, *_ in ROWS), again, "u1user,i99"]))
    with pytest.raises(DataError, match=r"r\.csv: 1 rows repeat the names of the columns"):
        add(tiny, path, {"rating": None, "timestamp": None})


@pytest.mark.parametrize("names", ["user,item,rating,title", "user,item,title,rating", "title,user,item,rating"])
def test_rows_inside_of_quotes_are_not_left_out_unsaid(tiny: Workspace, tmp_path: Path, names: str) -> None:
    """A quote that has no other, and further down one more: all between them would be one value."""

    def write(title: Callable[[int], str]) -> Path:
        rows = ({"user": u, "item": i, "rating": r, "title": title(n)} for n, (u, i, r, _) in enumerate(ROWS))
        lines = [",".join(str(row[name]) for name in names.split(",")) for row in rows]
        (tmp_path / "r.csv").write_text("\n".join([names, *lines]))
        return tmp_path / "r.csv"

    columns = {"rating": "rating", "timestamp": None}
    with pytest.raises(DataError, match=r"r\.csv: 10 lines that look like rows stand inside of values in quotes"):
        add(tiny, write(lambda n: {50: '"7 inches', 60: '8"'}.get(n, "some")), columns)
    assert len(add(tiny, write(lambda n: f'"Of {n},\nand 2, 3, 4"'), columns).rows) == len(ROWS)


@pytest.mark.parametrize("name", ["a\nb.csv", "B\udcfccher.csv"])
def test_a_file_whose_name_is_no_text_is_refused(tiny: Workspace, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="path: its name has signs that are no text; rename the file"):
        add(tiny, table(tmp_path / "r.csv").rename(tmp_path / name))
