"""What is odd about the users of a new dataset, for whoever adds it: nobody among them, and one of them twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lethe.tables.ids import Ids, alike
from lethe.tables.interactions import Interactions

_NOBODY = {
    *("0", "-1", "-", "guest", "gast", "anonymous", "anon", "unknown", "undefined", "visitor", "nobody", "none"),
    *("null", "nan", "n/a", "na", "nil", "(not set)", "not logged in", "logged out"),
    "00000000-0000-0000-0000-000000000000",
}
"""How systems name whoever they don't know."""
_MANY = 10
"""Times as many rows as anybody else."""


def odd_users(rows: Interactions, where: str) -> Iterator[str]:
    """Notes, which open with ``where``."""
    users = Ids.of(rows.user_ids)
    counts = np.bincount(users.encode(rows.user_ids), minlength=len(users))
    most = int(counts.argmax())
    others = np.delete(counts, most)
    share = f"{int(counts[most])} of {len(rows)} rows"
    if not len(others):
        return
    if str(users.values[most]).strip().casefold() in _NOBODY and counts[most] > 2 * others.max():
        yield (
            f"{where}: {share} are of an id that systems give to whoever they don't know (0, guest, unknown or the"
            " like); they are learnt as one user: leave them out of the source if they are several"
        )
    elif counts[most] > _MANY * others.max():
        yield (
            f"{where}: {share} are of one user, more than {_MANY} times as many as of anybody else; if that id stands"
            " for whoever is not known, leave those rows out of the source"
        )
    if spelt := alike(users):
        yield (
            f"{where}: {spelt} ids are the same as another but for case, blanks, accents' form, zeros in front, a dot"
            " at the end or mailto:, and"
            " are users of their own, each forgotten by itself; if they are one, write them alike in the source"
        )
