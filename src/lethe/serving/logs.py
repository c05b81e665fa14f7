"""The service's log: one JSON object a line, of times, places and counts; never of ids."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """A record as one line of JSON. The message of an access line is such an object already, and is joined as text."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name}
        if record.name == "lethe.access":
            return json.dumps(line)[:-1] + ", " + record.getMessage()[1:]
        line["message"] = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__  # its text might hold anything
        return json.dumps(line, ensure_ascii=False)


def log_as_json() -> None:
    """Send what Lethe logs to the process's error stream, in lines of JSON, and nowhere else: BentoML's handlers would
    write each line once more, as text."""
    ours = logging.getLogger("lethe")
    if not any(isinstance(handler.formatter, JsonLines) for handler in ours.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
        ours.addHandler(handler)
    ours.propagate = False
    ours.setLevel(logging.INFO)
