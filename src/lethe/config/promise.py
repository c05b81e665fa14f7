"""The words of the promise, which a plan, a package and a certificate share."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from lethe.config.section import Section

Line = Annotated[str, StringConstraints(min_length=1)]

EQUAL = "equal, byte for byte, to what this recipe builds from the remaining data"
WITH_ASSIGNMENT = ", with the assignment to shards that is kept for this epoch"


class Lasting(Section):
    """Something that outlasts a request, and the date or event that ends it."""

    what: Line
    until: Line
