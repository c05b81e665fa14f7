"""The absence scan: looking for what was forgotten, in every file of a store.

Three kinds of needle, because no one way of looking sees everything:

* ids, by structure: values of user columns in Parquet, CSV, JSON, SQLite and safetensors. A short id such as 42
  can't be searched as text: its two bytes occur by chance in any compressed file, timestamp or digest, so a text search
  would always "find" it and prove nothing; and in compressed Parquet it would miss it where it is.
* digests of tables and artifacts that must be gone: SHA-256 and MD5 of whole files, digests of interaction tables,
  names in content-addressed folders, and (where nothing may legitimately tell of the past) as text.
* texts long enough to be distinctive: ids of six characters and more, planted canaries; in the bytes of every file.

What was found is told by store, path and kind of needle, never by the needle itself. A file that can't be read counts
as found: it was not shown to be clean.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lethe.data.interactions import Interactions
from lethe.errors import LetheError
from lethe.unlearning.requests import DISTINCTIVE, ForgetRequest, holds, same_id

# By the names this project gives its columns: `users` and `items` are dense indices, which name nobody.
USER_COLUMNS = ("user", "user_id", "user_ids")
ITEM_COLUMNS = ("item", "item_id", "item_ids")


@dataclass(frozen=True)
class Needles:
    """What must be absent of one dataset. ``users``: raw ids as text; ``pairs``: (user, item); ``digests``: hex."""

    dataset: str
    users: frozenset[str] = field(default=frozenset(), repr=False)
    pairs: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)
    digests: frozenset[str] = frozenset()
    texts: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def of(
        cls,
        dataset: str,
        requests: Iterable[ForgetRequest],
        remaining: Interactions,
        digests: Collection[str] = (),
        texts: Collection[str] = (),
    ) -> Needles:
        """The needles of a dataset's requests whose subject is still in the ledger.

        A user who has rows again in ``remaining`` (newer than the request) is no needle, nor is such an interaction.
        ``digests``: of all that was before, less all that is now in use anywhere in the workspace.
        """
        gone = [r for r in requests if r.dataset == dataset and r.user is not None and not holds(remaining, r)]
        users = frozenset(str(r.user) for r in gone if r.kind == "user")
        pairs = frozenset((str(r.user), item) for r in gone for item in r.items)
        long_enough = {user for user in users if len(user) >= DISTINCTIVE}
        return cls(dataset, users, pairs, frozenset(digests), frozenset(texts) | long_enough)

    @cached_property
    def text_pattern(self) -> re.Pattern[bytes] | None:
        """Matches any of the texts, as UTF-8 or as JSON escapes it."""
        spellings = set(self.texts) | {json.dumps(text)[1:-1] for text in self.texts}
        return _any_of(_guarded(text) for text in sorted(spellings))

    @cached_property
    def digest_pattern(self) -> re.Pattern[bytes] | None:
        return _any_of(re.escape(digest.encode()) for digest in sorted(self.digests))

    def in_columns(self, users: np.ndarray, items: np.ndarray | None) -> str | None:
        """Kind of needle in aligned columns of raw ids (int64 or object of str), if there is one."""
        if any(same_id(users, user).any() for user in self.users):
            return "user id"
        if items is not None and any((same_id(users, u) & same_id(items, i)).any() for u, i in self.pairs):
            return "interaction"
        return None

    def in_content(self, content: bytes, digests_as_text: bool = False) -> str | None:
        """Kind of needle in bytes."""
        if self.text_pattern is not None and self.text_pattern.search(content):
            return "text"
        if self.digest_pattern is not None and digests_as_text and self.digest_pattern.search(content):
            return "digest"
        if self.digests and {hashlib.sha256(content).hexdigest(), _md5(content)} & self.digests:
            return "digest"
        return None


def _any_of(patterns: Iterable[bytes]) -> re.Pattern[bytes] | None:
    joined = b"|".join(patterns)
    return re.compile(joined) if joined else None


def _guarded(text: str) -> bytes:
    # Digits (and hex digits) also occur inside timestamps and digests: such a text must stand alone.
    escaped = re.escape(text.encode())
    return rb"(?<![0-9A-Za-z])" + escaped + rb"(?![0-9A-Za-z])" if re.fullmatch("[0-9a-fA-F]+", text) else escaped


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()  # DVC names its objects so.


def find_in_file(path: Path, needles: Needles, *, digests_as_text: bool = False) -> str | None:
    """Kind of needle in a file's name, bytes or structure; "unreadable" if it can't be looked into."""
    try:
        content = path.read_bytes()
        return (
            _find_in_name(path, needles)
            or needles.in_content(content, digests_as_text)
            or _find_in_structure(path, content, needles)
        )
    except FileNotFoundError:
        return None  # Gone between listing and reading: a journal, a temporary file.
    except (OSError, pa.ArrowException, sqlite3.Error, LetheError):
        return "unreadable"


def _find_in_name(path: Path, needles: Needles) -> str | None:
    # DVC's cache splits the MD5 into folder and file, and adds .dir to a listing's.
    stem = path.name.removesuffix(".dir")
    if needles.digests & {stem, path.parent.name, path.parent.name + stem}:
        return "digest"
    return "text" if needles.text_pattern and needles.text_pattern.search(path.name.encode()) else None


def _find_in_structure(path: Path, content: bytes, needles: Needles) -> str | None:
    if not (needles.users or needles.pairs or needles.digests or needles.texts):
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
        if needles.text_pattern and (
            pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type)
        ):
            values = "\n".join(str(value) for value in table[name].unique().to_pylist())
            if needles.text_pattern.search(values.encode()):
                return "text"
    # A stored list of users has one column, "id"; one of items has the same, and the same small integers.
    named = (*USER_COLUMNS, "id") if path.name == "users.parquet" else USER_COLUMNS
    users, items = (_column(table, names) for names in (named, ITEM_COLUMNS))
    if users is not None and (found := needles.in_columns(users, items)):
        return found
    if needles.digests and {"user", "item"} <= set(table.column_names):
        return "digest" if Interactions.read(path).digest() in needles.digests else None
    return None


def _column(table: pa.Table, names: Sequence[str]) -> np.ndarray | None:
    found = next((name for name in names if name in table.column_names), None)
    if found is None:
        return None
    column = table[found]
    if pa.types.is_integer(column.type) and not column.null_count:
        return column.to_numpy()
    return np.array([str(value) for value in column.to_pylist()], dtype=object)


def _find_in_safetensors(content: bytes, needles: Needles) -> str | None:
    from safetensors.numpy import load

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
        users, items = (_named(value, names) for names in (USER_COLUMNS, ITEM_COLUMNS))
        if needles.users & users:
            return "user id"
        if any(user in users and item in items for user, item in needles.pairs):
            return "interaction"
        value = list(value.values())
    if isinstance(value, list):
        return next((found for inner in value if (found := _find_in_value(inner, needles))), None)
    if isinstance(value, str) and needles.text_pattern and needles.text_pattern.search(value.encode()):
        return "text"
    return None


def _named(record: dict[Any, Any], names: Sequence[str]) -> set[str]:
    values = (record[name] for name in names if name in record)
    return {str(one) for value in values for one in (value if isinstance(value, list) else [value])}


def _find_in_sqlite(path: Path, needles: Needles) -> str | None:
    # Value by value, because SQLite lays texts side by side, where a text that must stand alone doesn't.
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
        return next((found for row in _rows(connection) if (found := _find_in_row(row, needles))), None)


def _rows(connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
    )
    for (table,) in tables.fetchall():
        cursor = connection.execute('SELECT * FROM "{}"'.format(table.replace('"', '""')))
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))


def _find_in_row(row: dict[str, Any], needles: Needles) -> str | None:
    if found := _find_in_value(row, needles):
        return found
    contents = (value.encode() if isinstance(value, str) else value for value in row.values())
    texts = (content for content in contents if isinstance(content, bytes))
    return next((found for content in texts if (found := _find_in_json(content, needles))), None)
