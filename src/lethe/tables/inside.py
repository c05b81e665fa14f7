"""Ids that stand inside of what features, contexts and facts say: "sold by joe".

What counts there is what the scan counts in any text (``Sought``): an id that stands for itself, neither in a longer
word (``joe`` in ``joey``) nor in a longer id that is known (``joe`` in ``jim,joe``), in any of
its spellings; and none that texts hold by chance.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from lethe.tables.blocks import Block, Source, in_steps, rows_of
from lethe.tables.columns import holds_text
from lethe.tables.side_tables import DISTINCTIVE_DIGITS
from lethe.tables.sought import ESCAPED, WORD, Sought
from lethe.tables.spelt import readings, spellings
from lethe.tables.texts import Column, Texts

DISTINCTIVE = 6
"""Least length in characters of an id that may be searched as text: shorter ones occur by chance."""

_TIME = re.compile(r"\d{4}-\d\d(-\d\d([T ]\d\d(:\d\d){0,2}(\.\d+)?(Z|[+-]\d\d:?\d\d)?)?)?", re.ASCII)
_AT_ONCE = 1 << 15  # Values looked through together.


def is_ordinary(raw: str) -> bool:
    """Whether an id is one that texts hold by chance: short, or a day or a time, which records have."""
    return _TIME.fullmatch(raw) is not None or len(raw) < (DISTINCTIVE_DIGITS if raw.isdigit() else DISTINCTIVE)


@dataclass(frozen=True)
class KnownIds:
    """The ids of users and items of some interactions, read when they are first asked for: a hit inside a longer one of
    them is none."""

    rows: tuple[Source, ...] = field(default=(), repr=False)

    @cached_property
    def ids(self) -> pa.LargeStringArray:
        there = [rows for rows in self.rows if not isinstance(rows, Path) or rows.is_file()]
        steps = [ids for rows in there for ids in in_steps(_ids_of, rows)]
        return pa.concat_arrays([_no_texts(), *(ids for step in steps for ids in step)]).unique()


NOBODY = KnownIds()


def inside(column: Column, ids: Collection[str], known: KnownIds) -> dict[str, np.ndarray]:
    """{id: [n] bool}: in which rows a column of what is said has one of these ids in it, or is it; only ids that
    stand in some."""
    wanted = frozenset(raw for raw in ids if not is_ordinary(raw))
    if not wanted or not holds_text(column):
        return {}
    texts = _texts(column)
    values = texts.values.cast(pa.large_string())
    # Who is known takes long to tell, and mostly there is no hit at all.
    there = frozenset(raw for _, raw in Sought(wanted).in_each(values))
    places = defaultdict[str, list[int]](list)
    for place, raw in Sought(there, known.ids).in_each(values) if there else ():
        places[raw].append(place)
    return {raw: np.isin(texts.codes, of_it) for raw, of_it in sorted(places.items())}


def lengths_of(raw: str) -> set[int]:
    """How many bytes an id has where it stands inside of something, spelt in one way or another; none if that is no
    hit."""
    return set() if is_ordinary(raw) else {len(spelling) for spelling in spellings(raw)}


def may_stand_inside(column: Column, lengths: Collection[int]) -> set[str]:
    """All texts of these lengths, in bytes, that may be ids by which what a column says names somebody, and further
    ones: for who knows of ids their digests alone."""
    if not lengths or not holds_text(column):
        return set()
    values = _texts(column).values.to_pylist()
    blocks = (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))
    spelt = {some for block in blocks for some in _stretches("\0".join(block).encode(), lengths)}
    return {raw for some in spelt for raw in readings(some)}


def _stretches(content: bytes, lengths: Collection[int]) -> set[bytes]:
    """What of these lengths begins and ends where a word may."""
    content = b"\0" + content + b"\0"
    block = np.frombuffer(content, dtype=np.uint8)
    begins = np.zeros(len(block), dtype=bool)
    begins[1:] = ~WORD[block[:-1]]
    begins[[match.end(1) for match in ESCAPED.finditer(content)]] = True
    starts, values = np.flatnonzero(begins), np.cumsum(block == 0)
    found = set[bytes]()
    for length in lengths:
        some = starts[starts + length < len(block)]
        some = some[~WORD[block[some + length]] & (values[some + length - 1] == values[some]) & (block[some] != 0)]
        found.update(content[start : start + length] for start in some.tolist())
    return found


def _ids_of(block: Block, _: object) -> list[pa.LargeStringArray]:
    rows = rows_of(block)
    return [
        _texts(ids).used().values.cast(pa.large_string()) for ids in (rows.user_ids, rows.item_ids) if holds_text(ids)
    ]


def _texts(column: Column) -> Texts:
    return column if isinstance(column, Texts) else Texts.of(pa.array(column.tolist(), pa.string()))


def _no_texts() -> pa.LargeStringArray:
    return pa.array([], pa.large_string())
