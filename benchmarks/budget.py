"""What was spent to choose a row's settings: read from the comments that open the file of tuned values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TRIALS = re.compile(r"^# Validation .*?; (\d+) trials, (\d+) of them given up", re.MULTILINE)
_SECONDS = re.compile(r"^# Seconds of the processor: (\d+)", re.MULTILINE)
_EDGES = re.compile(r"^# At an edge of what was tried: (.+)\.$", re.MULTILINE)


@dataclass(frozen=True)
class Spent:
    """On one file of tuned values."""

    trials: int
    """0: set by hand, or the defaults."""
    seconds: int | None = None
    """Of the processor, all trials; None where the search was before they were kept."""
    edges: tuple[str, ...] = ()
    """Options whose best value is the least or greatest that was tried."""

    @classmethod
    def of(cls, path: Path) -> Spent:
        """Of a file of params/; nothing where there is none."""
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        trials, seconds, edges = (pattern.search(text) for pattern in (_TRIALS, _SECONDS, _EDGES))
        return cls(
            int(trials[1]) if trials else 0,
            int(seconds[1]) if seconds else None,
            tuple(edges[1].split(", ")) if edges else (),
        )

    def plain(self) -> dict[str, Any]:
        return {"trials": self.trials, "seconds": self.seconds, "edges": list(self.edges)}


def seconds_note(seconds: float) -> str:
    """The comment that ``Spent.of`` reads."""
    return f"Seconds of the processor: {seconds:.0f}."
