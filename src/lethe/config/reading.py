"""What somebody says of a source when it is added, before it is a section of params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NO_COLUMN = "-"


@dataclass(frozen=True)
class Reading:
    """How a source is to be read, as far as somebody said it."""

    columns: Mapping[str, str | None] = field(default_factory=dict)
    """Those of user, item, rating, timestamp, weight; ``NO_COLUMN`` for one that is not there, None for one not spoken
    of."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Options of ``TableFormat``, and ``duplicates`` and ``positive`` of ``Dataset``."""
    context: tuple[str, ...] = ()
    """Columns that say in what situation."""
    query: str | None = None
    """SELECT, where the source is a database."""
    side: Mapping[str, str] = field(default_factory=dict)
    """Files of side tables: links, user_features, item_features, triples, and behaviours.NAME."""
    assume: bool = False
    """Take what is likeliest, and say so, where it would be asked for: columns, repeated pairs, what is a like."""
