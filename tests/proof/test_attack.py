"""The area under the curve against independent ways to it, and its interval against what is known of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lethe.core.random import Stream
from lethe.proof.attack import Auc, auc, interval

SIGNALS = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@given(SIGNALS, SIGNALS)
def test_the_area_is_the_share_of_pairs_in_order(members, others):
    pairs = [(m > o) + 0.5 * (m == o) for m in members for o in others]
    assert auc(np.array(members), np.array(others)) == pytest.approx(sum(pairs) / len(pairs))
    labels = [1] * len(members) + [0] * len(others)
    assert auc(np.array(members), np.array(others)) == pytest.approx(roc_auc_score(labels, members + others))


def test_the_interval_holds_chance_about_as_often_as_it_says():
    held = 0
    for trial in range(60):
        random = np.random.default_rng(trial)
        found = interval(random.normal(size=40), random.normal(size=40), Stream(trial))
        held += found.low <= 0.5 <= found.high
    # 95 % of 60 is 57; fewer than 51 would happen once in three hundred, were the level kept.
    assert held >= 51


def test_a_signal_that_tells_is_an_alarm_and_one_that_is_the_same_for_all_is_not():
    random = np.random.default_rng(0)
    assert interval(random.normal(1, 1, 50), random.normal(0, 1, 50), Stream(0)).alarm
    constant = interval(np.zeros(50), np.zeros(50), Stream(0))
    assert (constant, constant.alarm) == (Auc(0.5, 0.5, 0.5), False)
    perfect = interval(np.ones(50), np.zeros(50), Stream(0))
    assert (perfect, perfect.alarm) == (Auc(1.0, 1.0, 1.0), True)


def test_the_same_stream_gives_the_same_interval():
    random = np.random.default_rng(0)
    groups = random.normal(size=20), random.normal(size=30)
    assert interval(*groups, Stream(1)) == interval(*groups, Stream(1))
    assert interval(*groups, Stream(1)) != interval(*groups, Stream(2))
