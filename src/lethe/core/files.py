"""Files that are put in place whole, or not at all, and folders that one writer at a time changes."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lethe.errors import DataError


def write_whole(path: Path, content: bytes | str, mode: int = 0o666) -> None:
    """Put a file in place at once and for good: after a fault, even a power cut, it is the old one or the new one.

    ``mode``: who may read it, less what the umask takes; 0o600 for what is its owner's alone. An OSError names the
    file, which that of a full disk doesn't by itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None


def read_json(path: Path, kind: type[dict[str, Any]] | type[list[Any]]) -> Any:
    """The object or the list of a file of our own state. Raises DataError where a crash, a full disk or an editor left
    something else there."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError:
        value = None
    if not isinstance(value, kind):
        raise DataError(f"{path}: must hold a JSON {'list' if kind is list else 'object'}; restore it from a backup")
    return value


def temporary_beside(path: Path) -> Path:
    """A name of this writer alone for what is to become ``path``; hidden, and with the suffix .tmp."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While no other process has this folder locked; leaves no file in it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
