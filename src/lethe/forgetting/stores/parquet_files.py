"""Parquet's files, a column at a time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq


class StoredTable:
    """A table in bytes, of which each column is decoded where it is asked for: all columns of ten million rows take
    half a gigabyte. Text comes as the file has it, each once and where it stands; that takes long, so it is kept."""

    def __init__(self, content: bytes) -> None:
        texts = [field.name for field in pq.read_schema(pa.BufferReader(content)) if pa.types.is_string(field.type)]
        self._file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts, pre_buffer=False)
        self._texts: dict[str, pa.ChunkedArray | None] = dict.fromkeys(texts)
        self.column_names: list[str] = self._file.schema_arrow.names
        if len(set(self.column_names)) < len(self.column_names):
            raise ValueError("two columns have one name")

    @property
    def metadata(self) -> dict[bytes, bytes]:
        return self._file.schema_arrow.metadata or {}

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        column = self._texts.get(name)
        if column is None:
            column = self._file.read([name])[name]
            if name in self._texts:
                column = self._texts[name] = pa.chunked_array([column.unify_dictionaries().combine_chunks()])
        return column
