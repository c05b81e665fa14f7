"""Requests and their log, which can only be appended to."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("events"):
        return  # Made before there were migrations, with these very tables.
    op.create_table(
        "requests",
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
    )
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    for change in ("UPDATE", "DELETE"):
        for statement in _append_only(change)[op.get_bind().dialect.name]:
            op.get_bind().exec_driver_sql(statement)


def _append_only(change: str) -> dict[str, tuple[str, ...]]:
    name = f"events_no_{change.lower()}"
    return {
        "sqlite": (
            f"CREATE TRIGGER {name} BEFORE {change} ON events"
            " BEGIN SELECT RAISE(ABORT, 'events can only be appended'); END",
        ),
        "postgresql": (
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'events can only be appended'; END $$",
            f"CREATE TRIGGER {name} BEFORE {change} ON events FOR EACH ROW EXECUTE FUNCTION {name}()",
        ),
    }
