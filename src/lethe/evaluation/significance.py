"""Is one recommender better than another on the same users?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats


class PairedTest(NamedTuple):
    """Mean of (ours - theirs) over the users, and the two-sided p-value of no difference."""

    difference: float
    p_value: float


def paired_t_test(ours: np.ndarray, theirs: np.ndarray) -> PairedTest:
    """Student's paired t-test of a metric, [U] each, aligned by user (see ``evaluate_users``), U >= 2."""
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    if not difference.any():
        return PairedTest(0.0, 1.0)
    return PairedTest(float(difference.mean()), float(stats.ttest_1samp(difference, 0.0).pvalue))
