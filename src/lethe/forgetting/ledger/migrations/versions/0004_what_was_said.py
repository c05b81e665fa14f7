"""Whether somebody has said of a request if its user is an item too."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("requests", sa.Column("said_item", sa.Boolean, nullable=False, server_default=sa.false()))
