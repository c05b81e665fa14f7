"""A dataset's section of params.yaml while it is made: what was said of the source, found in it, or proposed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lethe.config.dataset import Dataset, Split
from lethe.core.canonical import Json


@dataclass(frozen=True)
class NewSection:
    """What will be written, part by part; None and empty parts are left out."""

    place: Json
    """Kind of the source, and where it lies."""
    columns: Json = field(default_factory=dict)
    """Names of its columns, by role; those of contexts as a list."""
    options: Json = field(default_factory=dict)
    """How it is written: options of ``TableFormat``."""
    duplicates: str | None = None
    unweighted: str | None = None
    positive: str | None = None
    side: Json = field(default_factory=dict)
    split: Split | None = None
    """None while it is not chosen, and of ready parts."""

    @property
    def is_ready(self) -> bool:
        """Whether the source has parts of its own."""
        return self.place["kind"] == "folder"

    def parsed(self, name: str) -> Dataset:
        """As a dataset of that name. Raises ConfigError."""
        return Dataset.parse(self.to_json(), f"datasets.{name}")

    def to_json(self) -> Json:
        """In the order in which it is written."""
        source = self.place | ({"columns": self.columns} if self.columns else {}) | self.options
        parts: Json = {"source": source}
        if self.is_ready:
            parts["split"] = {"by": "ready"}
        meaning: dict[str, Any] = {"duplicates": self.duplicates, "unweighted": self.unweighted}
        meaning |= {"positive": self.positive, "side": self.side or None}
        parts |= {name: value for name, value in meaning.items() if value is not None}
        if self.split is not None:
            # Only what may be wanted otherwise.
            parts["split"] = {"by": self.split.by} | self.split.model_dump(mode="json", exclude_none=True)
        return parts
