"""A PostgreSQL whose disk is full, or that drops a connection at work: one line, nothing half done, and the next run
resumes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from lethe.core.workspace import Workspace
from lethe.errors import ConfigError
from lethe.forgetting import completion, erasure
from lethe.forgetting.standing import ledger
from lethe.serving import hidden
from tests.house import ask, rebuild, train

FULL = (
    "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';",
    r"^ledger: could not extend file: No space left on device; make room there, and run it again$",
)
DROPPED = (
    "PERFORM pg_terminate_backend(pg_backend_pid());",
    r"^ledger: .*connection.*; nothing is half done; run it again once the server answers$",
)
"""What goes wrong as a row is inserted, and the line that says so."""


@contextmanager
def failing(url: str, table: str, fault: str) -> Iterator[None]:
    """What is inserted into a table meets a fault, as PostgreSQL itself has it."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)

    def say(statement: str) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)

    say(f"CREATE FUNCTION fault() RETURNS trigger AS $$ BEGIN {fault} RETURN NEW; END $$ LANGUAGE plpgsql")
    say(f"CREATE TRIGGER fault BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fault()")
    yield
    say("DROP FUNCTION fault CASCADE")


@pytest.mark.parametrize(("fault", "line"), [FULL, DROPPED], ids=["full", "dropped"])
def test_a_database_that_fails_takes_nothing_and_ends_nothing_half(
    tiny: Workspace, postgres_url: str, monkeypatch: pytest.MonkeyPatch, fault: str, line: str
) -> None:
    monkeypatch.setenv("LETHE_LEDGER_URL", postgres_url)
    train(tiny)
    book = ledger(tiny)
    for table in ("requests", "events"):
        with failing(postgres_url, table, fault), pytest.raises(ConfigError, match=line):
            ask(tiny, "user-003")
        assert book.all() == [], "nobody is told that they will be forgotten who won't be"
    (id,) = ask(tiny, "user-003")
    assert book.get(id).user_digest in hidden.read(tiny.hidden_users)

    run = erasure.erase(tiny, rebuild(tiny))
    with failing(postgres_url, "events", fault), pytest.raises(ConfigError, match=line):
        completion.complete(tiny, run)
    assert book.get(id).state == "verified"
    completion.complete(tiny, run)
    assert book.get(id).state == "completed"
    book.check_chain()
