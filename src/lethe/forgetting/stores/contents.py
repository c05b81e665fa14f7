"""What a file holds, by its kind: columns of ids, other texts, bytes. Compressed files and archives are opened."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from lethe.data.sources.find_columns import column_called
from lethe.forgetting.stores import sqlite_files
from lethe.forgetting.stores.parquet_files import StoredTable
from lethe.forgetting.stores.parts import (
    Columns,
    NotSearched,
    Pairs,
    Part,
    Raw,
    Strings,
    as_json,
    distinct_ids,
    is_item,
    is_user,
    names_people,
    of_record,
    of_strings,
    of_texts,
)

PARQUET = b"PAR1"
"""What a table's file begins with."""
DEEPEST = 3
"""How many archives may lie in one another."""
LARGEST = 1 << 31
"""Bytes that one compressed file is unpacked to, at most."""
UNREADABLE = (ValueError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)
"""What broken contents raise."""

_NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1"}
_NUMBERS |= {"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}
_UNOPENED = {b"7z\xbc\xaf'\x1c": "7z archive", b"Rar!\x1a\x07": "rar archive", b"\x04\x22\x4d\x18": "lz4 file"}
_COMPRESSED: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b\x08": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    b"\x28\xb5\x2f\xfd": lambda file: pa.input_stream(file, compression="zstd"),
}


def parts_of(name: PurePath, content: bytes, path: Path | None = None, depth: int = 0) -> Iterator[Part]:
    """All that a file holds. ``path``: where it is, if it is no part of an archive."""
    if depth > DEEPEST:
        yield NotSearched(f"archives deeper than {DEEPEST} are not opened")
    elif reason := next((why for magic, why in _UNOPENED.items() if content.startswith(magic)), None):
        yield NotSearched(f"{reason}, which can't be opened")
    elif content.startswith(b"PK\x03\x04"):
        yield from _of_zip(content, depth)
    elif opened := next((make for magic, make in _COMPRESSED.items() if content.startswith(magic)), None):
        yield from _inside(PurePath(name.stem), opened(io.BytesIO(content)), depth)
    elif content[257:262] == b"ustar":
        yield from _of_tar(content, depth)
    elif content.startswith(PARQUET):
        yield from _of_parquet(name, content)
    elif content.startswith(sqlite_files.MAGIC):
        yield from sqlite_parts(content, path)
    elif content.startswith(b"\x93NUMPY"):
        yield from _of_array(name.stem, np.load(io.BytesIO(content), allow_pickle=False))
    elif name.suffix == ".safetensors":
        yield from _of_safetensors(content)
    else:
        yield from _of_text(name, content)


def _inside(name: PurePath, file: Any, depth: int) -> Iterator[Part]:
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        yield NotSearched(f"compressed files of more than {LARGEST} bytes are not opened")
    else:
        yield Strings([str(name)])
        yield from parts_of(name, content, depth=depth + 1)


def _of_zip(content: bytes, depth: int) -> Iterator[Part]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            yield Strings([member.filename, member.comment.decode("utf-8", "replace")])
            if member.flag_bits & 1:
                yield NotSearched("encrypted archives can't be opened")
            elif not member.is_dir():
                with archive.open(member) as file:
                    yield from _inside(PurePath(PurePath(member.filename).name), file, depth)


def _of_tar(content: bytes, depth: int) -> Iterator[Part]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            yield Strings([member.name, member.linkname])
            if (file := archive.extractfile(member)) is not None:
                yield from _inside(PurePath(PurePath(member.name).name), file, depth)


def _of_parquet(name: PurePath, content: bytes) -> Iterator[Part]:
    table = StoredTable(content)
    names, kind = table.column_names, names_people(name)
    # A stored list of users has one column, "id"; one of items has the same, and the same small integers.
    people = [column for column in names if is_user(column) or (kind and column == "id")]
    things = [column for column in names if is_item(column) or (kind is False and column == "id")]
    # An assignment names the rows too, but is no table of interactions: its digest would be that of nothing.
    whole = table if {"user", "item"} <= {*names} and "shard" not in names else None
    if not people:
        yield from (Columns(None, _ids(table[column])) for column in things)
    for column in sorted(people):
        yield from _of_people(_ids(table[column]), _ids(table[things[0]]) if things else None, whole)
    yield from (Columns(_ids(table[column])) for column in names if column not in people and _is_called_user(column))
    yield Strings([text.decode("utf-8", "replace") for pair in table.metadata.items() for text in pair])
    for column in names:
        if column not in people and table.says_more(column):
            yield from _of_values(table[column])


def _of_people(users: pa.Array, items: pa.Array | None, rows: StoredTable | None = None) -> Iterator[Part]:
    """A column of people: a link names two, each beside the same items."""
    yield Columns(users, items if items is not None and len(items) == len(users) else None, rows)
    if pa.types.is_string(users.type) or pa.types.is_dictionary(users.type):
        yield Strings(distinct_ids(users).drop_null(), ids=True)


def _of_values(column: pa.ChunkedArray) -> Iterator[Part]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_nested(kind):
        yield from of_record(column.to_pylist())
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        yield from (part for value in column.unique().to_pylist() if value for part in _of_text(PurePath(), value))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values = distinct_ids(column.unify_dictionaries().combine_chunks()) if kind != column.type else column.unique()
        yield from of_texts(values.drop_null())


def _ids(column: Any) -> pa.Array:
    """A column of ids: int64 where all are whole numbers, text otherwise (a dictionary of texts as it is)."""
    values = column.unify_dictionaries().combine_chunks() if isinstance(column, pa.ChunkedArray) else pa.array(column)
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_dictionary(values.type):
        if pa.types.is_string(values.type.value_type):
            return values
        values = values.dictionary_decode()
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        values = values.flatten()
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        try:
            return values.cast(pa.int64())
        except pa.ArrowInvalid:
            pass
    try:
        return values.cast(pa.string())
    except pa.ArrowException:
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())


def _of_safetensors(content: bytes) -> Iterator[Part]:
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length]
    yield from of_record(json.loads(header, object_pairs_hook=Pairs))
    tensors = dict(_tensors(content, 8 + length, json.loads(header)))
    items = next((_ids(value) for name, value in tensors.items() if is_item(name)), None)
    for name, value in tensors.items():
        if is_user(name) and value.dtype.kind in "iuf":
            yield from _of_people(_ids(value), items)
        elif value.dtype.itemsize == 1:
            yield Raw(value.tobytes(), binary=True)  # Text in the shape of numbers.


def _tensors(content: bytes, begin: int, header: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors, each as one row, where they lie: nothing is copied. Of numbers that we don't know, the bytes.

    Raises ValueError unless they lie one behind the other, so that no byte belongs to none."""
    try:
        known = {name: said for name, said in header.items() if name != "__metadata__"}
        places = sorted((*map(int, said["data_offsets"]), name, str(said["dtype"])) for name, said in known.items())
    except (AttributeError, KeyError, TypeError):
        raise ValueError("not a header of tensors") from None
    ends = [0, *(last for _, last, _, _ in places)]
    if [first for first, _, _, _ in places] != ends[:-1] or begin + ends[-1] != len(content):
        raise ValueError("tensors must lie one behind the other")
    for first, last, name, kind in places:
        held = np.frombuffer(content, np.uint8)[begin + first : begin + last]
        yield name, held.view(_NUMBERS.get(kind, "u1"))


def _of_array(name: str, array: np.ndarray) -> Iterator[Part]:
    if is_user(name) and array.dtype.kind in "iufU":
        yield from _of_people(_ids(array.ravel()), None)
    elif array.dtype.kind == "U":
        yield Strings([str(value) for value in np.unique(array)])
    elif array.dtype.kind in "SV" or array.dtype.itemsize == 1:
        yield Raw(array.tobytes(), binary=True)


def sqlite_parts(content: bytes, path: Path | None) -> Iterator[Part]:
    """Every row, typed by its columns, and the bytes of what was deleted."""
    with sqlite_files.opened(content, path) as connection:
        for _, _, rows in sqlite_files.tables(connection):
            yield from of_record(list(rows))
    yield from (Raw(some, binary=True) for some in sqlite_files.unused(content))


def _of_text(name: PurePath, content: bytes) -> Iterator[Part]:
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if content.startswith(mark):
            content = content.decode(encoding, "replace").encode()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        yield Raw(content, binary=True)
        return
    if name.suffix in (".csv", ".tsv"):
        yield from _of_csv(text)
    else:
        yield from _of_lines(text)


def _of_csv(text: str) -> Iterator[Part]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t|", key=first.count)
    try:
        header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except (csv.Error, ValueError):
        yield Raw(text.encode(), binary=False)
        return
    wide = [row + [""] * (len(header) - len(row)) for row in rows]
    people = {place for place, name in enumerate(header) if is_user(name)}
    items = next((pa.array([row[p] for row in wide], pa.string()) for p, n in enumerate(header) if is_item(n)), None)
    for place in sorted(people):
        yield from _of_people(pa.array([row[place] for row in wide], pa.string()), items)
    for place in (place for place, name in enumerate(header) if place not in people and _is_called_user(name)):
        yield Columns(pa.array([row[place] for row in wide], pa.string()))
    yield from of_strings([*header, *{v for row in wide for p, v in enumerate(row) if p not in people}])


def _is_called_user(name: str) -> bool:
    """Whether a column of somebody else's table holds people by its name (customer_id), as ``lethe data add`` reads it.
    Its values are looked through as texts besides: more than ids may stand there."""
    return column_called("user", [name]) is not None


def _of_lines(text: str) -> Iterator[Part]:
    """One JSON value, or lines some of which are: a log, a report with one a line."""
    if text[:64].lstrip().startswith(("{", "[")) and (value := as_json(text)) is not None:
        yield from of_record(value)
        return
    values, others = [], []
    for line in text.splitlines(keepends=True):
        value = as_json(line) if line.lstrip()[:1] in ("{", "[") else None
        others.append(line) if value is None else values.append(value)
    yield from of_record(values)
    yield Raw("".join(others).encode(), binary=False)
