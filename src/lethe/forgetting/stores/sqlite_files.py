"""SQLite's files: rows by table, and the bytes of what was deleted from them but not overwritten."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

Row = dict[str, int | float | str | bytes | None]
"""A row, by column."""
MAGIC = b"SQLite format 3\0"
_INTERIOR, _LEAVES = (2, 5), (10, 13)
"""Kinds of b-tree pages."""
_ENCODINGS = {2: "utf-16-le", 3: "utf-16-be"}


@contextmanager
def opened(content: bytes, path: Path | None) -> Iterator[sqlite3.Connection]:
    """A database to read: where it is, with its write-ahead log, or from its bytes alone."""
    if path is not None:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
            yield connection
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        # Without a log beside it one in that mode can't be opened; its two bytes say so.
        connection.deserialize(content[:18] + b"\x01\x01" + content[20:])
        yield connection


def tables(connection: sqlite3.Connection) -> Iterator[tuple[str, str, Iterator[Row]]]:
    """(name, name of the row's number, rows) of every ordinary table of an SQLite database."""
    connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
    for (table,) in names.fetchall():
        quoted = table.replace('"', '""')
        without = connection.execute("SELECT wr FROM pragma_table_list(?)", (table,)).fetchone()
        number = "" if without and without[0] else "rowid AS _rowid_, "
        cursor = connection.execute(f'SELECT {number}* FROM "{quoted}"')
        columns = [column[0] for column in cursor.description]
        rows = (dict(zip(columns, row, strict=True)) for row in cursor)
        yield quoted, "_rowid_" if number else columns[0], rows


def words(connection: sqlite3.Connection) -> list[str]:
    """What tables, columns and the like are called, and what stands in their making; not of a program (Prefect), whose
    steps from version to version are written down there: its words name nobody."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
    if any(name == "alembic_version" for name, _ in rows):
        return []
    return [text for row in rows for text in row if text]


def unused(content: bytes) -> Iterator[bytes]:
    """What no row is in: free pages, and the gaps between the cells of the others; in UTF-8 whatever the database's
    own encoding is."""
    encoding = _ENCODINGS.get(int.from_bytes(content[56:60], "big"))
    for some in _unused(content):
        yield some
        if encoding is not None:  # Where a text begins nobody knows.
            yield from (some[start:].decode(encoding, "replace").encode() for start in (0, 1))


def _unused(content: bytes) -> Iterator[bytes]:
    size = int.from_bytes(content[16:18], "big")
    size = 65536 if size == 1 else size
    if size < 512:
        return
    free = set(_free_pages(content, size))
    for number, start in enumerate(range(0, len(content), size), start=1):
        page = content[start : start + size]
        if number in free:
            yield page
        else:
            yield from _gaps(page, 100 if number == 1 else 0)


def _free_pages(content: bytes, size: int) -> Iterator[int]:
    trunk, seen = int.from_bytes(content[32:36], "big"), set[int]()
    while trunk and trunk not in seen:
        seen.add(trunk)
        page = content[(trunk - 1) * size : trunk * size]
        yield trunk
        count = min(int.from_bytes(page[4:8], "big"), size // 4)
        yield from (int.from_bytes(page[8 + 4 * n : 12 + 4 * n], "big") for n in range(count))
        trunk = int.from_bytes(page[:4], "big")


def _gaps(page: bytes, header: int) -> Iterator[bytes]:
    kind = page[header] if len(page) > header + 8 else 0
    if kind not in (*_INTERIOR, *_LEAVES):
        return
    cells = int.from_bytes(page[header + 3 : header + 5], "big")
    first = int.from_bytes(page[header + 5 : header + 7], "big") or 65536
    yield page[header + (12 if kind in _INTERIOR else 8) + 2 * cells : first]
    block, seen = int.from_bytes(page[header + 1 : header + 3], "big"), set[int]()
    while block and block not in seen:
        seen.add(block)
        yield page[block + 4 : block + int.from_bytes(page[block + 2 : block + 4], "big")]
        block = int.from_bytes(page[block : block + 2], "big")
