"""What ``lethe data add`` found out: options for params.yaml, and what the user is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Findings:
    """``options`` are values of ``TableFormat``; ``notes`` one line each."""

    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __or__(self, other: Findings) -> Findings:
        return Findings({**self.options, **other.options}, self.notes + other.notes)
