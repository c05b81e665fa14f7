"""What a source holds, in figures: who adds it sees them before anything is written, and proposals go by them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np

from lethe.config.dataset import Dataset, Split
from lethe.core.canonical import Json
from lethe.core.random import Stream
from lethe.data.split import PARTS, count_repeated, deduplicate, split
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.likes import are_likes


@dataclass(frozen=True)
class Ratings:
    """The ratings of a source: their range, how many values they take, the middle one, and how many are 0 or below."""

    least: float
    greatest: float
    values: int
    median: float
    disliked: int

    @property
    def on_a_scale(self) -> bool:
        """Whether they are marks on a scale, rather than counts or amounts."""
        return self.values > 1 and self.greatest <= 100 and self.values <= 101


@dataclass(frozen=True)
class Profile:
    """What a dataset has; nothing in it names a person."""

    rows: int
    users: int
    items: int
    repeated: int
    """Rows that repeat a pair of user and item."""
    ratings: Ratings | None
    first: str | None
    """Time of the oldest row (ISO 8601, to the second); None where there are no times."""
    last: str | None
    likes: int
    """Rows that models of preferences learn from or are judged by."""
    parts: dict[str, int]
    """Rows of train, valid and test."""

    def to_json(self) -> Json:
        return asdict(self)

    def lines(self) -> list[str]:
        """The profile as text."""
        repeated = f", {self.repeated:,} of them repeat a pair" if self.repeated else ""
        lines = [
            f"rows     {self.rows:,}{repeated}",
            f"users    {self.users:,}, {self.rows / max(self.users, 1):.1f} rows each",
            f"items    {self.items:,}, {self.rows / max(self.items, 1):.1f} rows each",
        ]
        if self.ratings is None:
            lines.append("ratings  none: every row is an event")
        else:
            scale = f"{self.ratings.least:g} to {self.ratings.greatest:g}, {self.ratings.values:,} values"
            lines.append(f"ratings  {scale}; {self.likes:,} rows count as likes")
        lines.append("times    none" if self.first is None else f"times    {self.first} to {self.last} (UTC)")
        return [*lines, "parts    " + ", ".join(f"{name} {count:,}" for name, count in self.parts.items())]


def profile_of(rows: Interactions, config: Dataset, name: str, seed: int) -> Profile:
    """Of the rows of a dataset as its section and the seed of params.yaml say, with the parts as they will be laid."""
    parts = dict.fromkeys(PARTS, 0)
    if config.split.by != "ready":
        parts = part_sizes(deduplicate(rows, "latest"), config.split, name, seed)
    return profile_with(rows, config, parts)


def profile_with(rows: Interactions, config: Dataset, parts: dict[str, int]) -> Profile:
    """Of the rows of a dataset that is laid into parts of these sizes."""
    seconds = rows.seconds if config.has_times else None
    times = None if seconds is None or not len(seconds) else (_moment(seconds.min()), _moment(seconds.max()))
    return Profile(
        rows=len(rows),
        users=len(Ids.of(rows.user_ids)),
        items=len(Ids.of(rows.item_ids)),
        repeated=count_repeated(rows),
        ratings=ratings_of(rows),
        first=None if times is None else times[0],
        last=None if times is None else times[1],
        likes=int(are_likes(deduplicate(rows, "latest"), config.threshold).sum()),
        parts=parts,
    )


def part_sizes(rows: Interactions, config: Split, name: str, seed: int) -> dict[str, int]:
    """Rows of each part, as the split stage lays them."""
    return {part: len(own) for part, own in split(rows, config, Stream(seed)("split", name)).items()}


def ratings_of(rows: Interactions) -> Ratings | None:
    if rows.ratings is None or not len(rows):
        return None
    values = rows.ratings
    return Ratings(
        least=float(values.min()),
        greatest=float(values.max()),
        values=len(np.unique(values)),
        # The upper of the two in the middle, so that it is a value that occurs.
        median=float(np.sort(values)[len(values) // 2]),
        disliked=int((values <= 0).sum()),
    )


def _moment(seconds: np.int64) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S")
