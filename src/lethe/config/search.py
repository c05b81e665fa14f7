"""Where a search looks for the value of an option: a range with its scale, or a list of values.

A range is cut into points, so that a search can be walked whole, resumed, and asked whether it ended at an edge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

POINTS = 13
"""Points of a range."""


@dataclass(frozen=True)
class Linear:
    """From ``low`` to ``high`` in equal steps; whole numbers where both ends are."""

    low: float
    high: float
    points: int = POINTS

    def values(self) -> list[Any]:
        steps = range(self.points)
        return _rounded(self, [self.low + (self.high - self.low) * step / (self.points - 1) for step in steps])

    def beyond(self, value: float, *, up: bool) -> float:
        """A value farther out, where there may be one."""
        width = self.high - self.low
        return value + width if up else value - width


@dataclass(frozen=True)
class Log:
    """From ``low``, above 0, to ``high`` in equal ratios; whole numbers where both ends are. ``zero`` adds 0 below."""

    low: float
    high: float
    points: int = POINTS
    zero: bool = False

    def values(self) -> list[Any]:
        ratio = math.log(self.high / self.low)
        steps = range(self.points)
        inside = [self.low * math.exp(ratio * step / (self.points - 1)) for step in steps]
        return [0.0, *_rounded(self, inside)] if self.zero else _rounded(self, inside)

    def beyond(self, value: float, *, up: bool) -> float:
        """A value farther out, where there may be one: there is none below a lowest of 0."""
        if not up:
            return -1 if value == 0 else type(value)(value / 2)
        return value * 2


class Choice:
    """One of some values, in no order."""

    def __init__(self, *values: Any) -> None:
        self._values = values

    def values(self) -> list[Any]:
        return list(self._values)

    def beyond(self, value: Any, *, up: bool) -> Any:
        """The same: a choice has no order."""
        return value


Range = Linear | Log | Choice
Search = Mapping[str, Range]
"""Option -> where to look for it."""


def _rounded(given: Linear | Log, values: list[float]) -> list[Any]:
    """The ends as they stand, three significant digits between; whole numbers, each once, where the ends are whole."""
    values = [given.low, *(float(f"{value:.3g}") for value in values[1:-1]), given.high]
    if isinstance(given.low, int) and isinstance(given.high, int):
        return sorted({round(value) for value in values})
    return values
