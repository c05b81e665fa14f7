"""The ledger's schema: every older one is brought to the newest with its rows, on both databases."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from lethe.core.keys import subject_digest
from lethe.errors import ConfigError
from lethe.forgetting.ledger.database import NEWEST, metadata, open_engine, revision
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.log import GENESIS, Event
from lethe.forgetting.ledger.requests import Held

AT = datetime(2026, 3, 1, tzinfo=UTC).isoformat()

# As the product made them before there were migrations.
FIRST = [
    "CREATE TABLE requests (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, dataset TEXT NOT NULL,"
    " kind TEXT NOT NULL, subject TEXT, subject_digest TEXT NOT NULL, reason TEXT NOT NULL, received TEXT NOT NULL,"
    " due TEXT NOT NULL, state TEXT NOT NULL, idempotency_key TEXT NOT NULL UNIQUE, result TEXT)",
    "CREATE TABLE events (seq INTEGER PRIMARY KEY, request TEXT NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL,"
    " detail TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL)",
]
TRIGGER = {
    "sqlite": [
        "CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'only be appended'); END"
    ],
    "postgresql": [
        "CREATE FUNCTION events_no_update() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'events can only be appended'; END $$",
        "CREATE TRIGGER events_no_update BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION events_no_update()",
    ],
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    return request.getfixturevalue("postgres_url")


def write_first_schema(engine: sa.Engine) -> None:
    first = Event(1, "req-1", "received", AT, {}, GENESIS, "")
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        statements = [*FIRST, *TRIGGER[engine.dialect.name]]
        if engine.dialect.name == "postgresql":
            statements[0] = statements[0].replace("number INTEGER", "number SERIAL")
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.execute(
            sa.text(
                "INSERT INTO requests (id, dataset, kind, subject, subject_digest, reason, received, due, state,"
                " idempotency_key) VALUES ('req-1', 'ml', 'user', :subject, :digest, 'user request', :at, :at,"
                " 'received', :digest)"
            ),
            {"subject": '{"items":[],"user":"u"}', "digest": subject_digest("ml", "u"), "at": AT},
        )
        connection.execute(
            sa.text("INSERT INTO events VALUES (1, 'req-1', 'received', :at, '{}', :previous, :hash)"),
            {"at": AT, "previous": GENESIS, "hash": first.expected_hash()},
        )


def test_an_old_schema_with_rows_is_brought_to_the_newest(url):
    engine = open_engine(url)
    write_first_schema(engine)
    with engine.connect() as connection:
        assert revision(connection) is None
    ledger = Ledger(url)
    with engine.connect() as connection:
        assert revision(connection) == NEWEST
        names = {index["name"] for index in sa.inspect(connection).get_indexes("requests")}
        assert "requests_by_state" in names
    (request,) = ledger.all()
    assert (request.id, request.user, request.state) == ("req-1", "u", "received")
    ledger.check_chain()
    ledger.accept({"req-1": Held(interactions=1)})
    assert [event.state for event in ledger.events("req-1")] == ["received", "accepted"]
    with pytest.raises(sa.exc.DBAPIError, match="only be appended"), engine.begin() as connection:
        connection.exec_driver_sql("UPDATE events SET state = 'completed'")
    assert Ledger(url).all() == ledger.all(), "opening again changes nothing"


def test_the_steps_end_in_the_tables_that_the_code_works_with(url):
    Ledger(url)
    with open_engine(url).connect() as connection:
        assert revision(connection) == NEWEST
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_step_that_fails_leaves_the_old_schema_whole(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    write_first_schema(open_engine(url))
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE events_by_request (id)")  # The name that the second step wants.
    with pytest.raises(ConfigError, match="events_by_request"):
        Ledger(url)
    with open_engine(url).connect() as connection:
        assert revision(connection) is None
        assert sa.inspect(connection).get_indexes("requests") == []


def test_a_ledger_of_a_newer_lethe_is_left_alone(url):
    Ledger(url)
    with open_engine(url).connect().execution_options(write=True) as connection, connection.begin():
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="schema 9999 is of a newer Lethe, this one knows"):
        Ledger(url)


def test_old_kinds_and_states_have_the_names_of_today_and_the_chain_stays_whole(url):
    engine = open_engine(url)
    write_first_schema(engine)
    first = Event(1, "req-1", "received", AT, {}, GENESIS, "")
    end = Event(2, "req-1", "rejected", AT, {}, first.expected_hash(), "")
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        connection.exec_driver_sql(
            "UPDATE requests SET state = 'rejected', kind = 'interactions', subject = NULL, idempotency_key = 'req-1'"
        )
        connection.execute(
            sa.text("INSERT INTO events VALUES (2, 'req-1', 'rejected', :at, '{}', :previous, :hash)"),
            {"at": AT, "previous": first.expected_hash(), "hash": end.expected_hash()},
        )
    ledger = Ledger(url)
    (request,) = ledger.all()
    assert (request.state, request.kind, request.held) == ("cancelled", "interaction", Held())
    ledger.check_chain()
    assert ledger.open() == []
