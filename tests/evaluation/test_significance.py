import numpy as np
import pytest
from scipy import stats

from lethe.evaluation import paired_t_test


def test_agrees_with_the_paired_test_of_scipy():
    ours, theirs = np.random.default_rng(0).random((2, 50))
    comparison = paired_t_test(ours, theirs)
    assert comparison.difference == pytest.approx(ours.mean() - theirs.mean())
    assert comparison.p_value == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)


def test_equal_metrics_do_not_differ():
    assert paired_t_test(np.ones(5), np.ones(5)) == (0.0, 1.0)
