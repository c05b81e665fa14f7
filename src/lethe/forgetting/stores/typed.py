"""Tables by their columns: one rule of which are of people and which of things, whatever file a table is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pyarrow as pa

from lethe.forgetting.stores.parquet_files import StoredTable
from lethe.forgetting.stores.parts import (
    Columns,
    Pairs,
    Part,
    Strings,
    distinct_ids,
    is_called_item,
    is_called_user,
    is_item,
    is_user,
    of_record,
    of_text,
    of_texts,
)


def of_stored(table: StoredTable, kind: bool | None = None) -> Iterator[Part]:
    """A Parquet file. ``kind``: whether a column "id" is of people (or else of things), if its name says so."""
    names = table.column_names
    # An assignment names the rows too, but is no table of interactions: its digest would be that of nothing.
    whole = table if {"user", "item"} <= {*names} and "shard" not in names else None
    yield from _of_table(table.schema, lambda place: table[names[place]], kind, whole, table.says_more)


def of_arrow(table: pa.Table) -> Iterator[Part]:
    """An Arrow table, of its own kinds of files."""
    yield from _of_table(table.schema, table.column)


def _of_table(
    schema: pa.Schema,
    column: Callable[[int], pa.ChunkedArray],
    kind: bool | None = None,
    whole: StoredTable | None = None,
    says_more: Callable[[str], bool] = lambda name: True,
) -> Iterator[Part]:
    told = [*(schema.metadata or {}).items(), *(pair for field in schema for pair in (field.metadata or {}).items())]
    yield Strings([*schema.names, *(text.decode("utf-8", "replace") for pair in told for text in pair)])
    nested = {place for place, field in enumerate(schema) if _is_nested(field.type)}
    names = ["" if place in nested else name for place, name in enumerate(schema.names)]
    yield from of_columns(names, lambda place: ids_of(column(place)), kind, whole)
    for place in sorted(nested):
        yield from of_record([Pairs([(schema.names[place], value)]) for value in column(place).to_pylist()])
    for place, name in enumerate(schema.names):
        if place not in nested and not _is_of_people(name, kind) and says_more(name):
            yield from _of_values(_plain(column(place)))


def of_columns(
    names: Sequence[str], ids: Callable[[int], pa.Array], kind: bool | None = None, rows: StoredTable | None = None
) -> Iterator[Part]:
    """Those of a table's columns that hold people, each beside the things, and those that hold things alone; by our
    own words for both, and by those of others."""
    people = [place for place, name in enumerate(names) if _is_of_people(name, kind)]
    # A stored list of users has one column, "id"; one of items has the same, and the same small integers.
    things = [place for place, name in enumerate(names) if is_item(name) or (kind is False and name == "id")]
    others = [place for place, name in enumerate(names) if place not in people and is_called_user(name)]
    if not people:
        yield from (Columns(None, ids(place)) for place in things)
    for place in people:
        yield from of_people(ids(place), ids(things[0]) if things else None, rows)
    beside = things or [place for place, name in enumerate(names) if others and is_called_item(name)]
    for place in others:
        yield replace(_aligned(ids(place), ids(beside[0]) if beside else None), called=names[place])


def of_people(users: pa.Array, items: pa.Array | None, rows: StoredTable | None = None) -> Iterator[Part]:
    """A column of people: a link names two, each beside the same items."""
    yield _aligned(users, items, rows)
    if pa.types.is_string(users.type) or pa.types.is_dictionary(users.type):
        yield Strings(distinct_ids(users).drop_null(), ids=True)


def _aligned(users: pa.Array, items: pa.Array | None, rows: StoredTable | None = None) -> Columns:
    return Columns(users, items if items is not None and len(items) == len(users) else None, rows)


def _is_of_people(name: str, kind: bool | None) -> bool:
    return is_user(name) or (bool(kind) and name == "id")


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_nested(kind: pa.DataType) -> bool:
    """Whether values are records; a list of ids is read as ids."""
    return pa.types.is_nested(kind.value_type if _is_list(kind) else kind)


def _plain(column: Any) -> Any:
    """A column without what only says how it lies or what it means."""
    if isinstance(column.type, pa.BaseExtensionType):
        chunks = [one.storage for one in (column.chunks if isinstance(column, pa.ChunkedArray) else [column])]
        stored = pa.chunked_array(chunks, column.type.storage_type)
        if column.type.extension_name == "arrow.uuid":
            return pa.chunked_array([[v and str(UUID(bytes=v)) for v in stored.to_pylist()]], pa.string())
        return stored
    if pa.types.is_string_view(column.type):
        return column.cast(pa.large_string())
    if pa.types.is_binary_view(column.type) or pa.types.is_fixed_size_binary(column.type):
        return column.cast(pa.large_binary())
    return column


def _of_values(column: pa.ChunkedArray) -> Iterator[Part]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_nested(kind):
        yield from of_record(column.to_pylist())
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        yield from (part for value in column.unique().to_pylist() if value for part in of_text(value))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values = distinct_ids(column.unify_dictionaries().combine_chunks()) if kind != column.type else column.unique()
        yield from of_texts(values.drop_null())


def ids_of(column: Any) -> pa.Array:
    """A column of ids: int64 where all are whole numbers, text otherwise (a dictionary of texts as it is)."""
    column = column if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(column)
    values = _plain(column)
    values = values.unify_dictionaries().combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_dictionary(values.type):
        if pa.types.is_string(values.type.value_type):
            return values
        values = values.dictionary_decode()
    if _is_list(values.type):
        values = _plain(values.flatten())
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        try:
            return values.cast(pa.int64())
        except pa.ArrowInvalid:
            pass
    try:
        return values.cast(pa.string())
    except pa.ArrowException:
        return pa.array([_as_text(value) for value in values.to_pylist()], pa.string())


def _as_text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else str(value)
