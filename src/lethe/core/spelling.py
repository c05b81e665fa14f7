"""The name that somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def meant(name: str, known: Iterable[str]) -> str:
    """ " (did you mean 'wmf'?)" where a known name is near enough to this one, else nothing."""
    near = get_close_matches(name.lower().replace("_", "-"), list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
