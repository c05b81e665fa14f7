"""What a run has done by processes of other machines, which share the project's folder.

Such a process may outlive the run that asked it. Nothing may be purged that it is still building, and it may build
nothing once somebody else changes the workspace. So it works only while it holds a lock that all of them share, and
only for a run whose file is still there; whoever wants the workspace alone removes the files, then waits for the lock.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError


@contextmanager
def sent_out(workspace: Workspace) -> Iterator[str]:
    """While a run may have work done elsewhere; the run's own name."""
    run = secrets.token_hex(8)
    note = _note(workspace, run)
    write_whole(note, b"")
    try:
        yield run
    finally:
        note.unlink(missing_ok=True)


@contextmanager
def at_work(workspace: Workspace, run: str) -> Iterator[None]:
    """While work for a run is done here. Raises ConfigError where this process doesn't see the run's file: its project
    isn't the run's, or the run has ended."""
    if not is_seen(workspace, run):
        raise ConfigError(
            f"{workspace.root}: the run's own file isn't there; all machines must share the project's folder"
        )
    with _lock(workspace) as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        if not is_seen(workspace, run):
            raise ConfigError("the run that asked for this has ended; the next run does it again")
        yield


def is_seen(workspace: Workspace, run: str) -> bool:
    """Whether a run that is under way has sent work out from this very folder."""
    return _note(workspace, run).is_file()


def is_any_at_work(workspace: Workspace) -> bool:
    """Whether a process elsewhere may be building something here."""
    if not _folder(workspace).is_dir():
        return False
    with _lock(workspace) as lock:
        return not _taken(lock)


def end_all(workspace: Workspace) -> None:
    """Let no more be done elsewhere for any run, and wait for what is."""
    if not _folder(workspace).is_dir():
        return
    for note in _folder(workspace).glob("*.run"):
        note.unlink(missing_ok=True)
    with _lock(workspace) as lock:
        if not _taken(lock):
            print("waiting: workers that an earlier run asked are still at work in this workspace", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _lock(workspace: Workspace) -> Iterator[int]:
    # Opened to be written, or NFS gives nobody the lock alone.
    lock = os.open(_folder(workspace) / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield lock
    finally:
        os.close(lock)


def _note(workspace: Workspace, run: str) -> Path:
    return _folder(workspace) / f"{run}.run"


def _folder(workspace: Workspace) -> Path:
    return workspace.state / "elsewhere"
