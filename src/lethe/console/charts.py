"""A line as SVG that the strict content security policy lets through: attributes alone, no style of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 560, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 16, 32


@dataclass(frozen=True)
class Line:
    """A metric of a family over time: where each point lies, and the marks beside the axis."""

    points: tuple[tuple[float, float, str], ...]
    """(x, y, what it says), from left to right."""
    marks: tuple[tuple[float, str], ...]
    """(y, value) of the axis."""
    ends: tuple[str, str]
    """What stands below the first and the last point."""
    caption: str

    @property
    def path(self) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in self.points)


def line(values: Sequence[tuple[str, float]], name: str) -> Line | None:
    """Of (when, value); None where fewer than two are there to be joined."""
    if len(values) < 2:
        return None
    numbers = [value for _, value in values]
    low, high = min(numbers), max(numbers)
    room = (high - low) * 0.1 or max(abs(high), 1e-6) * 0.1
    low, high = low - room, high + room

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    step = (WIDTH - _LEFT - _RIGHT) / (len(values) - 1)
    points = tuple((_LEFT + step * n, y(value), f"{when}: {value:.4f}") for n, (when, value) in enumerate(values))
    marks = tuple((y(value), f"{value:.4f}") for value in dict.fromkeys((max(numbers), min(numbers))))
    caption = f"{name} at {len(values)} times, from {numbers[0]:.4f} to {numbers[-1]:.4f}."
    return Line(points, marks, (values[0][0], values[-1][0]), caption)
