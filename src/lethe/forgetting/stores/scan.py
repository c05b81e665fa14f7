"""The absence scan of one file: by its name, its bytes and, where its kind is known, its columns and records.

What was found is told by kind of needle (see needles.py), never by the needle itself. A file that can't be read counts
as found: it was not shown to be clean.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load

from lethe.errors import LetheError
from lethe.forgetting.stores.needles import ITEM_COLUMNS, USER_COLUMNS, Needles, named
from lethe.tables.interactions import Interactions


def find_in_file(path: Path, needles: Needles, *, digests_as_text: bool = False) -> str | None:
    """Kind of needle in a file's name, bytes or structure; "unreadable" if it can't be looked into."""
    try:
        content = path.read_bytes()
        return (
            find_in_name(path, needles)
            or needles.in_content(content, digests_as_text)
            or _find_in_structure(path, content, needles)
        )
    except FileNotFoundError:
        return None  # Gone between listing and reading: a journal, a temporary file.
    except (OSError, pa.ArrowException, sqlite3.Error, SafetensorError, LetheError):
        return "unreadable"


def find_in_name(path: PurePath, needles: Needles) -> str | None:
    """Kind of needle in a file's own name."""
    # DVC's cache splits the MD5 into folder and file, and adds .dir to a listing's.
    stem = path.name.removesuffix(".dir")
    if needles.digests & {stem, path.parent.name, path.parent.name + stem}:
        return "digest"
    return "text" if needles.as_text.found_in(path.name.encode()) else None


def _find_in_structure(path: Path, content: bytes, needles: Needles) -> str | None:
    if not needles:
        return None
    if content.startswith(b"PAR1"):
        return _find_in_parquet(path, content, needles)
    if content.startswith(b"SQLite format 3\0"):
        return _find_in_sqlite(path, needles)
    if path.suffix == ".safetensors":
        return _find_in_safetensors(content, needles)
    if path.suffix == ".csv":
        return _find_in_csv(content, needles)
    return _find_in_json(content, needles)


def _find_in_parquet(path: Path, content: bytes, needles: Needles) -> str | None:
    table = pq.read_table(io.BytesIO(content))
    for name in table.column_names:
        if needles.texts and (pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type)):
            values = "\n".join(str(value) for value in table[name].unique().to_pylist())
            if needles.as_text.found_in(values.encode()):
                return "text"
    # A stored list of users has one column, "id"; one of items has the same, and the same small integers.
    people = (*USER_COLUMNS, "id") if path.name in ("users.parquet", "friends.parquet") else USER_COLUMNS
    items = next((_column(table, name) for name in ITEM_COLUMNS if name in table.column_names), None)
    # Every column of people: a link names two.
    for users in (_column(table, name) for name in people if name in table.column_names):
        if found := needles.in_columns(users, items):
            return found
    if needles.digests and {"user", "item"} <= set(table.column_names):
        return "digest" if Interactions.read(path).digest() in needles.digests else None
    return None


def _column(table: pa.Table, name: str) -> np.ndarray:
    column = table[name]
    if pa.types.is_integer(column.type) and not column.null_count:
        return column.to_numpy()
    return np.array([str(value) for value in column.to_pylist()], dtype=object)


def _find_in_safetensors(content: bytes, needles: Needles) -> str | None:
    tensors = load(content)
    users = next((tensors[name] for name in USER_COLUMNS if name in tensors), None)
    items = next((tensors[name] for name in ITEM_COLUMNS if name in tensors), None)
    if users is None:
        return None
    return needles.in_columns(users, items if items is not None and items.shape == users.shape else None)


def _find_in_csv(content: bytes, needles: Needles) -> str | None:
    rows = csv.DictReader(io.StringIO(content.decode("utf-8", errors="replace")))
    if not set(rows.fieldnames or ()) & set(USER_COLUMNS):
        return None
    return next((found for row in rows if (found := _find_in_value(row, needles))), None)


def _find_in_json(content: bytes, needles: Needles) -> str | None:
    if not content[:64].lstrip().startswith((b"{", b"[")):
        return None
    try:
        return _find_in_value(json.loads(content), needles)
    except ValueError:
        pass
    # Not one value: a log or report with one a line.
    for line in content.splitlines():
        try:
            found = _find_in_value(json.loads(line), needles)
        except ValueError:
            continue
        if found:
            return found
    return None


def _find_in_value(value: Any, needles: Needles) -> str | None:
    if isinstance(value, dict):
        users, items = (named(value, names) for names in (USER_COLUMNS, ITEM_COLUMNS))
        if any(needles.is_user(user) for user in users):
            return "user id"
        if any(needles.is_pair(user, items) for user in users):
            return "interaction"
        value = list(value.values())
    if isinstance(value, list):
        return next((found for inner in value if (found := _find_in_value(inner, needles))), None)
    if isinstance(value, str) and needles.texts and needles.as_text.found_in(value.encode()):
        return "text"
    return None


def _find_in_sqlite(path: Path, needles: Needles) -> str | None:
    # Value by value, because SQLite lays texts side by side, where a text that must stand alone doesn't.
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
        for _, _, rows in tables(connection):
            if found := next((found for row in rows if (found := find_in_row(row, needles))), None):
                return found
    return None


def tables(connection: sqlite3.Connection) -> Iterator[tuple[str, str, Iterator[dict[str, Any]]]]:
    """(name, name of the row's number, rows) of every ordinary table of an SQLite database."""
    connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
    for (table,) in names.fetchall():
        quoted = table.replace('"', '""')
        without = connection.execute("SELECT wr FROM pragma_table_list(?)", (table,)).fetchone()
        number = "" if without and without[0] else "rowid AS _rowid_, "
        cursor = connection.execute(f'SELECT {number}* FROM "{quoted}"')
        columns = [column[0] for column in cursor.description]
        rows = (dict(zip(columns, row, strict=True)) for row in cursor)
        yield quoted, "_rowid_" if number else columns[0], rows


def find_in_row(row: dict[str, Any], needles: Needles) -> str | None:
    """Kind of needle in one row of a database, whose values may themselves be JSON."""
    if found := _find_in_value(row, needles):
        return found
    contents = (value.encode() if isinstance(value, str) else value for value in row.values())
    texts = (content for content in contents if isinstance(content, bytes))
    return next((found for content in texts if (found := _find_in_json(content, needles))), None)
