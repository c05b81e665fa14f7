"""Mapped arrays are what was written, and a process that writes into them leaves the file alone."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lethe.core.arrays import map_arrays

ARRAYS = {
    "a": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b": np.array([1, -2], np.int64),
    "c": np.array([True, False, True]),
    "d": np.array(2.5),
    "e": np.empty((0, 4), np.float32),
    "f": np.arange(3, dtype=np.uint8),
}


def test_they_are_what_was_written_and_lie_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "arrays.safetensors"
    save_file(ARRAYS, path)
    before = path.read_bytes()
    mapped = map_arrays(path)
    assert mapped.keys() == load_file(path).keys()
    for name, array in mapped.items():
        assert array.dtype == ARRAYS[name].dtype
        assert np.array_equal(array, ARRAYS[name]), name
    base = mapped["a"]
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)
    mapped["a"][0, 0] = 99
    assert path.read_bytes() == before
    assert map_arrays(path)["a"][0, 0] == 0


@pytest.mark.parametrize("content", [b"", b"foreign", b"\xff" * 16, b"\x02" + b"\0" * 7 + b"[]"])
def test_a_foreign_file_is_no_arrays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        map_arrays(path)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "arrays.safetensors"
    save_file(ARRAYS, path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="beyond its data"):
        map_arrays(path)
