"""What a version was chosen on, kept with it and told in reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

Plain = dict[str, int | float | str | None]


@dataclass(frozen=True)
class Grounds:
    """The rule that made it a winner, and the figures it was weighed by."""

    rule: str | None
    """None of a build that replaced what nobody had chosen."""
    figures: Mapping[str, float]
    """Of validation, by metric."""
    expected_requests: int = 0
    """Whole-user requests together, of which the seconds are."""
    forgetting_seconds: float | None = None
    """Expected; None where that isn't known."""

    def plain(self) -> Plain:
        """One level: metrics stand beside the rest."""
        rest: Plain = {"expected_requests": self.expected_requests, "forgetting_seconds": self.forgetting_seconds}
        return {"rule": self.rule, **self.figures, **rest}

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self | None:
        """None where nothing was kept."""
        if not values:
            return None
        own = ("rule", "expected_requests", "forgetting_seconds")
        return cls(
            rule=values.get("rule"),
            figures={name: value for name, value in values.items() if name not in own},
            expected_requests=values.get("expected_requests", 0),
            forgetting_seconds=values.get("forgetting_seconds"),
        )
