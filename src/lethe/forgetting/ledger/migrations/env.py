"""Read by Alembic alone: the steps run in the transaction of whoever opened the ledger (see database.migrate)."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=False)
context.run_migrations()
