"""What people did since the last training, so that a session is followed until the next one: a buffer of short life.

All workers of a service share it (``event_file``). An event is taken in a transaction that first looks whether nothing
may be taken of its user, and whoever joins those is wiped in the transaction in which they do. SQLite lets one writer
in at a time, so an event is either before a request, and wiped by it, or after it, and dropped. Nothing here becomes
training data.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lethe.config.serving import Events
from lethe.core.keys import fingerprint, subject_digest
from lethe.errors import LetheError
from lethe.serving.event import Event
from lethe.serving.event_file import is_out, key_of, let_go, opened, reason, transaction

logger = logging.getLogger(__name__)

SWEEP = 15.0
"""Seconds between two looks for events whose time is up."""
PATIENCE = 5.0
"""Seconds that a worker waits for another writer."""


class Unavailable(LetheError):
    """Events can't be taken now; later they may."""


class EventBuffer:
    """The buffer as a worker uses it. It is made by whoever tells the service who is hidden, never here."""

    def __init__(self, path: Path, settings: Events, clock: Callable[[], float] = time.time) -> None:
        self.path, self.settings, self._clock = path, settings, clock
        self._own = threading.local()

    @classmethod
    def begin(cls, path: Path, settings: Events) -> EventBuffer:
        """For a service that begins: events leave when their time is up, whether or not others come."""
        buffer = cls(path, settings)
        threading.Thread(target=buffer._keep_sweeping, name="events", daemon=True).start()
        return buffer

    def take(self, dataset: str, user_id: int | str, events: Sequence[Event], hidden: Callable[[], bool]) -> None:
        """Keep what a user did, oldest first; of whoever is kept out, or ``hidden``, nothing, and nothing says so.

        Raises Unavailable where the buffer can't be written.
        """
        user, until = subject_digest(dataset, user_id), self._clock() + self.settings.minutes * 60
        digests = [subject_digest(dataset, user_id, event.item_id) for event in events]
        with self._writing() as connection:
            # Asked in here: a request that is accepted meanwhile waits, and then wipes what this took.
            if hidden() or is_out(connection, [("user", user)]):
                return
            for event, digest in zip(events, digests, strict=True):
                as_person = subject_digest(dataset, event.item_id)
                if not is_out(connection, [("interaction", digest), ("item", as_person)]):
                    values = (dataset, user, digest, event.item_id, event.rating, event.recommendation, until)
                    connection.execute(f"INSERT INTO events VALUES (NULL{', ?' * len(values)})", values)
            self._keep_bounds(connection, user)

    def of(self, dataset: str, user_id: int | str) -> list[Event]:
        """What a user did lately, oldest first; nothing where the buffer can't be read, which the sweeper says."""
        query = "SELECT item, rating, recommendation FROM events WHERE user_digest = ? AND until > ? ORDER BY number"
        try:
            rows = self._connection().execute(query, (subject_digest(dataset, user_id), self._clock())).fetchall()
        except (sqlite3.Error, OSError):
            return []
        return [Event(*row) for row in rows]

    def expire(self) -> None:
        """Let go what has been kept long enough. Raises Unavailable."""
        with self._writing() as connection:
            let_go(connection, self._clock())

    def _keep_bounds(self, connection: sqlite3.Connection, user: str) -> None:
        surplus = "SELECT number FROM events WHERE user_digest = ? ORDER BY number DESC LIMIT -1 OFFSET ?"
        connection.execute(f"DELETE FROM events WHERE number IN ({surplus})", (user, self.settings.per_user))
        # Numbers only grow, so that there are never more rows than numbers; to count the rows would take far longer.
        newest = connection.execute("SELECT max(number) FROM events").fetchone()[0] or 0
        connection.execute("DELETE FROM events WHERE number <= ?", (newest - self.settings.rows,))
        let_go(connection, self._clock())

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with transaction(self._connection()) as connection:
                if key_of(connection) != fingerprint():
                    raise Unavailable("events: the buffer was made under another key")
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"events: can't be kept now ({reason(error)})") from None

    def _connection(self) -> sqlite3.Connection:
        """One a thread, of the file that is there now."""
        file = self.path.stat().st_ino
        if getattr(self._own, "file", None) != file:
            self._own.connection, self._own.file = opened(self.path, PATIENCE), file
        connection: sqlite3.Connection = self._own.connection
        return connection

    def _keep_sweeping(self) -> None:
        down = False
        while True:
            try:
                self.expire()
                down = False
            except LetheError as error:
                if not down:
                    logger.error("%s; answers go without them", error)
                down = True
            time.sleep(SWEEP)
