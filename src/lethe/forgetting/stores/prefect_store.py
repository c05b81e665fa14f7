"""Prefect's home: persisted results, and the database of runs, parameters and logs."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.scan import find_in_row, tables
from lethe.forgetting.stores.stores import Folder, Place, Removed, delete, files_below, size_of


@dataclass(frozen=True)
class PrefectHome:
    """Results go, all of them. Flows are given names and digests alone, so rows that hold a needle are a fault; they go
    as well, and what they were is overwritten. A server is running on the database while this is done."""

    root: Path
    name: str = "prefect"

    def size(self) -> int:
        return size_of(self.root)

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before, gone = size_of(self.root), len(files_below(self.root / "storage"))
        delete(self.root / "storage")
        for path in sorted(self.root.glob("*.db")):
            if any(place.where.startswith(path.name) for place in self.find(needles)):
                gone += _remove_rows(path, needles)
        return Removed(self.name, gone, before - size_of(self.root))

    def find(self, needles: Sequence[Needles]) -> list[Place]:
        return Folder(self.name, self.root).find(needles)


def _remove_rows(path: Path, needles: Sequence[Needles]) -> int:
    """Delete the rows of an SQLite database that hold a needle, overwrite them, and empty the write-ahead log."""
    gone = 0
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("BEGIN IMMEDIATE")
        for table, key, rows in tables(connection):
            held = [row[key] for row in rows if any(find_in_row(row, n) for n in needles)]
            connection.executemany(f'DELETE FROM "{table}" WHERE "{key}" = ?', [(value,) for value in held])
            gone += len(held)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return gone
