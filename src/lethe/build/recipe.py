"""What a candidate is: all that decides it besides the data. ``lethe.build.recipes`` makes it of params.yaml."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from lethe.config.section import Section
from lethe.config.sharding import Rows, Sharding, laid_in
from lethe.core.canonical import Json


def candidate_name(model: str, sharding: str) -> str:
    """What reports call a candidate of a family."""
    return f"{model}-{sharding}"


class Recipe(Section):
    """All that decides a candidate besides the data: what a forget run and ``verify`` hold fixed.

    It names no machine: what was promoted on one is rebuilt on any other.
    """

    dataset: str
    model: str
    config: Json
    sharding: str
    layout: Sharding
    aggregator: Json
    seed: int
    positive: str | None = None
    """Ratings that are likes (``Dataset.positive``), of which alone a model of preferences learns; null: all are."""

    epoch: int = 1
    """Of the dataset: what was chosen in one is chosen anew in the next."""

    rows: Rows = "train"
    """Which rows it is built from: candidates are compared on the split, the winner is served with all of them."""

    @model_validator(mode="before")
    @classmethod
    def _names_no_machine(cls, values: Any) -> Any:
        # Recipes stored by version 0.1 name the device that they were trained on.
        return (
            {name: value for name, value in values.items() if name != "device"} if isinstance(values, dict) else values
        )

    @property
    def name(self) -> str:
        return candidate_name(self.model, self.sharding)

    @property
    def laid_in(self) -> str:
        """The folder of its shards, below the dataset's."""
        return laid_in(self.sharding, self.rows)

    def of(self, rows: Rows) -> Recipe:
        """The same, built from other rows of the data."""
        return self.model_copy(update={"rows": rows})
