"""What was spent to choose a row's settings, and what they came to: read from the comments that open the file of tuned
values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lethe.config.section import read_yaml

_TRIALS = re.compile(r"^# Validation .*?; (\d+) trials, (\d+) of them given up", re.MULTILINE)
_SECONDS = re.compile(r"^# Seconds of the processor: (\d+)", re.MULTILINE)
_EDGES = re.compile(r"^# At an edge of what was tried: (.+)\.$", re.MULTILINE)
_VALUE = re.compile(r"^# Validation (\S+) (-?[\d.]+)[,;]", re.MULTILINE)
_EARLIER = "Settings of an earlier search, which stay: this one's best came to"


@dataclass(frozen=True)
class Spent:
    """On one file of tuned values."""

    trials: int
    """0: set by hand, or the defaults."""
    seconds: int | None = None
    """Of the processor, all trials; None where the search was before they were kept."""
    edges: tuple[str, ...] = ()
    """Options whose best value is the least or greatest that was tried."""
    earlier: bool = False
    """The settings are those of a search before this one, which were better on validation."""

    @classmethod
    def of(cls, path: Path) -> Spent:
        """Of a file of params/; nothing where there is none."""
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        trials, seconds, edges = (pattern.search(text) for pattern in (_TRIALS, _SECONDS, _EDGES))
        return cls(
            int(trials[1]) if trials else 0,
            int(seconds[1]) if seconds else None,
            tuple(edges[1].split(", ")) if edges else (),
            f"# {_EARLIER}" in text,
        )

    def plain(self) -> dict[str, Any]:
        return {"trials": self.trials, "seconds": self.seconds, "edges": list(self.edges), "earlier": self.earlier}


@dataclass(frozen=True)
class Standing:
    """The settings that a search left in a file of tuned values, and what they came to on validation."""

    values: dict[str, Any]
    metric: str
    value: float
    command: str

    @classmethod
    def of(cls, path: Path) -> Standing | None:
        """None where there is no file, or one that was written by hand."""
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        came_to = _VALUE.search(text)
        if came_to is None:
            return None
        command = text.splitlines()[0].removeprefix("# ")
        return cls(dict(read_yaml(path) or {}), came_to[1], float(came_to[2]), command)

    def notes(self, value: float) -> list[str]:
        """The comments that ``Spent.of`` reads; ``value``: the best that a later search came to."""
        return [f"{_EARLIER} {value:.5f}. Theirs was:", self.command]


def seconds_note(seconds: float) -> str:
    """The comment that ``Spent.of`` reads."""
    return f"Seconds of the processor: {seconds:.0f}."
