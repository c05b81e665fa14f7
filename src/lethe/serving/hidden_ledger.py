"""Hidden users as the ledger's database has them: for a service that shares no file with whoever takes the requests.

Each worker asks the database twice a second, so that all replicas agree within a second; an answer that grew older than
that hides everybody until the database is back. Only digests and states are read, and nothing is written.

A request that was completed counts too, until it is lifted: a container may still serve what was built before. Of a
request about single interactions that can't be told from the person, who is known again when it is completed.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from urllib.parse import quote

import sqlalchemy as sa

from lethe.core import keys
from lethe.errors import DeploymentError, LetheError
from lethe.serving.hidden import AS_ITEM, THE_LIST, HiddenUsers

logger = logging.getLogger(__name__)

EVERY, STALE = 0.4, 1.0
"""Seconds between two looks at the database; age at which what was seen counts no more."""

_requests = sa.table(
    "requests", *(sa.column(name) for name in ("user_digest", "subject_digest", "kind", "state", "lifted", "also_item"))
)
_settings = sa.table("settings", sa.column("name"), sa.column("value"))
_events = sa.table("events", sa.column("seq"))
# Whatever a later Lethe calls a state that nobody ended hides too.
_HIDING = sa.and_(
    _requests.c.state.not_in(["cancelled", "withdrawn"]),
    sa.or_(_requests.c.state != "completed", sa.and_(_requests.c.kind == "user", sa.not_(_requests.c.lifted))),
)
_WHO = sa.func.coalesce(_requests.c.user_digest, _requests.c.subject_digest)
_LIST = sa.union(sa.select(_WHO).where(_HIDING), sa.select(_WHO.concat(AS_ITEM)).where(_HIDING, _requests.c.also_item))
_NEWEST = sa.select(sa.func.max(_events.c.seq))
_KEY = sa.select(_settings.c.value).where(_settings.c.name == "key fingerprint")


class HiddenByLedger(HiddenUsers):
    """The users whom the ledger of a database says to hide."""

    def __init__(self, url: str) -> None:
        super().__init__(None)
        self._engine = read_only(url, "LETHE_HIDDEN_USERS")
        self._newest: int | None = -1
        self._seen_at = -STALE
        self._digests = None
        self._down = False

    @classmethod
    def begin(cls, url: str) -> HiddenByLedger:
        """For a service that begins: raises DeploymentError where the ledger can't be read or is of another key."""
        users = cls(url)
        try:
            users.look()
        except LetheError as error:
            raise DeploymentError(str(error)) from None
        threading.Thread(target=users._keep_looking, name="hidden users", daemon=True).start()
        return users

    def digests(self) -> frozenset[str] | None:
        return self._digests if time.monotonic() - self._seen_at < STALE else None

    def look(self) -> None:
        """Read the list again if anything happened since. Raises DeploymentError, ConfigError."""
        began = time.monotonic()
        try:
            with self._engine.connect() as connection:
                key, newest = connection.execute(_KEY).scalar(), connection.execute(_NEWEST).scalar()
                if newest != self._newest or self._digests is None:
                    digests = frozenset(connection.execute(_LIST).scalars())
                else:
                    digests = self._digests
        except sa.exc.DBAPIError as error:
            reason = (str(error.orig).splitlines() or ["no reason given"])[0]
            raise DeploymentError(f"LETHE_HIDDEN_USERS: {THE_LIST} can't be read from the ledger ({reason})") from None
        if key is not None:
            keys.must_fit(key, "the ledger")
        self._newest, self._digests, self._seen_at = newest, digests, began

    def _keep_looking(self) -> None:
        while True:
            time.sleep(EVERY)
            try:
                self.look()
                if self._down:
                    logger.warning("%s is read again", THE_LIST)
                self._down = False
            except LetheError as error:
                if not self._down:
                    logger.error("%s: every user is answered from popularity", error)
                self._down = True


def read_only(url: str, variable: str) -> sa.Engine:
    """An engine that reads the ledger of a URL. Raises DeploymentError, which names the variable that it stood in."""
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            name = parsed.database or ""
            # Read only: a file that isn't there must not come to be, empty, with nobody hidden in it.
            return sa.create_engine(
                "sqlite://",
                creator=lambda: sqlite3.connect(f"file:{quote(name)}?mode=ro", uri=True, timeout=EVERY),
                poolclass=sa.NullPool,
            )
        return sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"), pool_size=1, connect_args={"connect_timeout": 2}
        )
    except (sa.exc.ArgumentError, ValueError):
        raise DeploymentError(
            f"{variable}: must be {'a file, ' * (variable == 'LETHE_HIDDEN_USERS')}sqlite:///PATH or "
            "postgresql://USER@HOST/DATABASE"
        ) from None
    except ModuleNotFoundError as error:
        raise DeploymentError(f"{variable}: {error.name} is not installed; install psycopg[binary]") from None
