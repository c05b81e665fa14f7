import numpy as np
import pytest
from scipy import stats

from lethe.evaluation.significance import holm, mixed_t_test, paired_t_test


def test_agrees_with_the_paired_test_of_scipy():
    ours, theirs = np.random.default_rng(0).random((2, 50))
    comparison = paired_t_test(ours, theirs)
    assert comparison.difference == pytest.approx(ours.mean() - theirs.mean())
    assert comparison.p_value == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)


def test_equal_metrics_do_not_differ():
    assert paired_t_test(np.ones(5), np.ones(5)) == (0.0, 1.0)


def test_one_seed_each_is_the_paired_test():
    ours, theirs = np.random.default_rng(1).random((2, 40))
    mixed = mixed_t_test(ours[None], theirs[None])
    assert mixed.p_value == pytest.approx(paired_t_test(ours, theirs).p_value)
    assert mixed.difference == pytest.approx(ours.mean() - theirs.mean())


def test_the_spread_of_seeds_is_part_of_the_variance():
    """Users' differences are 1, 3 and 2; our seeds' means 4 and 6, theirs the same."""
    ours, theirs = np.array([[3.0, 5, 4], [5, 7, 6]]), np.array([[3.0, 3, 3], [3, 3, 3]])
    variance, users, seeds = 1 / 3 + 1, 1 / 3, 1.0
    degrees = variance**2 / (users**2 / 2 + seeds**2 / 1)
    expected = 2 * stats.t.sf(2 / variance**0.5, degrees)
    assert mixed_t_test(ours, theirs) == (2.0, pytest.approx(expected))
    assert mixed_t_test(ours, theirs).p_value > paired_t_test(ours.mean(axis=0), theirs.mean(axis=0)).p_value


def test_it_finds_a_difference_as_often_as_its_level_where_there_is_none():
    """Users, and on top seeds, differ by chance: of 2,000 tests at .05 about 100 or fewer find something."""
    generator, found = np.random.default_rng(5), 0
    for _ in range(2000):
        user, runs = generator.normal(size=60), generator.normal(size=(2, 3, 1)) * 0.3
        ours, theirs = user + runs + generator.normal(size=(2, 3, 60)) * 0.5
        found += mixed_t_test(ours, theirs).p_value < 0.05
    assert 20 <= found <= 140


def test_equal_runs_do_not_differ():
    assert mixed_t_test(np.ones((2, 5)), np.ones((3, 5))) == (0.0, 1.0)
    assert mixed_t_test(np.ones((2, 5)) * 2, np.ones((3, 5))) == (1.0, 0.0)


def test_holms_correction_by_hand():
    """.01 · 4; .02 · 3; .03 · 2, which is no more than the one before; .8 · 1."""
    assert holm([0.03, 0.01, 0.8, 0.02]) == pytest.approx([0.06, 0.04, 0.8, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
