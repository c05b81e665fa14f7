"""A column of text, held as places among its distinct values: what is done for each row is done with numbers.

A table has ten times more rows than ids, and an object of Python for each is what text costs more than integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, TypeAlias, overload

import numpy as np
import pyarrow as pa


class Texts:
    """[n] text. Whoever doesn't know it sees an object array of str (``np.asarray``), whoever does asks for ``codes``.

    codes   [n] places in ``values``
    values  distinct texts in any order; some may stand in no row
    """

    ndim = 1
    dtype = np.dtype(object)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, codes: np.ndarray, values: pa.StringArray, *, is_sorted: bool = False) -> None:
        self.codes, self.values = codes, values
        self._is_sorted = is_sorted
        """Known to be sorted, and each to stand in a row."""

    @classmethod
    def of(cls, column: pa.ChunkedArray | pa.Array) -> Texts:
        """A column of text without nulls, spelled out or coded."""
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        if isinstance(coded, pa.ChunkedArray):
            coded = coded.unify_dictionaries().combine_chunks()
        return cls(np.from_dlpack(coded.indices), coded.dictionary.cast(pa.string()))

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def shape(self) -> tuple[int]:
        return self.codes.shape

    @overload
    def __getitem__(self, rows: int | np.integer[Any]) -> str: ...
    @overload
    def __getitem__(self, rows: slice | np.ndarray | Sequence[int]) -> Texts: ...
    def __getitem__(self, rows: Any) -> str | Texts:
        if isinstance(rows, int | np.integer):
            return str(self.values[int(self.codes[rows])].as_py())
        return Texts(self.codes[rows], self.values)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tolist())

    def tolist(self) -> list[str]:
        texts: list[str] = self.objects.tolist()
        return texts

    @property
    def objects(self) -> np.ndarray:
        """[n] object: the column spelled out, each distinct text one object."""
        some = self if len(self.values) <= 2 * len(self) else self.compact()
        return _objects(some.values)[some.codes]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.objects if dtype is None else self.objects.astype(dtype)

    def astype(self, dtype: Any) -> np.ndarray:
        return self.objects.astype(dtype)

    def copy(self) -> np.ndarray:
        """An array of its own, to be written into."""
        return self.objects

    def spelled(self) -> pa.StringArray:
        """[n] the column as Arrow spells it out."""
        return self.values.take(_places(self.codes))

    def coded(self) -> pa.DictionaryArray:
        """[n] the same column as Arrow has it; no value stands in no row where they would outnumber the rows."""
        some = self if len(self.values) <= len(self) else self.compact()
        return pa.DictionaryArray.from_arrays(_places(some.codes), some.values)

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:
        return self.spelled() if type is None else self.spelled().cast(type)

    def __eq__(self, other: object) -> np.ndarray:  # type: ignore[override]
        if isinstance(other, Texts) and other.values is self.values:
            return self.codes == other.codes
        if isinstance(other, str):
            place = self.values.index(_scalar(other)).as_py()
            return self.codes == place if place >= 0 else np.zeros(len(self), dtype=bool)
        return np.asarray(self.objects == np.asarray(other))

    def __ne__(self, other: object) -> np.ndarray:  # type: ignore[override]
        return ~(self == other)

    def compact(self) -> Texts:
        """The same column; its values sorted, and each in a row."""
        if self._is_sorted:
            return self
        used = self._used
        values = self.values if len(used) == len(self.values) else self.values.take(_places(used))
        ranks = np.arange(len(used), dtype=np.int32)
        order = None if _increases(values) else _order(values)
        if order is not None:
            values = values.take(_places(order))
            ranks[order] = np.arange(len(used), dtype=np.int32)
        places = np.empty(len(self.values), dtype=np.int32)
        places[used] = ranks
        return Texts(places[self.codes], values, is_sorted=True)

    def used(self) -> Texts:
        """The same column; each of its values, in whatever order, in a row."""
        used = self._used
        if len(used) == len(self.values):
            return self
        places = np.empty(len(self.values), dtype=np.int32)
        places[used] = np.arange(len(used), dtype=np.int32)
        return Texts(places[self.codes], self.values.take(_places(used)))

    @cached_property
    def _used(self) -> np.ndarray:
        """Increasing places of the values that stand in a row."""
        if len(self.values) > 4 * len(self.codes):
            return np.unique(self.codes)
        return np.flatnonzero(np.bincount(self.codes, minlength=len(self.values)))


Column: TypeAlias = np.ndarray | Texts
"""[n] raw ids or other values: numbers, or text; also text as an object array of str."""


def concatenated(columns: Sequence[Column]) -> Column:
    """One column below the other."""
    if not columns or not all(isinstance(column, Texts) for column in columns):
        return np.concatenate([np.asarray(column) for column in columns])
    texts: list[Texts] = [column for column in columns if isinstance(column, Texts)]
    if len(texts) == 1:
        return texts[0]
    return Texts.of(pa.chunked_array([text.coded() for text in texts]))


def _objects(values: pa.StringArray) -> np.ndarray:
    return np.array(values.to_pylist(), dtype=object)


def _places(codes: np.ndarray) -> pa.Array:
    """Places as Arrow has them, made of buffers: of arrays pyarrow asks pandas, which takes a while to load."""
    kind = pa.from_numpy_dtype(codes.dtype)
    return pa.Array.from_buffers(kind, len(codes), [None, pa.py_buffer(np.ascontiguousarray(codes))])


def _scalar(text: str) -> pa.StringScalar:
    """The same for one text."""
    held = text.encode(errors="surrogatepass")
    ends = pa.py_buffer(np.array([0, len(held)], dtype=np.int32))
    return pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(held)])[0]


def increases(column: Column) -> bool:
    """Whether each value is greater than the one before."""
    if isinstance(column, Texts):
        return _increases(column.spelled())
    return bool(np.all(column[1:] > column[:-1]))


def _increases(values: pa.StringArray) -> bool:
    import pyarrow.compute as pc  # Not at the top: it takes as long to import as a request takes to be counted.

    return len(values) < 2 or bool(pc.all(pc.less(values[:-1], values[1:])).as_py())


def _order(values: pa.StringArray) -> np.ndarray:
    """Positions that sort texts: Arrow compares bytes of UTF-8, whose order is that of their letters."""
    import pyarrow.compute as pc

    return np.from_dlpack(pc.sort_indices(values).cast(pa.int64()))
