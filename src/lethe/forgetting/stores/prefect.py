"""Prefect's home: persisted results, and the database of runs, parameters and logs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lethe.forgetting.stores.base import Folder, Found, Removed, Site, bytes_of, delete, files_below, size_of
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.parts import of_record
from lethe.forgetting.stores.scan import find_in_parts
from lethe.forgetting.stores.sqlite_files import tables


@dataclass(frozen=True)
class PrefectHome:
    """Results go, all of them. Flows are given names and digests alone, so rows that hold a needle are a fault; they go
    as well, and what they were is overwritten. A server is running on the database while this is done."""

    root: Path
    name: str = "prefect"

    def size(self) -> int:
        return size_of(self.root)

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        results = files_below(self.root / "storage")
        rows = sum(len(keys) for path in self._databases(needles) for _, _, keys in _held_rows(path, needles))
        return Removed(self.name, len(results) + rows, bytes_of(results))

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before, gone = size_of(self.root), len(files_below(self.root / "storage"))
        delete(self.root / "storage")
        gone += sum(_remove_rows(path, needles) for path in self._databases(needles))
        return Removed(self.name, gone, before - size_of(self.root))

    def find(self, needles: Sequence[Needles]) -> Found:
        return Folder(self.name, self.root).find(needles)

    def _databases(self, needles: Sequence[Needles]) -> list[Path]:
        """The databases that hold a needle, be it in their logs."""
        holding = [path.name for path in Folder(self.name, self.root).holding(needles)]
        return [path for path in sorted(self.root.glob("*.db")) if any(name.startswith(path.name) for name in holding)]


def _held_rows(path: Path, needles: Sequence[Needles]) -> Iterator[tuple[str, str, list[object]]]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
        yield from _holding(connection, needles)


def _holding(connection: sqlite3.Connection, needles: Sequence[Needles]) -> Iterator[tuple[str, str, list[object]]]:
    """(table, name of the row's number, numbers of the rows that hold a needle)."""
    for table, key, rows in tables(connection):
        yield table, key, [row[key] for row in rows if find_in_parts(of_record(row), needles)]


def _remove_rows(path: Path, needles: Sequence[Needles]) -> int:
    """Delete the rows of an SQLite database that hold a needle, overwrite what they and earlier ones were, and empty
    the write-ahead log."""
    gone = 0
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("BEGIN IMMEDIATE")
        for table, key, held in list(_holding(connection, needles)):
            connection.executemany(f'DELETE FROM "{table}" WHERE "{key}" = ?', [(value,) for value in held])
            gone += len(held)
        connection.execute("COMMIT")
        # Prefect itself deletes without overwriting.
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return gone


def stores(site: Site) -> list[PrefectHome]:
    return [PrefectHome(site.workspace.prefect_home)]
