"""The parts that contents come in: columns of ids, other texts, bytes; and how records fall into them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lethe.forgetting.stores.parquet_files import StoredTable

# By the names this project gives its columns, case and underscores aside: `users` and `items` are dense indices, which
# name nobody.
USER_NAMES = ("user", "userid", "userids", "friend")
ITEM_NAMES = ("item", "itemid", "itemids")


@dataclass(frozen=True)
class Columns:
    """Aligned columns of raw ids, int64 or text (plain or a dictionary). ``rows``: the table they are of, if it is one
    of interactions."""

    users: pa.Array | None
    items: pa.Array | None = None
    rows: StoredTable | None = None


@dataclass(frozen=True)
class Strings:
    """Texts, each whole. ``ids``: they stand where ids of people stand."""

    values: Sequence[str] | pa.Array
    ids: bool = False

    @cached_property
    def joined(self) -> bytes:
        if isinstance(self.values, pa.Array):
            return _joined(self.values)
        return b"\0".join(value.encode(errors="surrogatepass") for value in self.values)


@dataclass(frozen=True)
class Raw:
    """Bytes without a structure that we know: UTF-8 text, or not."""

    content: bytes
    binary: bool


@dataclass(frozen=True)
class NotSearched:
    """Why something was not looked into."""

    reason: str


Part = Columns | Strings | Raw | NotSearched


def distinct_ids(column: pa.Array) -> pa.Array:
    """The distinct values of a column. What a dictionary holds is in the file, whether or not a row has it."""
    # Ids stand in runs: to count runs takes a tenth of telling what is distinct among all rows.
    return column.dictionary if pa.types.is_dictionary(column.type) else pc.run_end_encode(column).values.unique()


def as_json(text: str) -> Any:
    """A JSON object or list; None for what is none."""
    try:
        return json.loads(text, object_pairs_hook=Pairs)
    except (ValueError, RecursionError):
        return None


class Pairs(list[tuple[str, Any]]):
    """A JSON object, whose names may be repeated."""


def of_record(record: Any) -> Iterator[Part]:
    """Nested records: ids by the names they stand under, with the items beside them, and every other text."""
    strings, ids, waiting = list[str](), list[str](), [record]
    users, items, lone = list[str](), list[str | None](), list[str]()
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            value = Pairs((str(name), inner) for name, inner in value.items())
        if isinstance(value, Pairs):
            people = [text for name, inner in value if is_user(name) for text in _plain(inner)]
            beside = [text for name, inner in value if is_item(name) for text in _plain(inner)]
            for user in people:
                users += [user] * max(1, len(beside))
                items += beside or [None]
            lone += beside
            ids += people
            strings += [name for name, _ in value]
            waiting += [inner for name, inner in value if not is_user(name) or isinstance(inner, (dict, list))]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, bytes):
            try:
                strings.append(value.decode())
            except UnicodeDecodeError:
                yield Raw(value, binary=True)
        elif isinstance(value, str):
            strings.append(value)
    if lone:
        yield Columns(None, pa.array(lone, pa.string()))
    if users:
        yield Columns(pa.array(users, pa.string()), pa.array(items, pa.string()))
        yield Strings(ids, ids=True)
    yield from of_strings(strings)


def of_strings(values: Iterable[str]) -> Iterator[Part]:
    """Texts, those that are JSON opened."""
    texts = []
    for value in values:
        record = as_json(value) if value[:1] in ("{", "[") else None
        if record is None:
            texts.append(value)
        else:
            yield from of_record(record)
    yield Strings(texts)


def of_texts(values: pa.Array) -> Iterator[Part]:
    """``of_strings`` of a column without nulls, of which Python sees what may be JSON alone."""
    opened = pc.or_(pc.starts_with(values, "{"), pc.starts_with(values, "["))
    yield from of_strings(values.filter(opened).to_pylist())
    yield Strings(values.filter(pc.and_not(pc.not_equal(values, ""), opened)))


def _joined(values: pa.Array) -> bytes:
    """Texts one behind the other, a zero byte between two."""
    texts = values.drop_null().cast(pa.large_string()).cast(pa.large_binary())
    ends = pa.array([0, len(texts)], pa.int64())
    return pc.binary_join(pa.LargeListArray.from_arrays(ends, texts), pa.scalar(b"\0", pa.large_binary()))[0].as_py()


def _plain(value: Any) -> list[str]:
    """The ids in a value: itself, its entries, or the names of its entries."""
    if isinstance(value, Pairs):
        return [name for name, _ in value]
    if isinstance(value, dict):
        return [str(name) for name in value]
    if isinstance(value, list):
        return [str(inner) for inner in value if isinstance(inner, (str, int, float)) and not isinstance(inner, bool)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


def names_people(name: PurePath) -> bool | None:
    """Whether a stored list's ids are of people (or else of things), as its name says; None if it doesn't."""
    return {"users.parquet": True, "friends.parquet": True, "items.parquet": False}.get(name.name)


def is_user(name: str) -> bool:
    return _normal(name) in USER_NAMES


def is_item(name: str) -> bool:
    return _normal(name) in ITEM_NAMES


def _normal(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").strip()
