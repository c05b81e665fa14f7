"""The rows of a query, from any database that SQLAlchemy knows; its URL comes from an environment variable.

A query is asked once and its answer laid into a file, some rows at a time: only then do we know what its columns are.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lethe.config.source import SqlSource
from lethe.data.sources import table
from lethe.data.sources.place import Place
from lethe.errors import ConfigError, DataError, Unreachable
from lethe.tables.columns import ParquetWriter
from lethe.tables.interactions import Interactions
from lethe.tables.order import in_order

QUERY = "query"
"""What an error calls the source: the name of the file that its rows are laid into."""

ROWS = 1 << 16
"""Rows that are asked for, and held as Python has them, at once."""


def read(source: SqlSource, place: Place) -> Interactions:
    """All rows of the query."""
    with answered(source, place) as path:
        return table.read(path, source)


def blocks(source: SqlSource, place: Place) -> dict[str, Iterable[Interactions]]:
    """The same, a block at a time."""

    def ask() -> Iterator[Interactions]:
        with answered(source, place) as path:
            yield from table.Rows.of(path, source)

    return {table.INTERACTIONS: ask()}


def digest(source: SqlSource, place: Place) -> str:
    """SHA-256 of the rows, in whatever order the database gave them."""
    with answered(source, place) as path:
        ordered = path.with_name("ordered.parquet")
        with ParquetWriter(ordered) as writer:
            for rows in in_order(table.Rows.of(path, source), path.parent):
                writer.write(rows.to_table())
        return Interactions.digest_at(ordered)


@contextmanager
def answered(source: SqlSource, place: Place) -> Iterator[Path]:
    """What the query answers, of the types that the database has, as a file of Parquet while it is needed.

    Raises ConfigError or DataError; neither shows the URL, a value, or the database's own words, which may hold both.
    """
    with tempfile.TemporaryDirectory(dir=place.temporary(), prefix="fetched-") as folder:
        path = Path(folder) / QUERY
        _lay(_tables(source), path)
        yield path


def _tables(source: SqlSource) -> Iterator[pa.Table]:
    """The answer, some rows at a time: a cursor of the database, where it has them, holds the others."""
    import sqlalchemy as sa

    url = os.environ.get(source.url_env)
    if not url:
        raise ConfigError(
            f"url_env: {source.url_env} is not set; it must hold the database's URL, as SQLAlchemy has it"
        )
    rows = 0
    try:
        # Of one connection, which is closed with it.
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        with engine.connect().execution_options(yield_per=ROWS) as connection:
            result = connection.execute(sa.text(source.query))
            names = list(result.keys())
            for some in result.partitions(ROWS):
                rows += len(some)
                yield _table(names, some)
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        kind = Unreachable if isinstance(error, sa.exc.OperationalError) else DataError
        raise kind(f"query: the database in {source.url_env} refuses it ({type(error).__name__})") from None
    if not rows:
        raise DataError("query: it has no rows, at least 1 is needed")


def _table(names: Iterable[str], rows: Iterable[Iterable[object]]) -> pa.Table:
    try:
        return pa.table({name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)})
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        raise _several_types() from None


def _lay(tables: Iterable[pa.Table], path: Path) -> None:
    """One file of all tables. Values that are missing, or whole, in one of them say little of a column's type: where
    types differ, all is laid once more in the type of all."""
    parts: list[tuple[Path, pa.Schema]] = []
    writer: pq.ParquetWriter | None = None
    try:
        for own in tables:
            if writer is None or own.schema != parts[-1][1]:
                if writer is not None:
                    writer.close()
                parts.append((path.with_name(f"part-{len(parts)}"), own.schema))
                writer = pq.ParquetWriter(*parts[-1], compression="lz4", use_dictionary=False)
            writer.write_table(own)
    except pa.ArrowNotImplementedError:
        raise DataError("query: a column is of a type that no table has; CAST it in the query") from None
    finally:
        if writer is not None:
            writer.close()
    if len(parts) == 1:
        parts[0][0].rename(path)
        return
    schema = reduce(_type_of_both, (schema for _, schema in parts))
    with pq.ParquetWriter(path, schema, compression="lz4", use_dictionary=False) as whole:
        for part, _ in parts:
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(ROWS):
                    whole.write_table(_cast(pa.Table.from_batches([batch]), schema))
            part.unlink()


def _type_of_both(schema: pa.Schema, other: pa.Schema) -> pa.Schema:
    for types in zip(schema.types, other.types, strict=True):
        # Values of one table may not be both either.
        if any(map(pa.types.is_floating, types)) and any(map(pa.types.is_decimal, types)):
            raise _several_types()
    try:
        return pa.unify_schemas([schema, other], promote_options="permissive")
    except pa.ArrowException:
        raise _several_types() from None


def _cast(own: pa.Table, schema: pa.Schema) -> pa.Table:
    try:
        return own.cast(schema)
    except pa.ArrowException:
        raise _several_types() from None


def _several_types() -> DataError:
    return DataError("query: a column has values of several types; CAST it in the query")
