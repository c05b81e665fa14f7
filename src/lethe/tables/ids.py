"""Ids of people and things: the one rule of what an id is, ids as the source has them, and as dense indices.

An integer id is a whole number in int64, which has one spelling; any other id is text, to the letter. What is let into
a table (``id_fault``) is what a request or a call of the service may name, so that nothing is held that can't be asked
for. ``same_id`` and ``Ids.place`` compare by the one spelling, ``near`` counts the others.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lethe.errors import DataError
from lethe.tables.columns import column_of, distinct, distinct_integers, from_arrow, read_parquet, write_parquet
from lethe.tables.texts import Column, Texts, concatenated

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_NUMBER = re.compile(r"([+-]?)0*([0-9]+)(?:\.0*)?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INT64 = np.iinfo(np.int64)
_FEW = 1000
"""Texts that are sooner looked up one by one."""
EXACT = 2**53
"""Floating-point numbers above it skip integers, so that two ids may have become one."""


def as_integer(raw: str) -> int | None:
    """The integer id that a text spells; None where it is text: "042", "+42", "42.0", beyond int64."""
    if not _INTEGER.fullmatch(raw):
        return None
    number = int(raw)
    return number if _INT64.min <= number <= _INT64.max else None


def id_fault(raw: str) -> str | None:
    """Why a text can be nobody's id, or None. What has no fault can be stored, told apart and asked for everywhere."""
    if not raw.strip():
        return "must not be empty"
    if "\0" in raw:
        return "must not hold a NUL character"
    return "must be valid Unicode, got half of a surrogate pair" if _SURROGATE.search(raw) else None


@dataclass(frozen=True)
class Ids:
    """Sorted distinct raw ids; the dense index of an id is its place. ``values`` [n] int64 or object (str)."""

    values: np.ndarray

    @classmethod
    def of(cls, *columns: Column) -> Ids:
        """The ids of one or several columns."""
        numbers = [ids for ids in columns if isinstance(ids, np.ndarray) and ids.dtype != object]
        if len(numbers) < len(columns):
            return cls(distinct(concatenated(columns))[0])
        parts = [distinct_integers(ids) for ids in numbers]
        return cls(parts[0] if len(parts) == 1 else distinct_integers(np.concatenate(parts)))

    @classmethod
    def in_file(cls, path: Path, column: str) -> Ids:
        """The ids of one column of a Parquet file, of which nothing else is decoded. Raises DataError where it can't be
        read."""
        try:
            with pq.ParquetFile(path, read_dictionary=[column]) as file:
                empty = file.schema_arrow.empty_table()[column]
                groups = (file.read_row_group(group, [column])[column] for group in range(file.num_row_groups))
                some = [cls.of(column_of(group)).values for group in chain([empty], groups)]
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(f"{path}: not a readable Parquet file ({type(error).__name__})") from None
        return cls.of(*some)

    def __len__(self) -> int:
        return len(self.values)

    def place(self, raw: int | str) -> int:
        """The dense index of one id, or -1. 42 and "42" name the same integer; no other spelling does."""
        wanted: int | str | None = str(raw) if self.values.dtype == object else as_integer(str(raw))
        if wanted is None or not len(self.values):
            return -1
        if self._places is not None:
            place = int(wanted) - int(self.values[0]) + 1
            return int(self._places[place]) if 0 < place < len(self._places) else -1
        place = bisect_left(self.values, wanted)
        return place if place < len(self.values) and self.values[place] == wanted else -1

    def encode(self, ids: Column) -> np.ndarray:
        """Raw ids [m] -> dense indices [m] int64; -1 where the id is unknown."""
        if isinstance(ids, Texts) and len(self.values) and len(ids):
            texts = ids if len(ids.values) <= len(ids) else ids.compact()
            return self._encode_all(texts.values)[texts.codes]
        ids = np.asarray(ids)
        if len(self.values) == 0 or len(ids) == 0:
            return np.full(len(ids), -1, dtype=np.int64)
        if (ids.dtype == object) != (self.values.dtype == object):
            if self.values.dtype == object:
                return self.encode(ids.astype(str).astype(object))
            numbers = [as_integer(str(value)) for value in ids]
            known = np.array([number is not None for number in numbers])
            places = np.full(len(ids), -1, dtype=np.int64)
            places[known] = self.encode(np.array([n for n in numbers if n is not None], dtype=np.int64))
            return places
        if self._places is not None:
            # What lies outside is clipped to an end, where -1 stands; so does a difference that overflows.
            with np.errstate(over="ignore"):
                return self._places.take(ids.astype(np.int64, copy=False) - (self.values[0] - 1), mode="clip")
        if ids.dtype == object and len(ids) > _FEW:
            return self._encode_texts(pa.array(ids.tolist(), pa.string()))
        places = np.searchsorted(self.values, ids)
        places[places == len(self.values)] = 0
        return np.where(self.values[places] == ids, places, -1).astype(np.int64)

    def _encode_all(self, texts: pa.StringArray) -> np.ndarray:
        if self.values.dtype == object and len(texts) > _FEW:
            return self._encode_texts(texts)
        return self.encode(np.array(texts.to_pylist(), dtype=object))

    def _encode_texts(self, texts: pa.StringArray) -> np.ndarray:
        """By hashing: a search among sorted texts compares each some twenty times."""
        import pyarrow.compute as pc  # Not at the top: it takes as long to import as a request takes to be counted.

        wanted = pa.array(self.values.tolist(), pa.string())
        places = pc.index_in(texts, value_set=wanted, skip_nulls=True)
        return places.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)

    @cached_property
    def _places(self) -> np.ndarray | None:
        """The index of every integer from one below the smallest id to one above the largest, -1 where it is no id.

        None where ids are text, or so far apart that the table would outgrow them.
        """
        if self.values.dtype == object or int(self.values[-1]) - int(self.values[0]) > 8 * len(self.values):
            return None
        low = self.values[0]
        places = np.full(self.values[-1] - low + 3, -1, dtype=np.int64)
        places[self.values - low + 1] = np.arange(len(self.values))
        return places

    def decode(self, indices: np.ndarray) -> np.ndarray:
        """Dense indices -> raw ids."""
        return self.values[indices]

    def write(self, path: Path) -> None:
        write_parquet(
            pa.table({"id": pa.array(self.values, pa.string() if self.values.dtype == object else None)}), path
        )

    @classmethod
    def read(cls, path: Path) -> Ids:
        return cls(from_arrow(read_parquet(path)["id"]))


NOBODY = Ids(np.empty(0, dtype=np.int64))


def canonical_ids(name: str, column: Column) -> Column:
    """[n] int64, or text. Raises DataError, naming the column, for what can be no id."""
    if isinstance(column, Texts):
        if broken := fault_among(column):
            raise DataError(f"Column {name!r}: an id {broken[0]}, {broken[1]} values break that")
        return column
    column = np.asarray(column)
    if np.issubdtype(column.dtype, np.integer):
        if column.dtype.kind == "u" and len(column) and column.max() > _INT64.max:
            return column.astype(str).astype(object)
        return column.astype(np.int64)
    if np.issubdtype(column.dtype, np.floating):
        return _whole_numbers(name, column)
    missing = sum(v is None or v != v for v in column)
    if missing:
        raise DataError(f"Column {name!r}: {missing} values are missing")
    text = np.array([str(v) for v in column], dtype=object)
    for raw in sorted(set(text)):
        if fault := id_fault(raw):
            count = sum(id_fault(value) == fault for value in text)
            raise DataError(f"Column {name!r}: an id {fault}, {count} values break that")
    return text


def fault_among(texts: Texts) -> tuple[str, int] | None:
    """Why some of these texts can be nobody's ids, and how many rows have it; None where all are sound."""
    import pyarrow.compute as pc

    # Whatever holds a letter or figure of ASCII is not empty; Arrow's text holds no half of a surrogate pair.
    sound = pc.and_not(pc.match_substring_regex(texts.values, "[!-~]"), pc.match_substring(texts.values, "\0"))
    doubtful = np.flatnonzero(~np.asarray(sound))
    faults = {int(place): fault for place in doubtful if (fault := id_fault(texts.values[int(place)].as_py()))}
    counts = np.bincount(texts.codes, minlength=len(texts.values)) if faults else np.zeros(0)
    there = [place for place in faults if counts[place]]
    if not there:
        return None
    first = faults[min(there, key=lambda place: str(texts.values[place].as_py()))]
    return first, int(sum(counts[place] for place in there if faults[place] == first))


def _whole_numbers(name: str, column: np.ndarray) -> np.ndarray:
    missing = int(np.isnan(column).sum())
    if missing:
        raise DataError(f"Column {name!r}: {missing} values are missing")
    if np.any(column != np.floor(column)):
        raise DataError(f"Column {name!r}: ids must be integers or text, got fractions")
    beyond = int((np.abs(column) >= EXACT).sum())
    if beyond:
        raise DataError(f"Column {name!r}: {beyond} ids are beyond 2^53, where floating point has lost digits")
    return column.astype(np.int64)


def same_id(column: Column, raw_id: str) -> np.ndarray:
    """[n] bool: where a column of raw ids (int64, or object of str) holds this id.

    An integer has one spelling, the one that its keyed digest is made of: "042" is not the id 42.
    """
    wanted: int | str | None = as_integer(raw_id) if np.issubdtype(column.dtype, np.integer) else raw_id
    return np.zeros(len(column), dtype=bool) if wanted is None else np.asarray(column == wanted, dtype=bool)


def among(column: Column, ids: Collection[str]) -> np.ndarray:
    """[n] bool: where a column of raw ids holds one of several."""
    if np.issubdtype(column.dtype, np.integer):
        return np.isin(np.asarray(column), [number for raw in ids if (number := as_integer(raw)) is not None])
    return Ids.of(np.array(list(ids), dtype=object)).encode(column) >= 0


def near(column: Column, raw_id: str) -> int:
    """How many distinct ids of a column are another spelling of this one, which a person may have meant by it.

    Spellings differ in case, in the Unicode form, in blanks and invisible joiners, in how a whole number is written
    (007, 7.0, +7), or by what a link or the end of a sentence adds (mailto:, %40, a dot).
    """
    folded = _folded(raw_id)
    return sum(text != raw_id and _folded(text) == folded for text in map(str, distinct(column)[0].tolist()))


def alike(ids: Ids) -> int:
    """How many ids are another spelling of one of the others, in the words of ``near``."""
    if ids.values.dtype != object:
        return 0
    times = Counter(map(_folded, ids.values.tolist()))
    return sum(count for count in times.values() if count > 1)


def _folded(raw: str) -> str:
    text = raw.casefold()
    if not raw.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", raw).casefold())
        text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    text = " ".join(unquote(text).removeprefix("mailto:").split())
    text = text.rstrip(".") or text
    number = _NUMBER.fullmatch(text)
    return f"{number[1].replace('+', '')}{number[2]}" if number else text
