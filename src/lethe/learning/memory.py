"""Whether a model fits into memory: asked before it learns, because a process that is killed for it says nothing."""

from __future__ import annotations

from lethe.core.memory import free_memory
from lethe.errors import ConfigError
from lethe.models.parts.base import Config, Model
from lethe.tables.matrix import Shape

GIGABYTE = 10**9


def must_fit_memory(name: str, model: type[Model], config: Config, shape: Shape, *, at_once: int = 1) -> None:
    """Raises ConfigError for a model whose need grows faster than the data, where that is more than is free."""
    needed, free = model.memory(config, shape) * at_once, free_memory()
    if needed > free:
        times = f" {at_once} times at once" if at_once > 1 else ""
        raise ConfigError(
            f"{name}: {shape.num_items:,} items need {needed / GIGABYTE:,.0f} GB{times}, {free / GIGABYTE:,.0f} are"
            " free; use sparse-ease, slim or item-knn"
        )
