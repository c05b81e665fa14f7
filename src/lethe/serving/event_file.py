"""The file of the event buffer: SQLite with a write-ahead log, in the project's serving folder.

It knows people by keyed digests alone (see keys.py):

    events     what was done: digests of the user and of the interaction (hex), the item, a rating, the id of the answer
               that it came of, and until when it is kept
    kept_out   digests (bytes, so that a search for the hex of one finds events alone) of whom nothing is taken: who has
               asked to be forgotten, and what the suppression list names
    settings   the fingerprint of the key that all of them were made under

What deletes here overwrites what it deletes, and empties the log.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lethe.core.keys import fingerprint, subject_digest
from lethe.errors import ConfigError

PATIENCE = 60.0
"""Seconds that whoever has the workspace waits for workers."""
_KEY = "key fingerprint"
_TABLES = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset TEXT NOT NULL,
    user_digest TEXT NOT NULL,
    interaction_digest TEXT NOT NULL,
    item TEXT NOT NULL,
    rating REAL,
    recommendation TEXT,
    until REAL NOT NULL
);
CREATE INDEX events_of_user ON events (user_digest, number);
CREATE INDEX events_by_end ON events (until);
CREATE TABLE kept_out (kind TEXT NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (kind, digest)) WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Named:
    """Keyed digests (hex) of what events may be about: users, single interactions, people who are items."""

    users: frozenset[str] = frozenset()
    interactions: frozenset[str] = frozenset()
    items: frozenset[str] = frozenset()

    def __or__(self, other: Named) -> Named:
        return Named(self.users | other.users, self.interactions | other.interactions, self.items | other.items)

    @property
    def rows(self) -> list[tuple[str, bytes]]:
        """Lines of ``kept_out``."""
        kinds = {"user": self.users, "interaction": self.interactions, "item": self.items}
        return [(kind, bytes.fromhex(digest)) for kind, digests in kinds.items() for digest in sorted(digests)]


def make(path: Path) -> None:
    """A buffer into which nothing is taken until ``keep_out`` says of whom ``only`` nothing may be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def keep_out(path: Path, named: Named, *, only: bool = False) -> int:
    """Wipe the events of these and take no more of them; returns how many were wiped. ``only``: of all others they are
    taken, from now on.

    Raises ConfigError, one line, where that can't be done: then nobody may rely on it.
    """
    with _for_owner(path) as connection:
        with transaction(connection):
            if only:
                connection.execute("DELETE FROM kept_out")
                connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_KEY, fingerprint()))
            connection.executemany("INSERT OR IGNORE INTO kept_out VALUES (?, ?)", named.rows)
            wiped = _wipe(connection, named)
        if wiped:
            _leave_no_copies(connection)
    return wiped


def wipe(path: Path, named: Named) -> int:
    """Remove the events of these, and what has been kept long enough, and rewrite the file; returns how many went."""
    if not path.is_file():
        return 0
    with _for_owner(path) as connection:
        with transaction(connection):
            gone = _wipe(connection, named)
            gone += let_go(connection, time.time())
        connection.execute("VACUUM")
        _leave_no_copies(connection)
    return gone


def count(path: Path, named: Named) -> int:
    """How many events of these are kept."""
    if not path.is_file():
        return 0
    with _for_owner(path) as connection:
        return len(_about(connection, named))


def settle(path: Path) -> None:
    """Bring what only the write-ahead log has into the file, for who reads the file's bytes."""
    if path.is_file():
        with _for_owner(path) as connection:
            _leave_no_copies(connection)


def discard(path: Path) -> None:
    """Remove the buffer with all that it holds."""
    for file in files(path):
        file.unlink(missing_ok=True)


def files(path: Path) -> list[Path]:
    """The buffer's file and those that SQLite keeps beside it."""
    return sorted(path.parent.glob(f"{path.name}*"))


# --- for those who take events -----------------------------------------------------------------------------------


def _about(connection: sqlite3.Connection, named: Named) -> list[int]:
    """Numbers of the events of these."""
    rows = connection.execute("SELECT number, user_digest, interaction_digest, dataset, item FROM events").fetchall()
    people = {
        (dataset, item): subject_digest(dataset, item) in named.items
        for _, _, _, dataset, item in (rows if named.items else ())
    }
    return [
        number
        for number, user, interaction, *thing in rows
        if user in named.users or interaction in named.interactions or people.get((thing[0], thing[1]))
    ]


def _wipe(connection: sqlite3.Connection, named: Named) -> int:
    numbers = _about(connection, named)
    connection.executemany("DELETE FROM events WHERE number = ?", ((number,) for number in numbers))
    return len(numbers)


def let_go(connection: sqlite3.Connection, now: float) -> int:
    """Remove what has been kept long enough; returns how many went."""
    return connection.execute("DELETE FROM events WHERE until <= ?", (now,)).rowcount


def is_out(connection: sqlite3.Connection, named: Sequence[tuple[str, str]]) -> bool:
    query = "SELECT 1 FROM kept_out WHERE kind = ? AND digest = ?"
    return any(connection.execute(query, (kind, bytes.fromhex(digest))).fetchone() for kind, digest in named)


def _leave_no_copies(connection: sqlite3.Connection) -> None:
    """Empty the write-ahead log, which still has pages as they were."""
    end = time.monotonic() + PATIENCE
    # While a worker does the same SQLite says so at once, instead of waiting as it does for all else.
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > end:
            raise sqlite3.OperationalError("its write-ahead log is in use")
        time.sleep(0.01)


def key_of(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM settings WHERE name = ?", (_KEY,)).fetchone()
    return None if row is None else str(row[0])


@contextmanager
def _for_owner(path: Path) -> Iterator[sqlite3.Connection]:
    """The buffer for whoever has the workspace; what is in it under another key is nobody's any more, and goes."""
    try:
        with closing(opened(path, PATIENCE)) as connection:
            with transaction(connection):
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
                    for statement in _TABLES.strip().rstrip(";").split(";"):
                        connection.execute(statement)
                if key_of(connection) not in (None, fingerprint()):
                    for table in ("events", "kept_out", "settings"):
                        connection.execute(f"DELETE FROM {table}")
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise ConfigError(
            f"{path.name}: the events that the service keeps can't be wiped ({reason(error)}); stop the service and "
            "remove the file"
        ) from None


def opened(path: Path, timeout: float) -> sqlite3.Connection:
    # Never made here: an empty one would keep nobody out.
    uri = f"{path.resolve().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing, and no other writer meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
