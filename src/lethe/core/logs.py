"""What our processes say while they run: lines for people, or, where LETHE_LOG is json, one JSON object a line.

Times, places, names of runs and counts; never ids of persons. The service's own lines are objects in any case.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

from lethe.errors import ConfigError

VARIABLE = "LETHE_LOG"
ACCESS = "lethe.access"
"""The logger of requests: its messages are JSON objects already."""


_ALLOW = "; Lethe reads and writes there: give its user the right to"
_MEND = {
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
    errno.EROFS: "; Lethe writes there: mount it for writing, or move the project",
    errno.ENOSPC: "; make room there, and run it again",
}
"""What to do about what the machine refuses."""


def as_json() -> bool:
    """Whether whoever started this process reads objects."""
    return os.environ.get(VARIABLE) == "json"


def begin() -> None:
    """What is logged in this process is said as all else is. Raises ConfigError for a form that there isn't."""
    form = os.environ.get(VARIABLE) or "text"
    if form not in ("text", "json"):
        raise ConfigError(f"{VARIABLE}: {form!r} must be text or json")
    if as_json():
        log_as_json()


def say(line: object, **about: str) -> None:
    """One line on standard error, because standard output is the report's; ``about``: what an object says besides."""
    print(_object(str(line), "info", **about) if as_json() else line, file=sys.stderr)


def fault(line: object) -> str:
    """The line that a command ends with which fails."""
    line = said_of(line) if isinstance(line, Exception) else str(line)
    return _object(line, "error") if as_json() else f"error: {line}"


def said_of(error: Exception) -> str:
    """An error in one line; of one of the machine's the file that it is about, and what to do."""
    if not isinstance(error, OSError):
        return str(error)
    named = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{named}{error.strerror or str(error).partition(chr(10))[0]}{_MEND.get(error.errno or 0, '')}"


def hand_on(lines: Iterable[str]) -> None:
    """What another process says, to our standard error: its objects as they are, of its text each line as an object."""
    for line in lines:
        sys.stderr.write(line if line.startswith("{") else _object(line.rstrip("\n"), "info", "bentoml") + "\n")
        sys.stderr.flush()


def _object(message: str, level: str, logger: str = "lethe", **about: str) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"at": now, "level": level, "logger": logger, **about, "message": message}, ensure_ascii=False)


class JsonLines(logging.Formatter):
    """A record as one line of JSON. The message of an access line is such an object already, and is joined as text."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name}
        if record.name == ACCESS:
            return json.dumps(line)[:-1] + ", " + record.getMessage()[1:]
        line["message"] = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__  # its text might hold anything
        return json.dumps(line, ensure_ascii=False)


def log_as_json(*others: str) -> None:
    """Send what Lethe logs to the process's error stream, in lines of JSON, and nowhere else: another's handlers would
    write each line once more, as text. ``others``: loggers whose handlers write such lines from now on."""
    ours = logging.getLogger("lethe")
    if not any(isinstance(handler.formatter, JsonLines) for handler in ours.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
        ours.addHandler(handler)
    ours.propagate = False
    ours.setLevel(logging.INFO)
    for name in others:
        for other in logging.getLogger(name).handlers:
            other.setFormatter(JsonLines())
