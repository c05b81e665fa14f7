"""What params.yaml says of a sharding: how rows are laid into shards, and how sub-models are put together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lethe.config.section import Name, Section

Rows = Literal["train", "all"]
"""Which rows a build learns from: the split's training part, so that it can be measured on the rest; or all, so that it
can be served."""
ROWS: tuple[Rows, ...] = ("train", "all")


def laid_in(sharding: str, rows: Rows) -> str:
    """The folder, below the dataset's, in which a sharding of these rows lies."""
    return sharding if rows == "train" else f"{sharding}/{rows}"


class ColumnPlacement(Section):
    """Users whose value in a table of yours reaches a bound lie in the last slice. The file is only read."""

    by: Literal["column"]
    """A column of a table of yours."""
    path: str
    """CSV or Parquet, one line a user; relative to the workspace."""
    column: str
    """The column that says it: a number for each user."""
    at_least: float
    """The least value of a user who is likely to leave, in the column's unit."""
    user: str = "user"
    """Column of the user ids."""


class RequestPlacement(Section):
    """Users who have asked to forget interactions before lie in the last slice; fixed when an epoch begins."""

    by: Literal["requests"]
    """Earlier requests."""
    at_least: int = Field(1, ge=1)
    """Interactions that the suppression list names."""


Placement = Annotated[ColumnPlacement | RequestPlacement, Field(discriminator="by")]


class Balance(Section):
    """How full the balanced partitions' shards may get, and what is a cluster's centre."""

    slack: float = Field(1.2, ge=1)
    """Cap of a shard in the balanced partitions: ceil(slack * rows / num_shards)."""
    # At their defaults the next two stand in no plain form: assignments frozen before they were there stay in force.
    centroids: Literal["mean", "scalar"] = Field("mean", exclude_if=lambda value: value == "mean")
    """A cluster's centre: the mean vector, or one number, the mean of all its vectors' entries, as RecEraser's program
    has it."""
    cap: Literal["strict", "overshoot"] = Field("strict", exclude_if=lambda value: value == "strict")
    """Whether a user, or an item, joins a shard where all its rows fit, or, as in the thesis' listing, any that is not
    full: the last to join may lift it over its cap."""


class Sharding(Balance):
    """How rows are laid into shards and how the sub-models are put together again."""

    partition: Name
    """Which rows lie together, a name of the partitions' table: all (whole), by a hash of the user (user-hash) or of
    the interaction (interaction-hash), by balanced clusters of users (ubp), items (ibp) or interactions (inbp), or by
    clusters of the graph (graph-lpa, graph-bekm)."""
    num_shards: int = Field(ge=1)
    """Number of shards; a sub-model is trained on each that holds a row."""
    aggregator: Name
    """How the sub-models are put together: a name of the aggregators' table."""
    slices: int = Field(1, ge=1)
    """Restart points inside a shard: it learns slice after slice, and a deletion goes back to the touched one."""
    placement: Placement | None = None
    """Who lies in the last slice, where a deletion costs least; without it a user's slice is by keyed hash."""

    @model_validator(mode="after")
    def _whole_is_one_shard(self) -> Sharding:
        whole = (self.partition == "whole", self.num_shards == 1, self.aggregator == "identity")
        if any(whole) and not all(whole):
            given = f"partition {self.partition!r}, num_shards {self.num_shards} and aggregator {self.aggregator!r}"
            raise ValueError(f"{given} don't go together: whole, 1 and identity do, and each with nothing else")
        if self.placement is not None and self.slices == 1:
            raise ValueError("placement needs at least 2 slices")
        return self
