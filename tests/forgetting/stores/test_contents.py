"""Compressed and binary files are opened, or named as not searched."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow.feather import write_feather
from pyarrow.parquet import ParquetFile, write_table
from safetensors.numpy import save as tensors
from safetensors.numpy import save_file

from lethe.forgetting.stores import contents
from lethe.forgetting.stores.base import Folder
from lethe.forgetting.stores.contents import DEEPEST
from lethe.forgetting.stores.held import StillHeld
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.parts import Columns, Part, Strings, of_strings, of_texts
from lethe.forgetting.stores.scan import look
from lethe.tables.columns import write_parquet

LONG, SHORT = "canary-person", "42"
NEEDLES = [Needles("ml", users=frozenset({LONG, SHORT}))]
TEXT = f"asked by {LONG}, twice"


def zipped(name: str, content: bytes | str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def nested(depth: int) -> bytes:
    content = TEXT.encode()
    for _ in range(depth):
        content = gzip.compress(content)
    return content


def array(path: Path, **arrays: np.ndarray) -> None:
    np.savez_compressed(path, **arrays)


def table(path: Path, kind: pa.DataType) -> None:
    write_parquet(pa.table({"user": pa.array([1, 42], pa.int64()).cast(kind)}), path)


def arrows(path: Path, rows: pa.Table) -> None:
    with pa.ipc.new_stream(path, rows.schema) as writer:
        writer.write_table(rows)


def one_row(path: Path, table: str, value: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(table)
        connection.execute(f"INSERT INTO t ({table.split('(')[1].split()[0].rstrip(',')}) VALUES (?)", (value,))


MAP = pa.map_(pa.string(), pa.string())
OPENED: dict[str, Callable[[Path], object]] = {
    "service.log.gz": lambda p: p.write_bytes(gzip.compress(TEXT.encode())),
    "service.log.bz2": lambda p: p.write_bytes(bz2.compress(TEXT.encode())),
    "service.log.xz": lambda p: p.write_bytes(lzma.compress(TEXT.encode())),
    "service.log.zst": lambda p: p.write_bytes(pa.compress(TEXT.encode() * 9, codec="zstd", asbytes=True)),
    "answers.zip": lambda p: p.write_bytes(zipped("answers.csv", "k,user\n1,42\n")),
    "named.zip": lambda p: p.write_bytes(zipped(f"about-{LONG}.txt", "nothing in it")),
    "folder.tar.gz": lambda p: p.write_bytes(tarred("a/answer.json", b'{"user_id": 42}')),
    "deepest.gz": lambda p: p.write_bytes(nested(DEEPEST)),
    "rows.npz": lambda p: array(p, user=np.array([1, 42])),
    "names.npz": lambda p: array(p, anything=np.array(["x", LONG])),
    "one.npy": lambda p: np.save(p, np.array([LONG, "x"])),
    "utf16.csv": lambda p: p.write_text("user\n42\n", encoding="utf-16"),
    "bytes.safetensors": lambda p: save_file({"names": np.frombuffer(f"x\0{LONG}".encode(), np.uint8)}, p),
    "half.safetensors": lambda p: save_file({"user_ids": np.array([1, 42], np.int16), "w": np.zeros(3, np.float16)}, p),
    "said.safetensors": lambda p: save_file({"w": np.zeros(2, np.float32)}, p, metadata={"of": LONG}),
    "latin.log": lambda p: p.write_bytes(f"\xe9\xff {LONG}".encode("latin-1")),
    "repeated-names.json": lambda p: p.write_text('{"user_id": "42", "user_id": "7"}'),
    "camel.json": lambda p: p.write_text('{"userId": 42}'),
    "keyed.json": lambda p: p.write_text('{"user": {"42": {"k": 1}}}'),
    "log-with-records.log": lambda p: p.write_text('begun\n{"user": 42}\n'),
    "link.log": lambda p: p.write_text(f"GET /recommend?user={LONG}%20&k=3"),
    "escaped.log": lambda p: p.write_text(f"said {json.dumps(f'a{chr(10)}{LONG}')} in {{"),
    "semicolons.csv": lambda p: p.write_text("k;user\n1;42\n"),
    "uint64.parquet": lambda p: table(p, pa.uint64()),
    "float.parquet": lambda p: table(p, pa.float64()),
    "text.parquet": lambda p: table(p, pa.string()),
    "categories.parquet": lambda p: write_parquet(pa.table({"user": pa.array(["1", "42"]).dictionary_encode()}), p),
    "lists.parquet": lambda p: write_parquet(pa.table({"user_ids": pa.array([[1], [42, 7]])}), p),
    "views.parquet": lambda p: write_table(pa.table({"note": pa.array([LONG, "x"]).cast(pa.string_view())}), p),
    "fixed.parquet": lambda p: write_table(pa.table({"note": pa.array([LONG.encode()], pa.binary(len(LONG)))}), p),
    "values.parquet": lambda p: write_table(pa.table({"note": pa.array(['{"user": 42}'], pa.json_())}), p),
    "maps.parquet": lambda p: write_table(pa.table({"said": pa.array([[("user_id", "42")]], MAP)}), p),
    "who.parquet": lambda p: write_table(pa.table({"user": pa.array([{"id": 42}])}), p),
    "lists-of-who.parquet": lambda p: write_table(pa.table({"user": pa.array([[{"id": 42}]])}), p),
    "lists-of-lists.parquet": lambda p: write_table(pa.table({"user": pa.array([[[1, 42]]])}), p),
    "a-column-each.parquet": lambda p: write_table(pa.table({LONG: [5, 0]}), p),
    "told.parquet": lambda p: write_table(
        pa.table([[1]], pa.schema([pa.field("a", pa.int64(), True, {"of": LONG})])), p
    ),
    "who.feather": lambda p: write_feather(pa.table({"customer_id": [1, 42]}), p),
    "who.arrows": lambda p: arrows(p, pa.table({"user": [1, 42]})),
    "UPPER.CSV": lambda p: p.write_text("k,user\n1,42\n"),
    "tabs.txt": lambda p: p.write_text("k\tuser\n1\t42\n"),
    "customers.dat": lambda p: p.write_text('"k";"customer_id"\n"1";"42"\n'),
    "one-column": lambda p: p.write_text("user_id\n7\n42\n", encoding="utf-16"),
    "blanks.csv": lambda p: p.write_text("k, user\n1, 42\n"),
    "fractions.csv": lambda p: p.write_text("k,user\n1,42.0\n2,\n"),
    "cp1252.csv": lambda p: p.write_bytes("k,user,name\n1,42,Ren\xe9\n".encode("cp1252")),
    "fractions.json": lambda p: p.write_text('{"user_id": 42.0}'),
    "customers.json": lambda p: p.write_text('{"orders": [{"customer_id": 42, "total": 3}]}'),
    "customers.jsonl": lambda p: p.write_text('{"order": {"customer": {"id": 42}}}\n{"order": null}\n'),
    "listed.json": lambda p: p.write_text('{"memberIds": [7, 42]}'),
    "who.json": lambda p: p.write_text('{"user": {"id": 42}}'),
    "whos.json": lambda p: p.write_text('{"reviewer": [{"id": 7}, {"_id": 42}]}'),
    "utf16-unmarked.txt": lambda p: p.write_text(TEXT, encoding="utf-16-le"),
    "utf32.txt": lambda p: p.write_text(TEXT, encoding="utf-32"),
    "customers.sqlite": lambda p: one_row(p, "CREATE TABLE t (customer_id INTEGER)", 42),
    "fractions.sqlite": lambda p: one_row(p, "CREATE TABLE t (user REAL)", 42),
    "bytes.sqlite": lambda p: one_row(p, "CREATE TABLE t (user BLOB)", b"42"),
    "named.sqlite": lambda p: one_row(p, f'CREATE TABLE t (user, "{LONG}" DEFAULT 0)', None),
    "records.parquet": lambda p: write_parquet(pa.table({"answer": pa.array([{"user_id": 42}])}), p),
}


@pytest.mark.parametrize("name", OPENED)
def test_it_is_opened(name: str, tmp_path: Path) -> None:
    OPENED[name](tmp_path / name)
    assert look(tmp_path / name, NEEDLES).kind in ("text", "user id")
    assert look(tmp_path / name, [Needles("ml", users=frozenset({"another-person", "43"}))]).kind is None


def twice() -> bytes:
    file = io.BytesIO()
    write_table(pa.table([pa.array([1]), pa.array([2])], names=["user", "user"]), file)
    return file.getvalue()


BROKEN = {
    "cut.gz": gzip.compress(TEXT.encode() * 50)[:-20],
    "cut.zip": zipped("a.csv", TEXT)[:-10],
    "cut.npz": b"PK\x03\x04 and nothing of the kind",
    "cut.sqlite": b"SQLite format 3\0 and nothing of the kind",
    "cut.safetensors": tensors({"w": np.arange(4)})[:-1],
    "longer.safetensors": tensors({"w": np.arange(4)}) + LONG.encode(),
    "said.safetensors": (2).to_bytes(8, "little") + b"[]",
    "twice.parquet": twice(),
    "cut.xz": lzma.compress(TEXT.encode())[:-10],
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cant_be_read_counts_as_found(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    assert look(tmp_path / name, NEEDLES).kind == "unreadable"


AS_TEXT = "its bytes are searched as text, its columns are not read"
NOT_OPENED = {
    "too-deep.gz": (nested(DEEPEST + 1), "archives deeper than 3 are not opened"),
    "rows.7z": (b"7z\xbc\xaf'\x1c" + bytes(20), "7z archive, which can't be opened"),
    "rows.orc": (b"ORC" + bytes(20), f"ORC file: {AS_TEXT}"),
    "rows.h5": (b"\x89HDF\r\n" + bytes(20), f"HDF5 file: {AS_TEXT}"),
    "rows.pkl": (b"\x80\x05\x95" + bytes(20), f"pickle: {AS_TEXT}"),
    "rows.xlsx": (
        zipped("xl/workbook.xml", "<c><v>42</v></c>"),
        "a workbook: its texts are searched, numbers in its cells are not told apart",
    ),
    "no-head.csv": (
        b"41,7\n42,8\n43,9\n",
        "a table without names of its columns: ids in it are searched as text",
    ),
    "rows.zip": (zipped("rows.rar", b"Rar!\x1a\x07" + bytes(20)), "rar archive, which can't be opened"),
}


@pytest.mark.parametrize("name", NOT_OPENED)
def test_what_is_not_opened_is_named(name: str, tmp_path: Path) -> None:
    content, reason = NOT_OPENED[name]
    (tmp_path / name).write_bytes(content)
    found = Folder("reports", tmp_path).find(NEEDLES)
    assert found.places == ()
    assert [str(place) for place in found.not_searched] == [f"{name}: {reason}"]


def test_what_is_written_otherwise_is_no_finding_where_somebody_else_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("user\n42.0\n 42\n")
    (tmp_path / "counts.json").write_text('{"customers": 42, "members": 42, "user_count": 42, "account": {"age": 42}}')
    others = [Needles("ml", users=frozenset({"42"}), held=StillHeld.of(users=["42.0", " 42"]))]
    assert look(tmp_path / "rows.csv", others).kind is None
    assert look(tmp_path / "counts.json", others).kind is None


def test_a_context_or_feature_that_is_called_like_people_holds_none(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"situations": {"client": "42", "reader": {"42": 1}}}')
    plain = StillHeld.of()
    said = replace(plain, fields=frozenset({"client", "reader"}))
    assert look(tmp_path / "package.json", [Needles("ml", users=frozenset({"42"}), held=plain)]).kind == "user id"
    assert look(tmp_path / "package.json", [Needles("ml", users=frozenset({"42"}), held=said)]).kind is None


def test_words_of_a_programs_own_database_name_nobody(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "prefect.db")) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num)")
        connection.execute("CREATE TABLE automation (a, b)")
        connection.execute("INSERT INTO automation VALUES (1, 'of nobody')")
    assert look(tmp_path / "prefect.db", [Needles("ml", users=frozenset({"automation"}))]).kind is None


@pytest.mark.parametrize("name", ["rows.csv", "rows.json", "rows.parquet"])
def test_an_interaction_is_found_beside_things_in_other_words(name: str, tmp_path: Path) -> None:
    rows = [{"customer_id": 41.0, "product_id": 7}, {"customer_id": 42.0, "product_id": 8}]
    write = {
        "rows.csv": lambda p: p.write_text("customer_id,product_id\n41.0,7\n42.0,8\n"),
        "rows.json": lambda p: p.write_text(json.dumps(rows)),
        "rows.parquet": lambda p: write_table(pa.Table.from_pylist(rows), p),
    }
    write[name](tmp_path / name)
    pair = frozenset({("42", "8")})
    assert look(tmp_path / name, [Needles("ml", pairs=pair)]).kind == "interaction"
    assert look(tmp_path / name, [Needles("ml", pairs=frozenset({("42", "7")}))]).kind is None


def test_an_encrypted_archive_and_one_too_large_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(zipped("rows.csv", TEXT))
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        content[content.index(mark) + (6 if mark.endswith(b"\x04") else 8)] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    assert look(tmp_path / "a.zip", NEEDLES).not_searched == ("encrypted archives can't be opened",)
    monkeypatch.setattr(contents, "LARGEST", 100)
    (tmp_path / "b.gz").write_bytes(gzip.compress(bytes(101)))
    assert look(tmp_path / "b.gz", NEEDLES).not_searched == ("compressed files of more than 100 bytes are not opened",)


# --- SQLite ------------------------------------------------------------------------------------------------------


def database(path: Path, *, secure: bool, wal: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA secure_delete = {'ON' if secure else 'OFF'}")
    connection.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}")
    connection.execute("CREATE TABLE t (who TEXT, filler TEXT)")
    rows = [(f"person-{number}", "x" * 400) for number in range(60)]
    connection.executemany("INSERT INTO t VALUES (?, ?)", [*rows, (LONG, "y" * 400), *rows])
    return connection


@pytest.mark.parametrize("all_rows", [False, True], ids=["a gap in a page", "free pages"])
def test_what_sqlite_deleted_but_did_not_overwrite_is_found(all_rows: bool, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    where = "" if all_rows else f" WHERE who = '{LONG}'"
    with closing(database(path, secure=False)) as connection:
        assert look(path, NEEDLES).kind == "text"
        connection.execute(f"DELETE FROM t{where}")
        assert LONG.encode() in path.read_bytes()
        assert look(path, NEEDLES).kind == "text"
        connection.execute("VACUUM")
        assert look(path, NEEDLES).kind is None
    with closing(database(tmp_path / "secure.db", secure=True)) as connection:
        connection.execute(f"DELETE FROM t{where}")
        assert look(tmp_path / "secure.db", NEEDLES).kind is None


def test_what_sqlite_deleted_is_found_in_its_own_encoding(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "rows.db")) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("PRAGMA encoding = 'UTF-16'")
        connection.execute("CREATE TABLE t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", [(LONG,), ("x",)])
        connection.commit()
        connection.execute("DELETE FROM t WHERE a = ?", (LONG,))
        connection.commit()
    assert look(tmp_path / "rows.db", NEEDLES).kind == "text"


def test_a_write_ahead_log_is_searched_as_part_of_the_database_and_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with closing(database(path, secure=True, wal=True)) as connection:
        log = path.with_name("runs.db-wal")
        assert look(path, NEEDLES).kind == "text"
        assert look(log, NEEDLES).kind == "text"
        connection.execute(f"DELETE FROM t WHERE who = '{LONG}'")
        assert look(log, NEEDLES).kind == "text", "the log keeps earlier pages"
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert {look(path, NEEDLES).kind, look(log, NEEDLES).kind} == {None}


def test_a_database_in_an_archive_is_opened(tmp_path: Path) -> None:
    with closing(database(tmp_path / "runs.db", secure=True, wal=True)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (tmp_path / "runs.zip").write_bytes(zipped("runs.db", (tmp_path / "runs.db").read_bytes()))
    assert look(tmp_path / "runs.zip", NEEDLES).kind == "text"


def test_a_person_who_is_an_item_is_found_where_items_stand(tmp_path: Path) -> None:
    needles = [Needles("ml", items=frozenset({SHORT}))]
    write_parquet(pa.table({"user": [42, 1], "item": [7, 42]}), tmp_path / "rows.parquet")
    write_parquet(pa.table({"id": [7, 42]}), tmp_path / "items.parquet")
    write_parquet(pa.table({"user": [42, 1], "item": [7, 8]}), tmp_path / "other.parquet")
    (tmp_path / "answer.json").write_text('{"item_ids": [42]}')
    for name in ("rows.parquet", "items.parquet", "answer.json"):
        assert look(tmp_path / name, needles).kind == "item id"
    assert look(tmp_path / "other.parquet", needles).kind is None


def test_a_table_that_is_there_twice_is_decoded_once_and_found_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    read = contents.StoredTable
    monkeypatch.setattr(contents, "StoredTable", lambda content: decoded.append(1) or read(content))
    for name in ("rows.parquet", "copy", "users.parquet"):
        write_parquet(pa.table({"id": [42, 1]}), tmp_path / name)
    needles = [Needles("ml", users=frozenset({SHORT}))]
    assert [look(tmp_path / name, needles).kind for name in ("rows.parquet", "copy")] == [None, None]
    assert len(decoded) == 1
    assert look(tmp_path / "users.parquet", needles).kind == "user id", "its name says that its ids are of people"
    assert look(tmp_path / "rows.parquet", [Needles("ml", texts=frozenset({"x1"}))]).kind is None
    assert len(decoded) == 3


def test_what_is_there_twice_is_searched_once_but_not_by_its_name_or_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    of_array = contents._of_array
    monkeypatch.setattr(contents, "_of_array", lambda name, array: opened.append(name) or of_array(name, array))
    needles, digest = [Needles("ml", users=frozenset({SHORT}), digests=frozenset({"d" * 64}))], "d" * 64
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "numbers.npy", [1, 42])
        (tmp_path / folder / "record").write_text(digest)
    assert [look(tmp_path / folder / "numbers.npy", needles).kind for folder in ("first", "second")] == [None, None]
    assert len(opened) == 1
    (tmp_path / "first" / "numbers.npy").rename(tmp_path / "first" / "user.npy")
    assert look(tmp_path / "first" / "user.npy", needles).kind == "user id", "its name says whose numbers they are"
    assert look(tmp_path / "second" / "record", needles).kind is None
    assert look(tmp_path / "first" / "record", needles, digests_as_text=True).kind == "digest"


def test_texts_of_a_column_fall_into_the_parts_that_texts_one_by_one_do() -> None:
    texts = ["", "a b", '{"user": "42"}', "[no JSON", "é", '["x"]']

    def of(parts: Iterable[Part]) -> tuple[set[bytes], list[object]]:
        parts = list(parts)
        words = {word for part in parts if isinstance(part, Strings) for word in part.joined.split(b"\0")}
        return words - {b""}, [part.users.to_pylist() for part in parts if isinstance(part, Columns)]

    assert of(of_texts(pa.array(texts))) == of(of_strings(texts))
    assert of(of_texts(pa.array([], pa.string()))) == (set(), [])


def test_numbers_of_a_table_are_decoded_once_for_its_digest_and_for_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, read = list[str](), ParquetFile.read
    monkeypatch.setattr(ParquetFile, "read", lambda file, names: (decoded.extend(names), read(file, names))[1])
    rows = pa.table({"user": ["a", "b"], "item": ["c", "d"], "rating": np.float32([1, 2]), "timestamp": [3, 4]})
    write_parquet(rows, tmp_path / "rows.parquet")
    assert look(tmp_path / "rows.parquet", [Needles("ml", digests=frozenset({"0" * 64}))]).kind is None
    assert sorted(decoded) == ["item", "rating", "timestamp", "user"]
    decoded.clear()
    assert look(tmp_path / "rows.parquet", [Needles("ml", texts=frozenset({"x1"}))]).kind is None
    assert sorted(decoded) == ["item", "rating", "timestamp", "user"], "what nobody could decode counts as found"
