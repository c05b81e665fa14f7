"""What somebody did since the last training. It stands alone, because packages answer by it: their keys hold no option
of the buffer that keeps it (``events``)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """An item that somebody took; how they rated it, if they did; which answer it came of, if that is known."""

    item_id: str
    rating: float | None = None
    recommendation: str | None = None
