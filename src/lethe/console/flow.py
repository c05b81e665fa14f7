"""The forget run that a console starts: a process that outlives it, and what became of it."""

from __future__ import annotations

import json
import subprocess
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from lethe.core.canonical import canonical_json
from lethe.core.files import write_whole
from lethe.core.process import fault_of, is_busy, start_flow
from lethe.core.workspace import Workspace


@dataclass(frozen=True)
class Ended:
    """How the last run that a console started came out."""

    at: str
    by: str
    code: int
    line: str
    """Its one line, if it failed."""


class Runs:
    """Of one workspace; any console over it sees what another has started."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._log = workspace.state / "logs" / "console-run.log"
        self._started: subprocess.Popen[bytes] | None = None

    @property
    def busy(self) -> bool:
        """Whether a flow runs, whoever started it."""
        return (self._started is not None and self._started.poll() is None) or is_busy(self.workspace)

    def start(self, by: str) -> None:
        """Start a run; its end is written down when it comes."""
        self._started = process = start_flow(self.workspace, "forgetting", self._log)
        threading.Thread(target=self._wait, args=(process, by), daemon=True).start()

    def last(self) -> Ended | None:
        """None where none has ended yet, or its record is of another Lethe: it is for reading alone."""
        with suppress(OSError, ValueError, TypeError):
            return Ended(**json.loads(self._record.read_bytes()))
        return None

    @property
    def _record(self) -> Path:
        return self.workspace.state / "console-run.json"

    def _wait(self, process: subprocess.Popen[bytes], by: str) -> None:
        code = process.wait()
        line = fault_of(self._log.read_text(encoding="utf-8", errors="replace")) if code else ""
        ended = Ended(datetime.now(UTC).isoformat(timespec="seconds"), by, code, line)
        write_whole(self._record, canonical_json(asdict(ended)))
