"""Whether a file is still as it was."""

from __future__ import annotations

import os
from pathlib import Path

from lethe.core.stamps import UNREAD, stamp


def test_a_file_that_is_replaced_has_another_stamp_even_by_one_of_its_size_and_time(tmp_path: Path) -> None:
    path, other = tmp_path / "list.json", tmp_path / "other"
    path.write_text("one")
    before = stamp(path)
    assert before == stamp(path) != UNREAD
    other.write_text("two")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    assert stamp(path) != before


def test_what_is_not_there_has_none(tmp_path: Path) -> None:
    assert stamp(tmp_path / "none") is None
