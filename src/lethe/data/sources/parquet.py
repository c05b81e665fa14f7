"""Tables of Parquet: a file, or a folder of files that are one table, also in partitions (``day=2024-01-01/``).

The files of a folder may differ in the order of their columns, and in types of which one holds the other's values; a
column that some of them lack is empty there. What the names of folders say is text: 007 is no number.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from lethe.errors import DataError
from lethe.tables.columns import coded_in

_MAGIC = b"PAR1"
_SUFFIXES = (".parquet", ".pq", ".parq")
_BUFFER = 1 << 16
"""Bytes of a column that are read at once."""
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_LAKES = {"_delta_log": "Delta", ".hoodie": "Hudi", "metadata/*.metadata.json": "Iceberg"}
"""What lies in a folder where a log says which files, and which rows of them, are still in the table."""


def is_parquet(path: Path) -> bool:
    """By its name or its first bytes; a folder is a table of Parquet, too."""
    return path.is_dir() or path.suffix.casefold() in _SUFFIXES or _begins_so(path)


def parquet_files(folder: Path) -> list[Path]:
    """The files of a table that lies in a folder, sorted; without hidden ones, and what programs left half written.
    Raises DataError."""
    for sign, lake in _LAKES.items():
        if any(folder.glob(sign)):
            raise DataError(
                f"{folder.name}: is a table of {lake}, whose files also hold rows that were deleted; save the table as"
                " Parquet, or give a query to a database that reads it (env:NAME --query)"
            )
    return [path for path in _visible(folder) if _is_part(path)]


def other_files(folder: Path, read: Collection[Path]) -> list[str]:
    """Names of the files in a folder that are none of those, sorted; without hidden ones."""
    return sorted(path.name for path in _visible(folder) if path not in read)


def parquet_head(path: Path, rows: int) -> pa.Table:
    """Some first rows of all columns, null where a file lacks them; no rows where there are none. Raises DataError."""
    parts = [_Part.of(file, path) for file in _files(path)]
    names = dict.fromkeys(name for part in parts for name in part.names)
    for part in parts:
        with _readable(path, part.file):
            batch = next(pq.ParquetFile(part.file).iter_batches(rows, columns=part.own.names), None)
        if batch:
            return pa.table({name: part.column(name, pa.table(batch), None) for name in names})
    return pa.table({name: pa.array([], pa.string()) for name in names})


def parquet_blocks(path: Path, names: Sequence[str], coded: Collection[str], rows: int) -> Iterator[pa.Table]:
    """The named columns, which are there, some rows at a time, after a table without any. Raises DataError."""
    if path.is_dir():
        yield from _of_folder(path, names, rows)
        return
    with _readable(path, path):
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            texts = coded_in(file, [name for name in coded if pa.types.is_string(schema.field(name).type)])
        with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False, read_dictionary=texts) as whole:
            yield whole.schema_arrow.empty_table().select(list(names))
            for batch in whole.iter_batches(rows, columns=list(names)):
                yield pa.Table.from_batches([batch]).select(list(names))


def parquet_names(path: Path) -> list[str]:
    """Names of the columns, each as often as a file has it."""
    if path.is_dir():
        return list(dict.fromkeys(name for file in _files(path) for name in _Part.of(file, path).names))
    return _Part.of(path, path).own.names


class _Part:
    """A file of a table: the schema of what it holds, and what the names of its folders say of all its rows."""

    def __init__(self, file: Path, own: pa.Schema, said: dict[str, str | None]) -> None:
        self.file, self.own, self.said = file, own, said

    @classmethod
    def of(cls, file: Path, table: Path) -> _Part:
        with _readable(table, file):
            own = pq.read_schema(file)
        folders = file.relative_to(table).parts[:-1] if file != table else ()
        pairs = (folder.partition("=") for folder in folders if "=" in folder)
        said = {unquote(name): None if value == _NO_VALUE else unquote(value) for name, _, value in pairs}
        return cls(file, own, said)

    @property
    def names(self) -> list[str]:
        return [*self.own.names, *(name for name in self.said if name not in self.own.names)]

    def kind(self, name: str) -> pa.DataType:
        if name in self.own.names:
            kind = self.own.field(name).type
            return kind.value_type if pa.types.is_dictionary(kind) else kind
        return pa.string() if self.said.get(name) is not None else pa.null()

    def column(self, name: str, table: pa.Table, kind: pa.DataType | None) -> pa.ChunkedArray:
        """One of a table of the file's own rows, in another type unless that is None."""
        if name in self.own.names:
            column = table[name]
        else:
            column = pa.chunked_array([pa.array([self.said.get(name)] * len(table), self.kind(name))])
        return column if kind is None else column.cast(kind)


def _of_folder(path: Path, names: Sequence[str], rows: int) -> Iterator[pa.Table]:
    parts = [_Part.of(file, path) for file in _files(path)]
    schema = pa.schema([(name, _kind_of(name, parts, path)) for name in names])
    yield schema.empty_table()
    for part in parts:  # One after the other: read together, they would be held together.
        mine = [name for name in names if name in part.own.names]
        with _readable(path, part.file), pq.ParquetFile(part.file, buffer_size=_BUFFER, pre_buffer=False) as file:
            for batch in file.iter_batches(rows, columns=mine or part.own.names[:1]):
                table = pa.Table.from_batches([batch])
                yield pa.table({name: _as(schema.field(name).type, name, part, table, path) for name in names})


def _as(kind: pa.DataType, name: str, part: _Part, table: pa.Table, folder: Path) -> pa.ChunkedArray:
    """A file's column in the type of all. Raises DataError where that doesn't hold one of its values."""
    try:
        return part.column(name, table, kind)
    except pa.ArrowInvalid:
        raise DataError(
            f"{folder.name}: column {name!r} is of type {part.kind(name)} in {part.file.name}, and the {kind} of other"
            " files doesn't hold all its values; write it alike in all files"
        ) from None


def _kind_of(name: str, parts: Sequence[_Part], folder: Path) -> pa.DataType:
    """The type that holds a column's values of all files. Raises DataError."""
    if any(name in part.said and name in part.own.names for part in parts):
        raise DataError(
            f"{folder.name}: column {name!r} is in a file and in the name of its folder; leave it out of one of them"
        )
    kinds = {kind: part for part in parts if not pa.types.is_null(kind := part.kind(name))}
    if not kinds:
        return pa.null()
    if len(kinds) > 1 and all(map(_is_exact_as_text, kinds)) and not all(map(pa.types.is_signed_integer, kinds)):
        # 007 beside whole numbers is an id of its own, and no type holds the whole numbers of all.
        return pa.string()
    try:
        return (
            pa.unify_schemas([pa.schema([(name, kind)]) for kind in kinds], promote_options="permissive").field(0).type
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        (first, there), (other, here) = list(kinds.items())[:2]
        raise DataError(
            f"{folder.name}: column {name!r} is of type {first} in {there.file.name}, and {other} in {here.file.name};"
            " write it alike in all files"
        ) from None


def _is_exact_as_text(kind: pa.DataType) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return text or pa.types.is_integer(kind)


def _files(path: Path) -> list[Path]:
    return parquet_files(path) if path.is_dir() else [path]


def _visible(folder: Path) -> list[Path]:
    try:
        files = [path for path in folder.rglob("*") if path.is_file()]
    except OSError as error:
        raise DataError(f"{folder.name}: {error.filename} may not be read; give a file, or another folder") from None
    # A column may be called _day.
    hidden = re.compile(r"\.|_[^=]*$")
    return sorted(path for path in files if not any(map(hidden.match, path.relative_to(folder).parts)))


def _is_part(path: Path) -> bool:
    return path.suffix.casefold() in _SUFFIXES or (not path.suffix and _begins_so(path))


def _begins_so(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


@contextmanager
def _readable(table: Path, file: Path) -> Iterator[None]:
    """Raises DataError where a file is none of Parquet, or is damaged."""
    try:
        yield
    except pa.ArrowException:
        _refuse(table, file)
    except OSError as error:
        if error.errno is not None:
            raise
        _refuse(table, file)


def _refuse(table: Path, file: Path) -> NoReturn:
    name = table.name if table == file else f"{table.name}: {file.name}"
    raise DataError(f"{name}: as Parquet, it is not readable; save it again, or as CSV") from None
