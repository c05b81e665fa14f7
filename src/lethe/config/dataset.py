"""What params.yaml says of a dataset: its source, its side tables, its split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lethe.config.section import THRESHOLD, Section
from lethe.config.side import SideSources
from lethe.config.source import Source
from lethe.config.table import TableFormat

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Fractions(Section):
    """Shares of the rows for validation and test; the rest is for training."""

    valid: Fraction = 0.1
    """Share of the rows for validation."""
    test: Fraction = 0.1
    """Share of the rows for the test."""

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> Fractions:
        if self.valid + self.test >= 1:
            raise ValueError("valid + test must be below 1")
        return self


class RandomSplit(Fractions):
    """Each interaction alone, by its own key."""

    by: Literal["random"] = "random"
    """Each interaction by its own key, so that a deletion moves no other."""


class LeaveOneOutSplit(Section):
    """One test (and, if asked, one validation) interaction of each user who has enough."""

    by: Literal["leave-one-out"]
    """One interaction of each user."""
    order: Literal["latest", "random"] = "latest"
    """Which one: the latest, or one by its key."""
    valid: bool = True
    """Whether another one of each user is for validation."""


class NewestSplit(Fractions):
    """The newest interactions: by fixed cut-off times, or the newest fraction of each user."""

    by: Literal["newest"]
    """The newest interactions."""
    valid_from: int | None = None
    """Time from which rows are for validation; null: by ``valid``."""
    test_from: int | None = None
    """Times in seconds (or positions) from which rows are for validation and for test, in place of the fractions."""

    @model_validator(mode="after")
    def _in_order(self) -> NewestSplit:
        if self.valid_from is not None and (self.test_from is None or self.valid_from > self.test_from):
            raise ValueError("valid_from needs a test_from that is not before it")
        return self


class ReadySplit(Section):
    """The source's own split; validation is carved from train by key where the source has none."""

    by: Literal["ready"]
    """The source's own parts."""
    valid: Fraction = 0.1
    """Share of train for validation, where the source has no such part."""


Split = Annotated[RandomSplit | LeaveOneOutSplit | NewestSplit | ReadySplit, Field(discriminator="by")]


class Bounds(Section):
    min: float | None = None
    """Least value; null: any."""
    max: float | None = None
    """Greatest value; null: any."""

    @model_validator(mode="after")
    def _in_order(self) -> Bounds:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not be above max")
        return self


class Dataset(Section):
    source: Source
    """Where the interactions come from."""
    side: SideSources = SideSources()
    """What is known beside them."""
    split: Split = RandomSplit()
    """How rows are laid into train, validation and test."""
    rating: Bounds = Bounds()
    """What a rating may be; the gate refuses others."""
    items_are_users: bool | None = None
    """Whether items are people too, by the same ids (people recommended to people): whoever is forgotten is forgotten
    as an item as well. null: not said; a request whose user is an item too asks."""
    duplicates: Literal["error", "latest", "sum"] = "error"
    """A (user, item) pair that occurs twice: an error; keep the latest (ties: the highest rating); or keep that, with
    the sum of their weights as its own: how often it occurs, where the source has no column of weights."""
    unweighted: Literal["refuse", "ignore"] = "refuse"
    """Candidates whose model knows no weights, where the dataset has such (``source.columns.weight``, or ``duplicates:
    sum``): an error, or they learn every interaction alike."""
    positive: Annotated[str, Field(pattern=THRESHOLD)] | None = None
    """Ratings that are likes, such as ``>= 4`` or ``> 0``: models of preferences learn and are judged by such rows
    alone; all: every row is a like. Null: so it is, where no rating is 0 or below; where one is, training asks for a
    threshold or all. Models of ratings learn all rows."""

    epoch: int = Field(1, ge=1)
    """Number of the data's epoch, which ``lethe epoch begin`` counts up: a new one lays shards anew, chooses anew and
    counts rows anew."""

    @property
    def threshold(self) -> str | None:
        """Of ratings that are likes; None where every row is one."""
        return None if self.positive == "all" else self.positive

    @property
    def has_weights(self) -> bool:
        """Whether interactions weigh more or less."""
        named = isinstance(self.source, TableFormat) and self.source.columns.weight is not None
        return named or self.duplicates == "sum"

    @property
    def has_times(self) -> bool:
        """Whether its timestamps, if there are any, are times and no mere positions."""
        return not isinstance(self.source, TableFormat) or self.source.has_times

    def behaviour_has_times(self, name: str) -> bool:
        """The same of another behaviour; one that the source makes itself is as its interactions are."""
        table = self.side.behaviours.get(name)
        return self.has_times if table is None else table.has_times

    @model_validator(mode="after")
    def _parts_fit(self) -> Dataset:
        if self.split.by == "ready" and self.source.kind != "folder":
            raise ValueError("split 'ready' needs source kind 'folder'")
        if self.split.by == "ready" and self.duplicates == "sum":
            raise ValueError("duplicates 'sum' can't stand beside split 'ready', whose parts may share a pair")
        if self.positive is not None and isinstance(self.source, TableFormat) and self.source.columns.rating is None:
            raise ValueError(f"positive: {self.positive!r} needs a column of ratings (source.columns.rating)")
        if self.source.kind == "synthetic" and self.side != SideSources(clean=self.side.clean):
            raise ValueError("side tables from files can't stand beside source 'synthetic', which makes its own")
        return self
