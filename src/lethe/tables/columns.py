"""Columns of numbers or text: their digest, and Parquet whose bytes are a function of the content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lethe.core.files import temporary_beside


def digest_columns(columns: Iterable[tuple[str, np.ndarray]]) -> str:
    """SHA-256 of names, types and values of columns of numbers or (object) text."""
    state = hashlib.sha256()
    for name, column in columns:
        state.update(f"{name}:{'str' if column.dtype == object else column.dtype.name}:{len(column)};".encode())
        if column.dtype == object:
            for value in column:
                encoded = value.encode()
                state.update(len(encoded).to_bytes(4, "little") + encoded)
        else:
            state.update(np.ascontiguousarray(column).tobytes())
    return state.hexdigest()


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table byte-stably: fixed codec, no metadata, one writer; and atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    pq.write_table(
        table.replace_schema_metadata(None), temporary, compression="zstd", compression_level=3, store_schema=False
    )
    os.replace(temporary, path)


def to_arrow(column: np.ndarray) -> pa.Array:
    """A column of numbers, or of text ids."""
    return pa.array(column, pa.string() if column.dtype == object else None)


def from_arrow(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array(column.to_pylist(), dtype=object)
    if column.null_count or not column.num_chunks or not pa.types.is_primitive(column.type):
        return column.to_numpy()
    # The same without pandas, which to_numpy imports: a quarter of a second of every command.
    return np.concatenate([np.from_dlpack(chunk) for chunk in column.chunks])


def read_parquet(path: Path | BinaryIO) -> pa.Table:
    """A whole file; without pyarrow's datasets, which import pandas too."""
    with pq.ParquetFile(path) as file:
        return file.read()


def sortable(column: np.ndarray) -> np.ndarray:
    """Integers [n] in the order of the column's values."""
    if column.dtype != object:
        return column
    # Sorting what is distinct, and hashing the rest, is many times faster than sorting all.
    places = {value: place for place, value in enumerate(sorted(set(column)))}
    return np.fromiter(map(places.__getitem__, column), dtype=np.int64, count=len(column))
