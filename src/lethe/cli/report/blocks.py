"""What the report's page is laid out from. The template knows these and nothing of what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Text:
    """A sentence, and perhaps the command that goes with it."""

    kind: ClassVar[str] = "text"
    text: str
    command: str = ""


@dataclass(frozen=True)
class Tiles:
    """A few figures to see first: (figure, what it counts)."""

    kind: ClassVar[str] = "tiles"
    tiles: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """A caption, columns (those that begin with ``>`` are laid to the right) and rows; the first cell names its row.

    Where the first column has no name the table is one of names and values, and its head is for screen readers alone.
    ``marked``: the row that is the winner's, by number. ``folded``: shown when it is asked for.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: int | None = None
    folded: bool = False


@dataclass(frozen=True)
class Chart:
    """A drawing as inline SVG, and in words what it shows."""

    kind: ClassVar[str] = "chart"
    svg: str
    caption: str


@dataclass(frozen=True)
class Charts:
    """Small drawings, side by side where there is room."""

    kind: ClassVar[str] = "charts"
    charts: tuple[Chart, ...]


Block = Text | Tiles | Table | Chart | Charts


@dataclass(frozen=True)
class Group:
    """Blocks under a heading of their own: one dataset's, one family's."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Section:
    """One of the page's parts; ``name`` is its anchor."""

    name: str
    heading: str
    about: str
    groups: tuple[Group, ...]
