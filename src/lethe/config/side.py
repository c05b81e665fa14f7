"""What params.yaml says of the tables beside the interactions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lethe.config.section import Name, Section
from lethe.config.source import SourcePath
from lethe.config.table import FileFormat, TableFormat


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
    """A table of another behaviour (view, cart) of the same users; the interactions are the target behaviour. With
    ``ids: auto`` ids are text where those of the interactions are."""

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


class ItemFeaturesSource(FeaturesSource):
    """A table of features of items."""

    new_items: bool = False
    """Whether models that read item features also recommend items of this table that nobody has had yet, by their
    features alone; in shards those put together by mean. Other models never do."""


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
    item_features: ItemFeaturesSource | None = None
    """What is known of items."""
    triples: TriplesSource | None = None
    """What is known of items as facts: a knowledge graph."""

    @model_validator(mode="after")
    def _columns_apart(self) -> SideSources:
        for name, roles in (("links", ("user", "friend")), ("triples", ("head", "relation", "tail"))):
            if (table := getattr(self, name)) is not None and len({getattr(table, role) for role in roles}) < len(
                roles
            ):
                raise ValueError(f"{name}: {', '.join(roles)} must be columns of their own")
        for role in ("user", "item"):
            table = getattr(self, f"{role}_features")
            if table is not None and (key := table.key or role) in table.fields:
                raise ValueError(f"{role}_features: fields must not hold the key {key!r}: an id is no feature")
        return self
