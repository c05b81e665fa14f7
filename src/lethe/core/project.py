"""A project that ``lethe init`` made: which of its files Lethe wrote, so that ``lethe upgrade`` can renew those.

lethe.json names the version that wrote them and their digests: a file that its owner has changed since is left alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import lethe
from lethe.core.canonical import readable_json
from lethe.core.files import write_whole
from lethe.core.shipped import shipped
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError

RECORD = "lethe.json"


def write_project(root: Path, own: dict[str, str], *, kept: frozenset[str] = frozenset()) -> list[str]:
    """Write a new project: what every project has, and ``own`` files; returns the names of those in ``kept`` that were
    there and were left as they are. Raises ConfigError, before anything is written, where another one is there."""
    files = shipped() | {name: text.encode() for name, text in own.items()}
    there = sorted(name for name in (*files, RECORD) if (root / name).exists())
    if standing := [name for name in there if name not in kept]:
        raise ConfigError(
            f"{root}: {', '.join(standing[:4])}{' and more' if len(standing) > 4 else ''} there already, and nothing is"
            " overwritten; add the data to it with lethe data add, or give another folder"
        )
    for name, content in files.items():
        if name not in there:
            write_whole(root / name, content)
    _record(root, {name: _digest(content) for name, content in shipped().items() if name not in there})
    return there


def renew_project(workspace: Workspace) -> list[str]:
    """Bring the files that Lethe wrote to this version; returns what was done, a line a file, and nothing in a folder
    that ``lethe init`` didn't make."""
    path = workspace.root / RECORD
    if not path.is_file():
        return []
    wrote, lines = _read_record(path), []
    today = shipped()
    digests = {name: _digest(content) for name, content in today.items()}
    for name in sorted({*wrote, *today}):
        file = workspace.root / name
        now = _digest(file.read_bytes()) if file.is_file() else None
        if now is not None and now not in (wrote.get(name), digests.get(name)):
            if wrote.get(name) != digests.get(name):
                lines.append(f"{name}: kept, because it was changed here; delete it and upgrade again for the new one")
            # What it was made from stays in the record, so that it counts as changed next time too.
            digests[name] = wrote.get(name, "")
        elif name not in today:
            file.unlink(missing_ok=True)
            lines.append(f"{name}: removed, it is no longer used")
        elif now != digests[name]:
            write_whole(file, today[name])
            lines.append(f"{name}: {'renewed' if now else 'written'}")
    _record(workspace.root, digests)
    return lines


def _record(root: Path, digests: dict[str, str]) -> None:
    text = readable_json({"lethe": lethe.__version__, "files": digests})
    if not (root / RECORD).is_file() or (root / RECORD).read_text(encoding="utf-8") != text:
        write_whole(root / RECORD, text)


def _read_record(path: Path) -> dict[str, str]:
    try:
        files = json.loads(path.read_bytes())["files"]
        return {str(name): str(digest) for name, digest in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            f"{path.name}: must name the files that Lethe wrote; restore it from version control"
        ) from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
