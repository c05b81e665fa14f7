"""Putting a file in place: whole or not at all, and a fault that names the file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lethe.core.files import write_whole


def test_what_is_written_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    write_whole(path, "old")
    write_whole(path, b"new")
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["file.json"]


def test_a_full_disk_leaves_the_old_file_alone_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file.json"
    write_whole(path, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        write_whole(path, "new")
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.json"]


def test_a_folder_that_is_not_to_be_written_to_stays_that_error(tmp_path: Path) -> None:
    (tmp_path / "file.json").mkdir()
    with pytest.raises(IsADirectoryError, match=str(tmp_path / "file.json")):
        write_whole(tmp_path / "file.json", "new")
    assert os.listdir(tmp_path) == ["file.json"]
