"""Arrays of a safetensors file, mapped rather than read: all processes that map one share its pages, and load only
those that they look at. A process that writes into an array gets a copy of the page; the file stays as it is."""

from __future__ import annotations

import json
import mmap
from pathlib import Path

import numpy as np

_TYPES = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I32": np.int32,
    "I64": np.int64,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
}
_LENGTH = 8  # bytes of the number at a file's start: how long its header is


def map_arrays(path: Path) -> dict[str, np.ndarray]:
    """{name: array}. Raises OSError where there is no file, ValueError where it is none of safetensors."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    start = _LENGTH + int.from_bytes(mapped[:_LENGTH], "little")
    if start > len(mapped):
        raise ValueError(f"{path.name}: is cut off")
    header = json.loads(mapped[_LENGTH:start])
    if not isinstance(header, dict):
        raise ValueError(f"{path.name}: is no file of arrays")
    header.pop("__metadata__", None)
    return {name: _array(mapped, start, entry) for name, entry in header.items()}


def _array(mapped: mmap.mmap, start: int, entry: dict[str, object]) -> np.ndarray:
    try:
        kind, shape = np.dtype(_TYPES[str(entry["dtype"])]), tuple(map(int, entry["shape"]))  # type: ignore[call-overload]
        first, last = map(int, entry["data_offsets"])  # type: ignore[call-overload]
    except (KeyError, TypeError):
        raise ValueError("an array is described by dtype, shape and data_offsets") from None
    count = int(np.prod(shape, dtype=np.int64))
    if last - first != count * kind.itemsize or start + last > len(mapped):
        raise ValueError("an array reaches beyond its data")
    if not count:
        return np.empty(shape, kind)
    return np.frombuffer(mapped, kind, count, start + first).reshape(shape)
