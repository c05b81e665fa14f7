"""The rows of a query, from any database that SQLAlchemy knows; its URL comes from an environment variable."""

from __future__ import annotations

import os

import pyarrow as pa

from lethe.config.source import SqlSource
from lethe.data.sources import table
from lethe.data.sources.place import Place
from lethe.errors import ConfigError, DataError, Unreachable
from lethe.tables.interactions import Interactions

QUERY = "query"
"""What an error calls the source."""


def read(source: SqlSource, place: Place) -> Interactions:
    """All rows of the query."""
    rows = answer(source)
    for name in (wanted := table.wanted(source)):
        if name not in rows.column_names:
            raise DataError(f"query: column {name!r} is missing, it has {', '.join(rows.column_names)}")
    return table.interactions(table.where(rows.select(wanted), QUERY, source), QUERY, source)


def digest(source: SqlSource, place: Place) -> str:
    """SHA-256 of the rows, in whatever order the database gave them."""
    return read(source, place).digest()


def answer(source: SqlSource) -> pa.Table:
    """What the query answers, of the types that the database has.

    Raises ConfigError or DataError; neither shows the URL, a value, or the database's own words, which may hold both.
    """
    import sqlalchemy as sa

    url = os.environ.get(source.url_env)
    if not url:
        raise ConfigError(
            f"url_env: {source.url_env} is not set; it must hold the database's URL, as SQLAlchemy has it"
        )
    try:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            result = connection.execute(sa.text(source.query))
            names, rows = list(result.keys()), result.fetchall()
        engine.dispose()
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        kind = Unreachable if isinstance(error, sa.exc.OperationalError) else DataError
        raise kind(f"query: the database in {source.url_env} refuses it ({type(error).__name__})") from None
    if not rows:
        raise DataError("query: it has no rows, at least 1 is needed")
    try:
        return pa.table({name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)})
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise DataError("query: a column has values of several types; CAST it in the query") from None
