"""Looking up what waits, and one request's log, without reading every row."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("requests_by_state", "requests", ["state"])
    op.create_index("events_by_request", "events", ["request"])
