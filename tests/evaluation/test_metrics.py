"""Metrics against fractions worked out by hand."""

import numpy as np
import pytest

from lethe.evaluation.metrics import METRICS, hit_ratio, ndcg, ndcg_kgat, recall, recall_min

# One user, three items held out; the list of four places hits at places 2 and 4.
HITS = np.array([[False, True, False, True]])
SIZES = np.array([3])
SECOND, FOURTH = 1 / np.log2(3), 1 / np.log2(5)


@pytest.mark.parametrize(
    ("metric", "cutoff", "expected"),
    [
        (hit_ratio, 1, 0.0),
        (hit_ratio, 2, 1.0),
        (recall, 2, 1 / 3),
        (recall, 4, 2 / 3),
        (recall_min, 2, 1 / 2),
        (recall_min, 4, 2 / 3),
        (ndcg, 2, SECOND / (1 + SECOND)),
        (ndcg, 4, (SECOND + FOURTH) / (1 + SECOND + 1 / 2)),
        # Two hits were found in the list, so KGAT's ideal has two, though three items were held out.
        (ndcg_kgat, 1, 0.0),
        (ndcg_kgat, 2, SECOND / (1 + SECOND)),
        (ndcg_kgat, 4, (SECOND + FOURTH) / (1 + SECOND)),
    ],
)
def test_hand_computed(metric, cutoff, expected):
    assert metric(HITS, SIZES, cutoff) == pytest.approx([expected])


@pytest.mark.parametrize("metric", METRICS.values())
def test_bounds(metric):
    perfect, none = np.array([[True, True, False]]), np.zeros((1, 3), dtype=bool)
    assert metric(perfect, np.array([2]), 3) == pytest.approx([1.0])
    assert metric(none, np.array([2]), 3) == pytest.approx([0.0])
