"""What a run has done by processes of other machines, which share the project's folder.

Such a process may outlive the run that asked it. Nothing may be purged that it is still building, and it may build
nothing once somebody else changes the workspace. So a run has a file, and its lock as long as it lives; whoever works
for it elsewhere holds another lock meanwhile, and begins only where that file is there. Whoever wants the workspace
alone removes the files of runs that are gone, then waits for who still works for them.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lethe.core import logs
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError


@contextmanager
def sent_out(workspace: Workspace) -> Iterator[str]:
    """While a run may have work done elsewhere; the run's own name."""
    run = secrets.token_hex(8)
    _folder(workspace).mkdir(parents=True, exist_ok=True)
    note, owner = _note(workspace, run), _owner(workspace, run)
    try:
        owner.touch()
        with _opened(owner) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            note.touch()
            yield run
    finally:
        note.unlink(missing_ok=True)
        owner.unlink(missing_ok=True)


@contextmanager
def at_work(workspace: Workspace, run: str) -> Iterator[None]:
    """While work for a run is done here. Raises ConfigError where this process doesn't see the run's file: its project
    isn't the run's, or the run has ended."""
    try:
        with _opened(_note(workspace, run)) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if is_seen(workspace, run):
                yield
                return
    except FileNotFoundError:
        pass
    raise ConfigError(f"{workspace.root}: the run that asked for this isn't there, or not any more; start it again")


def is_seen(workspace: Workspace, run: str) -> bool:
    """Whether a run that is under way has sent work out from this very folder."""
    return _owner(workspace, run).is_file() and _note(workspace, run).is_file()


def is_any_at_work(workspace: Workspace) -> bool:
    """Whether a process elsewhere may be building something here."""
    return any(not _is_free(note) for note in _folder(workspace).glob("*.run"))


def end_all(workspace: Workspace) -> None:
    """Let no more be done elsewhere for runs that are gone, and wait for what is."""
    for owner in _folder(workspace).glob("*.owner"):
        if not _is_free(owner):
            continue
        # In this order: whoever takes the other lock later than we do finds this file gone.
        owner.unlink(missing_ok=True)
        note = owner.with_suffix(".run")
        with suppress(FileNotFoundError), _opened(note) as lock:
            if not _take(lock):
                logs.say("waiting: workers that an earlier run asked are still at work in this workspace")
                fcntl.flock(lock, fcntl.LOCK_EX)
            note.unlink()


def place_on_this_machine(workspace: Workspace) -> int:
    """The first number that no other living process of this machine has for this project; ours until we end."""
    folder = _folder(workspace) / "places" / socket.gethostname()
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        # Never closed: the lock goes with the process, however it ends.
        lock = os.open(folder / str(number), os.O_RDWR | os.O_CREAT)
        if _take(lock):
            return number
        os.close(lock)
    raise AssertionError("there are numbers without end")


def _is_free(path: Path) -> bool:
    with suppress(FileNotFoundError), _opened(path) as lock:
        return _take(lock)
    return True


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    # To be written, or NFS gives nobody a lock alone.
    lock = os.open(path, os.O_RDWR)
    try:
        yield lock
    finally:
        os.close(lock)


def _note(workspace: Workspace, run: str) -> Path:
    return _folder(workspace) / f"{run}.run"


def _owner(workspace: Workspace, run: str) -> Path:
    return _folder(workspace) / f"{run}.owner"


def _folder(workspace: Workspace) -> Path:
    return workspace.state / "elsewhere"
