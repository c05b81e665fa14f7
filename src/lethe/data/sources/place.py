"""Where a source is read: below which folder its relative paths lie, and where our copy of a downloaded one is."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from lethe.core.workspace import Workspace


@dataclass(frozen=True)
class Place:
    root: Path
    copy: Path

    def temporary(self) -> Path:
        """The workspace's folder of temporary files, which a scan searches; made if it isn't there."""
        workspace = Workspace(self.root)
        if not workspace.params.is_file():
            # Of a project that is not there yet.
            return Path(tempfile.gettempdir())
        workspace.temporary.mkdir(parents=True, exist_ok=True)
        return workspace.temporary
