"""The parts that contents come in: columns of ids, other texts, bytes; and how records fall into them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import PurePath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lethe.data.sources.find_columns import column_called
from lethe.forgetting.stores.parquet_files import StoredTable

# By the names this project gives its columns, case and underscores aside: `users` and `items` are dense indices, which
# name nobody.
USER_NAMES = ("user", "userid", "userids", "friend")
ITEM_NAMES = ("item", "itemid", "itemids")
_MARKS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
_MOST = 0.7
"""Of every second byte, how many are zero where a text is in UTF-16 and does not say so."""
_IDS = ("id", "key", "number")
"""What the id is called inside of what tells of somebody: {"user": {"id": 42}}."""


@dataclass(frozen=True)
class Columns:
    """Aligned columns of raw ids, int64 or text (plain or a dictionary). ``rows``: the table they are of, if it is one
    of interactions; ``called``: a word of others' by which the users are taken for people."""

    users: pa.Array | None
    items: pa.Array | None = None
    rows: StoredTable | None = None
    called: str | None = None


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
    aligned, lone = defaultdict[str | None, tuple[list[str], list[str | None]]](lambda: ([], [])), list[str]()
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            value = Pairs((str(name), inner) for name, inner in value.items())
        if isinstance(value, Pairs):
            people = [text for name, inner in value if is_user(name) for text in _plain(inner)]
            others = [(name, text) for name, inner in value if is_called_user(name) for text in _plain(inner)]
            things = [text for name, inner in value if is_item(name) for text in _plain(inner)]
            named = [text for name, inner in value if others and is_called_item(name) for text in _plain(inner)]
            beside = things or named
            for called, user in (*((None, user) for user in people), *others):
                users, items = aligned[called]
                users += [user] * max(1, len(beside))
                items += beside or [None]
            lone += beside
            ids += people
            strings += [name for name, _ in value]
            waiting += [inner for name, inner in value if not is_user(name) or isinstance(inner, (dict, list, tuple))]
        elif isinstance(value, (list, tuple)):
            waiting += [_entries(value)] if _is_map(value) else value
        elif isinstance(value, bytes):
            yield from of_text(value)
        elif isinstance(value, str):
            strings.append(value)
    if lone:
        yield Columns(None, pa.array(lone, pa.string()))
    for called, (users, items) in aligned.items():
        yield Columns(pa.array(users, pa.string()), pa.array(items, pa.string()), called=called)
    yield Strings(ids, ids=True)
    yield from of_strings(strings)


def of_text(content: bytes) -> Iterator[Part]:
    """Text without a name: one JSON value, or lines some of which are (a log, a report with one a line); or else
    bytes."""
    try:
        text = decoded(content)
    except UnicodeDecodeError:
        yield Raw(content, binary=True)
        return
    if text[:64].lstrip().startswith(("{", "[")) and (value := as_json(text)) is not None:
        yield from of_record(value)
        return
    values, others = [], []
    for line in text.splitlines(keepends=True):
        value = as_json(line) if line.lstrip()[:1] in ("{", "[") else None
        others.append(line) if value is None else values.append(value)
    yield from of_record(values)
    yield Raw("".join(others).encode(), binary=False)


def decoded(content: bytes) -> str:
    """Text in UTF-8, or in what its first bytes say. Raises UnicodeDecodeError for what is no text."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace").encode(errors="replace").decode()
    half, zeros = len(content) // 2, (content[::2].count(0), content[1::2].count(0))
    for some, others, encoding in ((*zeros, "utf-16-be"), (*zeros[::-1], "utf-16-le")):
        if some > _MOST * half and not others:
            return content.decode(encoding, "replace").encode(errors="replace").decode()
    return content.decode()


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
    """The ids in a value: itself, its entries, or the names of its entries; and what they call their id."""
    if isinstance(value, (list, tuple)) and _is_map(value):
        value = _entries(value)
    if isinstance(value, dict):
        value = Pairs((str(name), inner) for name, inner in value.items())
    if isinstance(value, Pairs):
        return [*(name for name, _ in value), *_called_id(value)]
    if isinstance(value, (list, tuple)):
        return [text for inner in value for text in _one_of(inner)]
    return _one_of(value)


def _one_of(value: Any) -> list[str]:
    if isinstance(value, bytes):
        return [value.decode("utf-8", "replace")]
    if isinstance(value, (dict, list, tuple)):
        return _plain(value) if not isinstance(value, (Pairs, dict)) else _called_id(value)
    return [] if value is None or isinstance(value, bool) else [str(value)]


def _called_id(value: Pairs | dict[str, Any]) -> list[str]:
    entries = value.items() if isinstance(value, dict) else value
    plain = [inner for name, inner in entries if _normal(str(name)) in _IDS]
    return [text for inner in plain if not isinstance(inner, (dict, list, tuple)) for text in _one_of(inner)]


def _is_map(value: Sequence[Any]) -> bool:
    """Whether a value is a column's map, which Arrow gives as names with values."""
    pairs = not isinstance(value, Pairs) and len(value) > 0
    return pairs and all(isinstance(one, tuple) and len(one) == 2 for one in value)


def _entries(value: Sequence[Any]) -> Pairs:
    return Pairs((str(name), inner) for name, inner in value)


def names_people(name: PurePath) -> bool | None:
    """Whether a stored list's ids are of people (or else of things), as its name says; None if it doesn't."""
    return {"users.parquet": True, "friends.parquet": True, "items.parquet": False}.get(name.name)


def is_user(name: str) -> bool:
    return _normal(name) in USER_NAMES


def is_item(name: str) -> bool:
    return _normal(name) in ITEM_NAMES


@lru_cache(1 << 12)
def is_called_user(name: str) -> bool:
    """Whether what somebody else made holds people by its name (customer_id), as ``lethe data add`` reads it, in words
    other than ours. Its values are looked through as texts besides: more than ids may stand there."""
    plain = name[:-1] if name.lower().endswith("ids") else name
    return not is_user(name) and column_called("user", [plain]) is not None


@lru_cache(1 << 12)
def is_called_item(name: str) -> bool:
    """Whether what stands beside such people are things."""
    return not is_item(name) and column_called("item", [name]) is not None


def _normal(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").strip()
