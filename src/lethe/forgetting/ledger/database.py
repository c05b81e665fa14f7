"""The ledger's tables, and how its database is opened: SQLite with nothing left behind in the file, or PostgreSQL.

The tables are made, and brought up to date, by the steps in migrations/ whenever a ledger is opened; what stands here
is the shape after the last of them (a test compares the two).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lethe.errors import ConfigError

LOCK = 0x4C455448  # PostgreSQL's advisory lock of all who write to the ledger: the chain has one end.

_MAY_WRITE = "give Lethe's user the right to write the file and its folder"
_ROOM = "make room there, and run it again"
_BACKUP = "put it back from a backup"
_MEND = {
    "SQLITE_READONLY": _MAY_WRITE,
    "SQLITE_CANTOPEN": _MAY_WRITE,
    "SQLITE_FULL": _ROOM,
    "SQLITE_BUSY": "another process holds it; let that end, and run it again",
    "SQLITE_CORRUPT": _BACKUP,
    "SQLITE_NOTADB": _BACKUP,
    "53100": _ROOM,
    "53300": "let others end or raise its max_connections, and run it again",
    "25006": "name a server that may be written to",
}
"""What to do, by how the codes of SQLite and PostgreSQL begin."""
_MEND_URL = {
    "authentication failed": "mend user or password in its URL",
    "does not exist": "make it on the server, or mend its URL",
    "resolve host": "mend the host in its URL",
}
"""What to do where a server was not reached, which has no code, by words of the driver."""

NEWEST = "0004"
"""Revision of the newest step."""

metadata = sa.MetaData()
requests = sa.Table(
    "requests",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, unique=True, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text),
    sa.Column("subject_digest", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("received", sa.Text, nullable=False),
    sa.Column("due", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("idempotency_key", sa.Text, unique=True, nullable=False),
    sa.Column("result", sa.Text),
    sa.Column("user_digest", sa.Text),
    sa.Column("held", sa.Text),
    sa.Column("ticket", sa.Text),
    sa.Column("external_id", sa.Text),
    sa.Column("facts", sa.Text),
    sa.Column("failure", sa.Text),
    sa.Column("also_item", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("on_hold", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("lifted", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("said_item", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("requests_by_state", "state"),
    sa.Index("requests_by_external_id", "dataset", "external_id", unique=True),
)
settings = sa.Table(
    "settings",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Index("events_by_request", "request"),
)


def migrate(connection: sa.Connection) -> None:
    """Bring the database to the newest schema, inside the caller's transaction; rows stay as they are.

    Raises ConfigError if a newer Lethe has been here.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise ConfigError(
            f"ledger: schema {revision(connection)} is of a newer Lethe, this one knows {NEWEST}"
        ) from None


def revision(connection: sa.Connection) -> str | None:
    """The schema's revision; None before the first step."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return str(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one())


def open_engine(url: str) -> sa.Engine:
    """An engine for the ledger's database; nothing is connected yet. Raises ConfigError for a URL it can't be."""
    try:
        parsed = sa.make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        engine = sa.create_engine(parsed, poolclass=sa.NullPool)
    except sa.exc.ArgumentError:
        raise ConfigError("ledger: the URL must be sqlite:///PATH or postgresql://USER@HOST/DATABASE") from None
    except ModuleNotFoundError as error:
        raise ConfigError(f"ledger: {error.name} is not installed; install lethe-recsys[postgres]") from None
    if engine.dialect.name == "sqlite":
        try:
            Path(parsed.database or "ledger.sqlite").parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"ledger: {Path(parsed.database or '').parent}: {error.strerror}") from None
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # The driver's own idea of when to begin would take the write lock too late.
    for pragma in ("busy_timeout = 60000", "journal_mode = DELETE", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _begin_sqlite(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("write") else "BEGIN")


@contextmanager
def one_line() -> Iterator[None]:
    """Turn what a database driver raises into one line without parameters."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        # The driver's own first line: SQLAlchemy's text would show the parameters, which may be a person's ids.
        reason = (str(error.orig).splitlines() or ["failed without a word"])[0]
        raise ConfigError(f"ledger: {reason}{_mend(error)}") from None


def _mend(error: sa.exc.DBAPIError) -> str:
    sqlite, state = getattr(error.orig, "sqlite_errorname", None), getattr(error.orig, "sqlstate", None) or ""
    said = next((what for code, what in _MEND.items() if (sqlite or state).startswith(code)), None)
    # Without a state of its own the server wasn't there, or went away; 08 and 57 say so.
    if said is None and sqlite is None and isinstance(error, sa.exc.OperationalError) and state[:2] in ("", "08", "57"):
        words = str(error.orig)
        said = next(
            (what for part, what in _MEND_URL.items() if part in words),
            "nothing is half done; run it again once the server answers",
        )
    return f"; {said}" if said else ""
