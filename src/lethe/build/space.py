"""Which settings of a model a search tries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lethe.config.search import Choice, Log, Range, Search
from lethe.core.canonical import Json, digest_json
from lethe.errors import ConfigError
from lethe.models import MODELS, configure
from lethe.models.parts.base import GradientConfig

Grid = Mapping[str, Sequence[Any]]

ALTERNATING = frozenset({"sweeps", "steps", "power_iterations", "reg_exponent", "alpha"})
"""Options that a solver by gradients does not look at."""
SIZE = "embedding_dim"
"""The option that scales with the data."""
CARRIED = 100
"""Users and items that each coordinate must have before a size larger than the declared ones is searched."""


@dataclass(frozen=True)
class Axis:
    """The values of one option, which stand in their own order where it has one; ``start`` is the place of the first
    trial's."""

    values: tuple[Any, ...]
    start: int = 0
    ordered: bool = False


@dataclass(frozen=True)
class Space:
    """A model's settings: the search begins with those in ``base``; those in ``grid`` vary, by default what its Config
    declares and ``held`` does not name."""

    model: str
    base: Mapping[str, Any] = field(default_factory=dict)
    grid: Grid | None = None
    smaller: int | None = None
    """Users or items of the data, whichever are fewer: no larger embedding than that is searched, and a size beyond the
    declared ones only where there are many; None: the data are not known."""
    weighted: bool = False
    """Whether interactions weigh more or less, so that it is searched how much that counts."""
    held: frozenset[str] = frozenset()
    """Declared options that stay as ``base`` has them."""

    def start(self) -> Json:
        """The settings that the search begins with, every default written out. Raises ConfigError."""
        return configure(self.model, dict(self.base)).plain()

    def axes(self) -> dict[str, Axis]:
        """What varies, by option; the starting value is one of each. Raises ConfigError for an unknown option or a bad
        value."""
        start = self.start()
        if self.grid is not None:
            given = self._checked(start, self.grid)
            return {name: Axis(tuple(_distinct([start[name], *given[name]]))) for name in sorted(given)}
        return {
            name: _axis(within, self._carried(name, within), start[name])
            for name, within in sorted(self._declared(start).items())
        }

    def _carried(self, name: str, within: Range) -> list[Any]:
        """The values of a range, as far as the data carry them."""
        values = within.values()
        if name != SIZE or self.smaller is None:
            return values
        if isinstance(within, Log):
            while 2 * values[-1] * CARRIED <= self.smaller:
                values.append(2 * values[-1])
        return [value for value in values if value <= self.smaller]

    def edges(self, chosen: Mapping[str, Any]) -> tuple[str, ...]:
        """Options whose chosen value is the least or greatest tried, with which it is; an end beyond which the option
        has no value is none."""
        start, named = self.start(), []
        for name, axis in self.axes().items():
            if not axis.ordered or len(axis.values) < 2 or name not in chosen:
                continue
            place = axis.values.index(chosen[name])
            within = MODELS[self.model].Config.searched()[name]
            for end, word, up in ((0, "lowest", False), (len(axis.values) - 1, "highest", True)):
                if place == end and self._allows(start, name, within.beyond(axis.values[end], up=up)):
                    named.append(f"{name} ({word})")
        return tuple(named)

    def _allows(self, start: Json, name: str, value: Any) -> bool:
        if name == SIZE and self.smaller is not None and value > self.smaller:
            return False
        try:
            configure(self.model, start | {name: value})
        except ConfigError:
            return False
        return True

    def _checked(self, start: Json, grid: Grid) -> Grid:
        checked: dict[str, list[Any]] = {}
        for name, values in grid.items():
            if not values:
                raise ConfigError(f"grid.{name}: no values, must be one or more")
            # As the Config has it: YAML reads 1e-3 as text.
            checked[name] = [configure(self.model, start | {name: value}, "grid").plain()[name] for value in values]
        return checked

    def _declared(self, start: Json) -> Search:
        config, option = MODELS[self.model].Config, MODELS[self.model].weight_option
        unused = set[str]() if option is None or self.weighted else {option}
        if issubclass(config, GradientConfig):
            unused |= set(ALTERNATING) if start["solver"] == "gradient" else set(GradientConfig.model_fields)
        return {name: within for name, within in config.searched().items() if name not in unused | self.held}


def _axis(within: Range, tried: Sequence[Any], start: Any) -> Axis:
    if isinstance(within, Choice):
        return Axis(tuple(_distinct([start, *tried])))
    values = tuple(sorted({*tried, start}))
    return Axis(values, values.index(start), ordered=True)


def _distinct(values: Iterable[Any]) -> list[Any]:
    """In order of first appearance; values may be lists or mappings, which can't be hashed."""
    kept: Json = {}
    for value in values:
        kept.setdefault(digest_json(value), value)
    return list(kept.values())
