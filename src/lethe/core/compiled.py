"""Where Numba keeps what it has compiled, where neither of its own places can be written to.

It would break down in every module that has something to compile: in an installation of root's, without a home, say.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lethe.errors import ConfigError

VARIABLE = "NUMBA_CACHE_DIR"
CODE = Path(__file__).parents[1]


def cache_of_compiled(given: Mapping[str, str]) -> dict[str, str]:
    """What to add to an environment: a folder of this user's among the temporary files, or nothing where none is
    needed. Raises ConfigError where that is somebody else's, or can't be made."""
    home = Path(given.get("XDG_CACHE_HOME") or Path(given.get("HOME") or "/") / ".cache") / "numba"
    if given.get(VARIABLE) or any(_may_write(place) for place in (CODE / "__pycache__", home)):
        return {}
    try:
        folder = Path(tempfile.gettempdir()) / f"lethe-compiled-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        # What lies there is run: it must be nobody else's to write.
        if (of := folder.lstat()).st_uid == os.getuid() and not of.st_mode & 0o022:
            return {VARIABLE: str(folder)}
    except OSError:
        pass
    raise ConfigError(
        f"{VARIABLE}: is not set, and what is compiled can be kept nowhere else (the code's folder, ~/.cache,"
        " temporary files); name a folder that may be written to"
    )


def _may_write(folder: Path) -> bool:
    """Whether it is there and may be written to, or could be made."""
    # Not Path.exists, which raises where a folder above may not be looked into (another user's home, say).
    there = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    return os.access(there, os.W_OK)
