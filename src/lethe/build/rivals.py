"""Two builds on the same held-out rows: is the newer one worse than chance explains?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lethe.build.measuring import measure_each
from lethe.config.measures import Measures
from lethe.evaluation.rating import ERRORS
from lethe.evaluation.significance import paired_t_test
from lethe.learning.ensemble import Ensemble
from lethe.tables.interactions import Interactions


class Compared(NamedTuple):
    """A metric of both on those whom both know: users, or of ratings rows; ``worse``: the one-sided p-value of the
    newer one being no worse, 1 where it is better."""

    new: float
    old: float
    users: int
    p_value: float
    worse: float


def compare(
    new: Ensemble, old: Ensemble, parts: dict[str, Interactions], measures: Measures, metric: str
) -> Compared | None:
    """Both on the validation rows, neither having learnt from them; None where both know fewer than two users."""
    values = [measure_each(one, parts["train"], parts["valid"], measures, metric) for one in (new, old)]
    common = ~np.isnan(values[0]) & ~np.isnan(values[1])
    if common.sum() < 2:
        return None
    ours, theirs = (one[common] for one in values)
    if measures.ratings:
        means = [ERRORS[metric](errors) for errors in (ours, theirs)]
        # Less is better, so that the newer one's loss is what the test is about.
        ours, theirs = (-(np.abs(errors) if metric == "mae" else np.square(errors)) for errors in (ours, theirs))
    else:
        means = [float(ours.mean()), float(theirs.mean())]
    test = paired_t_test(ours, theirs)
    worse = test.p_value / 2 if test.difference < 0 else 1.0
    return Compared(means[0], means[1], int(common.sum()), test.p_value, worse)
