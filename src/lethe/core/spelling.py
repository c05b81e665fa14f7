"""The name that somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def meant(name: str, known: Iterable[str]) -> str:
    """ " (did you mean 'wmf'?)" where a known name is near enough to this one, else nothing."""
    given = name.lower().replace("_", "-")
    near = get_close_matches(given, list(known), n=5, cutoff=0.6)
    # Letters that changed places are a slip of the hand, and the name is the one meant.
    near.sort(key=lambda one: sorted(one) != sorted(given))
    return f" (did you mean {near[0]!r}?)" if near else ""
