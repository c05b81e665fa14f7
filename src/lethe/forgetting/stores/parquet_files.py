"""Parquet's files, a column at a time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq


class StoredTable:
    """A table in bytes, of which each column is decoded where it is asked for: all columns of ten million rows take
    half a gigabyte. Text comes as the file has it, each once and where it stands; that takes long, so it is kept."""

    def __init__(self, content: bytes) -> None:
        schema = pq.read_schema(pa.BufferReader(content))
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        # All of them, whatever the file says of how they lie: a value that is in no row is in the file all the same.
        self._file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts, pre_buffer=False)
        self._texts: dict[str, pa.ChunkedArray | None] = dict.fromkeys(texts)
        self._decoded = set[str]()
        self.column_names: list[str] = schema.names
        if len(set(self.column_names)) < len(self.column_names):
            raise ValueError("two columns have one name")

    @property
    def schema(self) -> pa.Schema:
        return self._file.schema_arrow

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        column = self._texts.get(name)
        if column is None:
            column = self._file.read([name])[name]
            self._decoded.add(name)
            if name in self._texts:
                column = self._texts[name] = pa.chunked_array([column.unify_dictionaries().combine_chunks()])
        return column

    def says_more(self, name: str) -> bool:
        """Whether a column must be asked for to know what it holds: one of numbers that could be decoded holds no
        text."""
        kind = self._file.schema_arrow.field(name).type
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        return not (is_number and name in self._decoded)
