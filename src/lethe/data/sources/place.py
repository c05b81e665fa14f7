"""Where a source is read: below which folder its relative paths lie, and where our copy of a downloaded one is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    root: Path
    copy: Path
