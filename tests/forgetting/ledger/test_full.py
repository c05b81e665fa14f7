"""A PostgreSQL whose disk is full: one line, nothing half done, and the next run resumes."""

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

LINE = r"^ledger: could not extend file: No space left on device; make room there, and run it again$"


@contextmanager
def full(url: str, table: str) -> Iterator[None]:
    """What is inserted into a table finds no room, as PostgreSQL itself says it."""
    fault = "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';"
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)

    def say(statement: str) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)

    say(f"CREATE FUNCTION no_room() RETURNS trigger AS $$ BEGIN {fault} END $$ LANGUAGE plpgsql")
    say(f"CREATE TRIGGER no_room BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION no_room()")
    yield
    say("DROP FUNCTION no_room CASCADE")


def test_a_full_database_takes_nothing_and_ends_nothing_half(
    tiny: Workspace, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETHE_LEDGER_URL", postgres_url)
    train(tiny)
    book = ledger(tiny)
    for table in ("requests", "events"):
        with full(postgres_url, table), pytest.raises(ConfigError, match=LINE):
            ask(tiny, "user-003")
        assert book.all() == [], "nobody is told that they will be forgotten who won't be"
    (id,) = ask(tiny, "user-003")
    assert book.get(id).user_digest in hidden.read(tiny.hidden_users)

    run = erasure.erase(tiny, rebuild(tiny))
    with full(postgres_url, "events"), pytest.raises(ConfigError, match=LINE):
        completion.complete(tiny, run)
    assert book.get(id).state == "verified"
    completion.complete(tiny, run)
    assert book.get(id).state == "completed"
    book.check_chain()
