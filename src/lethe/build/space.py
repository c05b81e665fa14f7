"""Which settings of a model a search tries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lethe.core.canonical import Json, digest_json
from lethe.errors import ConfigError
from lethe.models import MODELS, configure
from lethe.models.parts.base import GradientConfig

Grid = Mapping[str, Sequence[Any]]

GRID: Grid = {
    "learning_rate": (0.005, 0.01, 0.02, 0.05),
    "dropout": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "embedding_dim": (8, 16, 32, 64),
    "negative_weight": (0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0),
    "reg": (0.0, 0.0001, 0.001, 0.01, 0.1),
    "num_layers": (1, 2, 3),
}
"""Values of the fields a model's Config has; the first four are the grid of Chen's thesis, in our names."""


@dataclass(frozen=True)
class Space:
    """A model's settings: those in ``base`` stay, those in ``grid`` (default: the fields of ``GRID`` it has) vary."""

    model: str
    base: Mapping[str, Any] = field(default_factory=dict)
    grid: Grid | None = None

    def start(self) -> Json:
        """The settings that the search begins with, every default written out. Raises ConfigError."""
        return configure(self.model, dict(self.base)).plain()

    def values(self) -> dict[str, list[Any]]:
        """Field -> values to try, the starting one first. Raises ConfigError for an unknown field or a bad value."""
        start = self.start()
        chosen = self._own(start) if self.grid is None else self._checked(start, self.grid)
        return {name: _distinct([start[name], *values]) for name, values in sorted(chosen.items())}

    def _checked(self, start: Json, grid: Grid) -> Grid:
        for name, values in grid.items():
            if not values:
                raise ConfigError(f"grid.{name}: no values, must be one or more")
            for value in values:
                configure(self.model, start | {name: value}, "grid")
        return grid

    def _own(self, start: Mapping[str, Any]) -> Grid:
        config, unused = MODELS[self.model].Config, set[str]()
        if issubclass(config, GradientConfig) and start["solver"] != "gradient":
            unused = set(GradientConfig.model_fields)
        return {name: values for name, values in GRID.items() if name in start and name not in unused}


def _distinct(values: Iterable[Any]) -> list[Any]:
    """In order of first appearance; values may be lists or mappings, which can't be hashed."""
    found: Json = {}
    for value in values:
        found.setdefault(digest_json(value), value)
    return list(found.values())
