"""The forget run that a console starts: a process that outlives it, and what became of it."""

from __future__ import annotations

import json
import subprocess
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import psutil  # type: ignore[import-untyped]
from filelock import FileLock

from lethe.core.canonical import canonical_json
from lethe.core.files import write_whole
from lethe.core.process import fault_of, is_busy, start_flow
from lethe.core.workspace import Workspace

R = TypeVar("R")


@dataclass(frozen=True)
class Ended:
    """How the last run that a console started came out."""

    at: str
    by: str
    code: int
    line: str
    """Its one line, if it failed."""


@dataclass(frozen=True)
class Begun:
    """A run that a console started, for whichever console is asked, or is there, when it has ended."""

    at: str
    by: str
    pid: int
    created: float

    def goes_on(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        return False


class Runs:
    """Of one workspace; any console over it sees what another has started."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._log = workspace.state / "logs" / "console-run.log"
        self._begun = workspace.state / "console-begun.json"
        self._record = workspace.state / "console-run.json"
        self._waiting: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a flow runs, whoever started it."""
        begun = _read(self._begun, Begun)
        return self._waits or (begun is not None and begun.goes_on()) or is_busy(self.workspace)

    def start(self, by: str) -> bool:
        """Start a run, unless a flow runs already; its end is written down when it comes."""
        with FileLock(self.workspace.state / "console-run.lock"):
            if self.busy:
                return False
            process = start_flow(self.workspace, "forgetting", self._log)
            self._record.unlink(missing_ok=True)
            begun = Begun(_now(), by, process.pid, psutil.Process(process.pid).create_time())
            self._waiting = threading.Thread(target=self._wait, args=(process, by), daemon=True)
            self._waiting.start()
            write_whole(self._begun, canonical_json(asdict(begun)))
        return True

    def last(self) -> Ended | None:
        """None where none has ended yet, or its record is of another Lethe: it is for reading alone."""
        if (ended := _read(self._record, Ended)) is not None:
            return ended
        begun = _read(self._begun, Begun)
        if begun is None or self._waits or begun.goes_on():
            return None
        # The console that started it was gone before it ended, and nobody knows when that was.
        line = fault_of(self._said()) or "no console saw its end, see .lethe/logs/console-run.log"
        return Ended(begun.at, begun.by, 1, line)

    @property
    def _waits(self) -> bool:
        return self._waiting is not None and self._waiting.is_alive()

    def _said(self) -> str:
        with suppress(OSError):
            return self._log.read_text(encoding="utf-8", errors="replace")
        return ""

    def _wait(self, process: subprocess.Popen[bytes], by: str) -> None:
        code = process.wait()
        write_whole(
            self._record, canonical_json(asdict(Ended(_now(), by, code, fault_of(self._said()) if code else "")))
        )


def _read(path: Path, kind: type[R]) -> R | None:
    with suppress(OSError, ValueError, TypeError):
        return kind(**json.loads(path.read_bytes()))
    return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
