"""What a package says of itself, which is read without loading what it serves."""

from __future__ import annotations

from lethe.config.section import Section
from lethe.core.artifacts import Reference
from lethe.core.canonical import Json


class PackageInfo(Section):
    """What a package says of itself: whom it answers for, and everything that it was made of."""

    family: str
    dataset: str
    model: str
    sharding: str
    guarantee: str
    positive: str | None
    """Ratings that are likes (``Recipe.positive``)."""
    recipe: Json
    """All that decided it besides the data, as ``lethe.build.recipe`` reads it."""
    snapshot: Reference
    """The kept copy of the tables that its build began with (``lethe.build.snapshot``)."""
    tables: dict[str, str]
    """Content digest of every table behind it: interactions, then split/train, … or all, then shard/00, …"""
    ensemble: Reference
    sub_models: dict[str, str]
    """{shard: digest}"""
    rates: bool | None = None
    """Whether its model learns ratings rather than preferences; None in a package of an older Lethe."""
    repeatable: bool | None = None
    """Whether its model gives the same bytes again on every device; None in a package of an older Lethe."""

    @property
    def data_digest(self) -> str:
        """Content digest of the whole table and of the side tables beside it."""
        return self.tables["interactions"]

    @property
    def shards(self) -> dict[str, str]:
        """{shard: digest} of the tables that its sub-models learnt from."""
        return {
            name.removeprefix("shard/"): digest for name, digest in self.tables.items() if name.startswith("shard/")
        }
