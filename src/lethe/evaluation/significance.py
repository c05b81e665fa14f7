"""Is one recommender better than another on the same users?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class PairedTest(NamedTuple):
    """Mean of (ours - theirs) over the users, and the two-sided p-value of no difference."""

    difference: float
    p_value: float


def paired_t_test(ours: np.ndarray, theirs: np.ndarray) -> PairedTest:
    """Student's paired t-test of a metric, [U] each, aligned by user (see ``evaluate_users``), U >= 2."""
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    if not difference.any():
        return PairedTest(0.0, 1.0)
    from scipy import stats  # Slow to import, here and below: who compares nobody needs none.

    return PairedTest(float(difference.mean()), float(stats.ttest_1samp(difference, 0.0).pvalue))


def mixed_t_test(ours: np.ndarray, theirs: np.ndarray) -> PairedTest:
    """A paired test of a metric [seeds, U], aligned by user, U >= 2, which holds for other users and other seeds too.

    The mean difference is held against the sum of three variances of a mean: of each user's difference of the means
    over the seeds, paired; and, where there are two seeds or more, of our seeds' means and of theirs, which are not
    paired. Degrees of freedom are Welch's and Satterthwaite's. With one seed each it is ``paired_t_test``. What a
    user's values owe to the seed is in two of the variances, so the test errs towards no difference.
    """
    ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    samples = [
        ours.mean(axis=0) - theirs.mean(axis=0),
        *(runs.mean(axis=1) for runs in (ours, theirs) if len(runs) > 1),
    ]
    difference = float(samples[0].mean())
    parts = [(float(sample.var(ddof=1)) / len(sample), len(sample) - 1) for sample in samples]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return PairedTest(difference, 1.0 if difference == 0 else 0.0)
    from scipy import stats

    degrees = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    return PairedTest(difference, float(2 * stats.t.sf(abs(difference) / variance**0.5, degrees)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of tests that are made together, corrected so that one false difference among all of them is as likely
    as each value says: the smallest times their number, the next times one less, never below the one before."""
    corrected, least = [0.0] * len(p_values), 0.0
    for place, test in enumerate(sorted(range(len(p_values)), key=lambda test: p_values[test])):
        least = max(least, min(1.0, (len(p_values) - place) * p_values[test]))
        corrected[test] = least
    return corrected
