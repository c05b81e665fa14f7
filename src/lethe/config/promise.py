"""The words and forms of the promise, which a plan, a package and a certificate share."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from lethe.config.section import Section

Line = Annotated[str, StringConstraints(min_length=1)]
Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Moment = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}\+00:00$")]
"""ISO 8601 in UTC, to the second."""

EQUAL = "equal, byte for byte, to what this recipe builds from the remaining data"
WITH_ASSIGNMENT = ", with the assignment to shards that is kept for this epoch"


class Lasting(Section):
    """Something that outlasts a request, and the date or event that ends it."""

    what: Line
    until: Line
