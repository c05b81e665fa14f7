"""Which Lethe a workspace is of: its format's number, in .lethe/workspace.json from the first use on.

The number grows where a newer Lethe can't use what an older one wrote; ``lethe upgrade`` bridges the gap.
"""

from __future__ import annotations

import json
from pathlib import Path

from lethe.core.canonical import readable_json
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError

FORMAT = 2
FIRST = 1
"""That of 0.1.0, which wrote no number."""


def format_of(workspace: Workspace) -> int | None:
    """The format of what a workspace holds; None where it holds nothing yet. Raises ConfigError for no number."""
    path = _file(workspace)
    if not path.is_file():
        return FIRST if _is_used(workspace) else None
    try:
        number = json.loads(path.read_bytes())["format"]
    except (ValueError, KeyError, TypeError):
        number = None
    if not isinstance(number, int) or isinstance(number, bool) or number < FIRST:
        raise ConfigError(f"{path.name}: must hold a format's number; restore it from a backup of .lethe")
    return number


def must_fit(workspace: Workspace) -> None:
    """Raises ConfigError for a workspace of another format, with what to do. A new workspace gets its number here."""
    number = format_of(workspace)
    if number is None:
        mark(workspace)
    elif number < FORMAT:
        raise ConfigError(
            f"workspace: it is of an older Lethe (format {number}, this one uses {FORMAT}); run lethe upgrade"
        )
    elif number > FORMAT:
        raise ConfigError(
            f"workspace: it is of a newer Lethe (format {number}, this one uses {FORMAT}); install that one"
        )


def mark(workspace: Workspace) -> None:
    """From now on the workspace is of this format."""
    write_whole(_file(workspace), readable_json({"format": FORMAT}))


def _file(workspace: Workspace) -> Path:
    return workspace.state / "workspace.json"


def _is_used(workspace: Workspace) -> bool:
    """Whether there is anything that a later command would read."""
    files = [
        workspace.suppression,
        *(workspace.state / name for name in ("ledger.sqlite", "registry.json", "run.json")),
    ]
    # Users keep files of their own in data/, in folders too: what the stages of every Lethe write is looked for.
    data = [f"data/*/{name}" for name in ("source.json", "source.parquet", "ingested", "split")]
    traces = (*data, "artifacts/*/*/manifest.json", "certificates/*/*.json")
    return any(path.is_file() for path in files) or any(next(workspace.root.glob(trace), None) for trace in traces)
