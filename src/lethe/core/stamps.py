"""Whether a file is still as it was when it was looked at last."""

from __future__ import annotations

from pathlib import Path

Stamp = tuple[int, int, int]
UNREAD: Stamp = (-1, -1, -1)
"""Of a file that nobody has looked at: equal to no other."""


def stamp(path: Path) -> Stamp | None:
    """What tells a file from what stood there before, without reading it; None where none can be seen."""
    try:
        now = path.stat()
    except OSError:
        return None
    return now.st_mtime_ns, now.st_size, now.st_ino
