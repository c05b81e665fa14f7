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

from lethe.data.sources.find_file import is_a_row
from lethe.forgetting.stores import sqlite_files
from lethe.forgetting.stores.parquet_files import StoredTable
from lethe.forgetting.stores.parts import (
    NotSearched,
    Pairs,
    Part,
    Raw,
    Strings,
    decoded,
    is_called_user,
    is_item,
    is_user,
    names_people,
    of_record,
    of_strings,
    of_text,
)
from lethe.forgetting.stores.typed import ids_of, of_arrow, of_columns, of_people, of_stored

PARQUET = b"PAR1"
"""What a table's file begins with."""
DEEPEST = 3
"""How many archives may lie in one another."""
_HEAD = 1 << 12
"""Bytes in which the first line of a table ends."""
_FEW = 100
"""Rows by which it is seen that a first line is one too."""
LARGEST = 1 << 31
"""Bytes that one compressed file is unpacked to, at most."""
UNREADABLE = (ValueError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)
"""What broken contents raise."""

_NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1"}
_NUMBERS |= {"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}
_UNOPENED = {b"7z\xbc\xaf'\x1c": "7z archive", b"Rar!\x1a\x07": "rar archive", b"\x04\x22\x4d\x18": "lz4 file"}
_PARTLY = {
    b"ORC": "ORC file",
    b"Obj\x01": "Avro file",
    b"FEA1": "Feather file of version 1",
    b"\x89HDF\r\n": "HDF5 file",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "workbook or document of an older Office",
    b"\x80\x04\x95": "pickle",
    b"\x80\x05\x95": "pickle",
}
"""Kinds of files whose bytes are searched as text, and whose numbers and compressed columns aren't."""
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
        yield from of_stored(StoredTable(content), names_people(name))
    elif content.startswith((b"ARROW1\0\0", b"\xff\xff\xff\xff")):
        yield from _of_arrow(content)
    elif content.startswith(sqlite_files.MAGIC):
        yield from sqlite_parts(content, path)
    elif content.startswith(b"\x93NUMPY"):
        yield from _of_array(name.stem, np.load(io.BytesIO(content), allow_pickle=False))
    elif name.suffix == ".safetensors":
        yield from _of_safetensors(content)
    else:
        if kind := next((kind for magic, kind in _PARTLY.items() if content.startswith(magic)), None):
            yield NotSearched(f"{kind}: its bytes are searched as text, its columns are not read")
        yield from _of_text(name, content)


def _of_arrow(content: bytes) -> Iterator[Part]:
    reader = pa.ipc.open_file if content.startswith(b"ARROW1") else pa.ipc.open_stream
    try:
        table = reader(pa.BufferReader(content)).read_all()
    except pa.ArrowInvalid:
        if content.startswith(b"ARROW1"):
            raise
        yield Raw(content, binary=True)  # Four such bytes may begin anything.
        return
    yield from of_arrow(table)


def _inside(name: PurePath, file: Any, depth: int) -> Iterator[Part]:
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        yield NotSearched(f"compressed files of more than {LARGEST} bytes are not opened")
    else:
        yield Strings([str(name)])
        yield from parts_of(name, content, depth=depth + 1)


def _of_zip(content: bytes, depth: int) -> Iterator[Part]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if {"xl/workbook.xml", "xl/workbook.bin", "content.xml"} & {*archive.namelist()}:
            yield NotSearched("a workbook: its texts are searched, numbers in its cells are not told apart")
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


def _of_safetensors(content: bytes) -> Iterator[Part]:
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length]
    yield from of_record(json.loads(header, object_pairs_hook=Pairs))
    tensors = dict(_tensors(content, 8 + length, json.loads(header)))
    items = next((ids_of(value) for name, value in tensors.items() if is_item(name)), None)
    for name, value in tensors.items():
        if is_user(name) and value.dtype.kind in "iuf":
            yield from of_people(ids_of(value), items)
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
        yield from of_people(ids_of(array.ravel()), None)
    elif array.dtype.kind == "U":
        yield Strings([str(value) for value in np.unique(array)])
    elif array.dtype.kind in "SV" or array.dtype.itemsize == 1:
        yield Raw(array.tobytes(), binary=True)


def sqlite_parts(content: bytes, path: Path | None) -> Iterator[Part]:
    """Every row, typed by its columns, and the bytes of what was deleted."""
    with sqlite_files.opened(content, path) as connection:
        yield Strings(sqlite_files.words(connection))
        for _, _, rows in sqlite_files.tables(connection):
            yield from of_record(list(rows))
    yield from (Raw(some, binary=True) for some in sqlite_files.unused(content))


def _of_text(name: PurePath, content: bytes) -> Iterator[Part]:
    if not _has_rows(name, content):
        yield from of_text(content)
        return
    try:
        text = decoded(content)
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # As an older program writes it: ids of digits are the same.
        yield Raw(content, binary=True)
    yield from _of_csv(text)


def _has_rows(name: PurePath, content: bytes) -> bool:
    """Whether lines are rows of a table: its name says so, or its first line names a column of people."""
    if name.suffix.lower() in (".csv", ".tsv"):
        return True
    head = content[:_HEAD]
    try:
        first = decoded(head.rpartition(b"\n")[0] or head).partition("\n")[0]
        (header,) = csv.reader([first], delimiter=_delimiter(first))
    except (UnicodeDecodeError, csv.Error, ValueError):
        return False
    # A record is no head of a table, whatever its first name is.
    return first.lstrip()[:1] not in ("{", "[") and any(is_user(word) or is_called_user(word) for word in header)


def _delimiter(first: str) -> str:
    return max(",;\t|", key=first.count)


def _of_csv(text: str) -> Iterator[Part]:
    try:
        header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text.partition("\n")[0]))
    except (csv.Error, ValueError):
        yield Raw(text.encode(), binary=False)
        return
    wide = [row + [""] * (len(header) - len(row)) for row in rows]
    columns = {place: pa.array([row[place] for row in wide], pa.string()) for place in range(len(header))}
    people = {place for place, name in enumerate(header) if is_user(name)}
    if is_a_row(header, rows[:_FEW]):
        yield NotSearched("a table without names of its columns: ids in it are searched as text")
    yield from of_columns(header, lambda place: columns[place])
    yield from of_strings([*header, *{v for row in wide for p, v in enumerate(row) if p not in people}])
