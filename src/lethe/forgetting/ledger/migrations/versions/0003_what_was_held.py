"""What a request held when it was accepted, what else is asked and known of it, and which key the digests are of."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "settings",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    for name in ("user_digest", "held", "ticket", "external_id", "facts", "failure"):
        op.add_column("requests", sa.Column(name, sa.Text))
    for name in ("also_item", "on_hold", "lifted"):
        op.add_column("requests", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index("requests_by_external_id", "requests", ["dataset", "external_id"], unique=True)
    op.execute("UPDATE requests SET user_digest = subject_digest WHERE kind = 'user'")
    op.execute("UPDATE requests SET kind = 'interaction' WHERE kind = 'interactions'")
    op.execute("UPDATE requests SET state = 'cancelled' WHERE state = 'rejected'")
