"""Full ranking where interactions have contexts: each (user, contexts) that is held out is a list of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Unpack

import numpy as np
from torch import Tensor

from lethe.evaluation.ranking import Measured, Ranked, Score, evaluate_users, rank_users
from lethe.tables.catalogue import Catalogue
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions

ScoreIn = Callable[[np.ndarray, dict[str, np.ndarray]], "np.ndarray | Tensor"]
"""Dense users [B] int64 and {context field: values [B]} -> scores [B, num_items] float32."""


def evaluate_situations(
    score: ScoreIn,
    catalogue: Catalogue,
    seen: Interactions,
    held_out: Interactions,
    **measured: Unpack[Measured],
) -> dict[str, np.ndarray]:
    """``evaluate_users`` with one row for each distinct (user, contexts) of ``held_out``, in that order.

    Items that the user has in ``seen`` in the very same contexts are no candidates; those of other contexts are
    (as in ENSFM's program). The errors are those of ``evaluate_users``.
    """
    asked = _Situations.of(score, catalogue, seen, held_out)
    return evaluate_users(*asked.ranking, **measured)


def rank_situations(
    score: ScoreIn,
    catalogue: Catalogue,
    seen: Interactions,
    held_out: Interactions,
    **measured: Unpack[Measured],
) -> Ranked:
    """``evaluate_situations``, with how often each item was listed, and whose each list is."""
    asked = _Situations.of(score, catalogue, seen, held_out)
    return rank_users(*asked.ranking, **measured)._replace(people=asked.people)


class _Situations(NamedTuple):
    """Each distinct (user, contexts) as a user of its own."""

    people: np.ndarray
    """Raw id of the user of each."""
    ranking: tuple[Score, Catalogue, Interactions, Interactions]
    """What ``rank_users`` is given."""

    @classmethod
    def of(cls, score: ScoreIn, catalogue: Catalogue, seen: Interactions, held_out: Interactions) -> _Situations:
        whole = _numbered(held_out, seen)
        of_held, of_seen = whole[: len(held_out)], whole[len(held_out) :]
        situations, first = np.unique(of_held, return_index=True)
        people = np.asarray(held_out.user_ids[first])
        users = catalogue.users.encode(people)
        contexts = {name: np.asarray(values[first]) for name, values in held_out.contexts.items()}
        # Whoever is unknown stays out of the catalogue, and gets what is popular.
        known = np.flatnonzero(users >= 0)
        ranking = (
            lambda rows: score(users[known[rows]], {name: values[known[rows]] for name, values in contexts.items()}),
            Catalogue(Ids(situations[known]), catalogue.items),
            Interactions.of(of_seen, seen.item_ids),
            Interactions.of(of_held, held_out.item_ids),
        )
        return cls(people, ranking)


def _numbered(*tables: Interactions) -> np.ndarray:
    """One integer for each (user, contexts), equal for equal ones, in their order -> [rows of all tables] int64."""
    code = np.zeros(sum(len(table) for table in tables), dtype=np.int64)
    for column in ("user_ids", *tables[0].contexts):
        values = [table.user_ids if column == "user_ids" else table.contexts[column] for table in tables]
        _, places = np.unique(np.concatenate(values), return_inverse=True)
        _, code = np.unique(code * (int(places.max(initial=0)) + 1) + places, return_inverse=True)
    return code.astype(np.int64)
