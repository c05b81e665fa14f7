"""What stands beside a mean: intervals that hold, groups that are no person, lists that are counted right."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.evaluation import lists
from lethe.evaluation.assessing import (
    LEAST,
    error_interval,
    group_bounds,
    mean_interval,
    ranking_quality,
    rating_quality,
)
from lethe.evaluation.contextual import rank_situations
from lethe.evaluation.diversity import gini, unlikeness
from lethe.evaluation.lists import STEP, best_of
from lethe.evaluation.ranking import evaluate_users, rank_users
from lethe.evaluation.rating import ERRORS
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions


def table(*pairs: tuple[int, int]) -> Interactions:
    return Interactions.of(np.array([user for user, _ in pairs]), np.array([item for _, item in pairs]))


def test_an_interval_of_one_value_a_user_is_the_textbooks() -> None:
    values = np.array([0.1, 0.4, 0.4, 0.7, 0.9])
    low, high = mean_interval(values, np.arange(5))
    # t of 4 degrees at 97.5 % is 2.776445.
    margin = 2.776445 * values.std(ddof=1) / np.sqrt(5)
    assert (low, high) == pytest.approx((0.5 - margin, 0.5 + margin))
    assert mean_interval(np.array([0.0, 1.0]), np.arange(2)) == (0.0, 1.0)


def test_values_of_one_person_count_as_one() -> None:
    """The same value five times over says no more than once: intervals are as wide as those of the people."""
    values, owner = np.array([0.1, 0.4, 0.4, 0.7, 0.9]), np.arange(5)
    repeated = mean_interval(np.repeat(values, 5), np.repeat(owner, 5))
    assert repeated == pytest.approx(mean_interval(values, owner))


def test_intervals_hold_as_often_as_they_say() -> None:
    generator, held = np.random.default_rng(3), {"mean": 0, "mae": 0, "rmse": 0}
    owner = np.repeat(np.arange(120), 3)
    for _ in range(300):
        values = generator.exponential(size=120).repeat(3) + generator.normal(size=360)
        low, high = mean_interval(values, owner)
        held["mean"] += low <= 1 <= high
        errors = generator.normal(size=360)
        for name, truth in (("rmse", 1.0), ("mae", np.sqrt(2 / np.pi))):
            low, high = error_interval(ERRORS[name], errors, owner)
            held[name] += low <= truth <= high
    # 95 % of 300 is 285; four standard deviations of a count are 15.
    assert all(270 <= count <= 299 for count in held.values()), held


@given(st.lists(st.integers(0, 12), min_size=1, max_size=120))
def test_no_group_is_a_few_people(activity: list[int]) -> None:
    counts = np.array(activity)
    bounds = group_bounds(counts)
    assert bounds[0] == -1
    assert bounds[-1] == counts.max()
    sizes = np.histogram(counts, np.array(bounds) + 0.5)[0]
    assert sizes.sum() == len(counts)
    assert len(sizes) == 1 or sizes.min() >= LEAST
    assert len(sizes) <= 4


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-2, 2), min_size=3 * (STEP + 9), max_size=3 * (STEP + 9)),
    st.sets(st.integers(0, STEP + 8), max_size=STEP + 9),
    st.integers(1, 12),
)
def test_lists_are_those_of_a_whole_sort(levels: list[int], masked: set[int], length: int) -> None:
    scores = np.array(levels, dtype=np.float32).reshape(3, -1)
    items = np.array(sorted(masked), dtype=np.int64)
    indptr = np.array([0, 0, len(items), len(items)])
    listed = np.full((3, length), -1, dtype=np.int64)
    best_of(scores, np.arange(3), indptr, items, listed)
    for row in range(3):
        kept = np.setdiff1d(np.arange(scores.shape[1]), items if row == 1 else [])
        expected = kept[np.argsort(-scores[row, kept], kind="stable")][:length]
        assert listed[row].tolist() == expected.tolist() + [-1] * (length - len(expected))


def test_coverage_novelty_and_popularity_by_hand() -> None:
    """Item 10 is had by four users, 11 by two, 12 and 13 by one; each of two lists of two holds 12 and what is left."""
    seen = table((1, 10), (2, 10), (3, 10), (4, 10), (1, 11), (2, 11), (3, 12), (4, 13))
    catalogue, held_out = Catalogue.of(seen), table((1, 12), (2, 13))
    score = lambda users: np.tile(np.array([0, 0, 9, 5], np.float32), (len(users), 1))  # noqa: E731
    ranked = rank_users(score, catalogue, seen, held_out, cutoffs=(1, 2), metrics=("hr",))
    assert ranked.shown.tolist() == [[0, 0, 2, 0], [0, 0, 2, 2]]
    assert ranked.values["hr@1"].tolist() == [1.0, 0.0]
    quality = ranking_quality(ranked, catalogue, ["hr@1", "hr@2"], (1, 2), seen)
    one, two = quality.lists
    assert (one.cutoff, one.coverage, one.novelty) == (1, 0.25, 2.0)
    assert (two.coverage, two.novelty) == (0.5, 2.0)
    # Of the eight rows of history four hold an item of four users, two one of two, two one of one.
    assert two.popularity == pytest.approx(1 / ((4 * 4 + 2 * 2 + 2 * 1) / 8))
    assert quality.groups == ()
    assert quality.intervals["hr@1"] == (0.0, 1.0)
    # Item 12 is listed twice, the others never: (2·4 - 5) 2 / (4·2). With 13 as often: (1 + 3) 2 / (4·4).
    assert (one.gini, two.gini) == (0.75, 0.5)
    # Nobody has both 12 and 13; a list of one item has nothing to compare.
    assert (one.diversity, two.diversity) == (None, 1.0)


def test_diversity_is_one_less_the_cosine_of_two_items_users() -> None:
    """Item 0 has users 0 to 3, item 1 users 0 and 1, item 2 user 1, item 3 nobody."""
    users, items = np.array([0, 1, 2, 3, 0, 1, 1]), np.array([0, 0, 0, 0, 1, 1, 2])
    listed = np.array([[0, 1, 2], [2, 3, -1]])
    # Two of √(4·2) users are both's; of items 0 and 2 one of √4, of 1 and 2 one of √2; item 3 is like none.
    first, second = 2 / 8**0.5, (2 / 8**0.5 + 1 / 2 + 1 / 2**0.5) / 3
    expected = [1 - second / 2, None, 1 - first / 2]
    assert unlikeness(listed, (3, 1, 2), users, items) == [pytest.approx(e) if e else None for e in expected]


def test_ginis_coefficient_by_hand() -> None:
    assert gini(np.array([3, 3, 3])) == 0
    assert gini(np.array([0, 0, 0, 8])) == 0.75
    # (-2·1 + 0·2 + 2·3) / (3·6), whatever the order.
    assert gini(np.array([2, 1, 3])) == pytest.approx(4 / 18)


def test_a_sample_of_the_lists_is_evenly_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "SAMPLE", 3)
    seen = table(*((user, user) for user in range(7)))
    scores = np.eye(7, dtype=np.float32)[:, ::-1]
    catalogue, held_out = Catalogue.of(seen), table(*((user, 6 - user) for user in range(7)))
    ranked = rank_users(lambda users: scores[users], catalogue, seen, held_out, cutoffs=(1,), metrics=("hr",))
    # Of users 0, 3 and 6. User 3's best is their own, so that the next comes first.
    assert ranked.sample.tolist() == [[6], [0], [0]]


def test_groups_are_by_history_and_their_means_weigh_up_to_all() -> None:
    generator = np.random.default_rng(5)
    seen = table(*{(user, int(item)) for user in range(80) for item in generator.integers(0, 30, 1 + user % 20)})
    held_out = table(*((user, int(generator.integers(0, 30))) for user in range(80)))
    catalogue = Catalogue.of(seen)
    scores = generator.random((80, len(catalogue.items))).astype(np.float32)
    ranked = rank_users(lambda users: scores[users], catalogue, seen, held_out, cutoffs=(5,), metrics=("recall",))
    groups = ranking_quality(ranked, catalogue, ["recall@5"], (5,), seen).groups
    assert len(groups) > 2
    assert all(before.most < after.least for before, after in pairwise(groups))
    rows = np.bincount(seen.user_ids)
    for group in groups:
        own = (rows >= group.least) & (rows <= group.most)
        assert group.users == own.sum()
        assert group.metrics["recall@5"] == pytest.approx(ranked.values["recall@5"][own].mean())
    values = [group.metrics["recall@5"] for group in groups]
    assert ranking_quality(ranked, catalogue, ["recall@5"], (5,), seen).gap("recall@5") == max(values) - min(values)
    assert ranked.values["recall@5"].sum() == pytest.approx(sum(g.users * g.metrics["recall@5"] for g in groups))


def test_a_user_asked_in_several_contexts_is_one_person() -> None:
    seen = Interactions.of(np.array([1, 2]), np.array([10, 11]), contexts={"day": np.array(["mo", "mo"], object)})
    held_out = Interactions.of(
        np.array([1, 1, 2]), np.array([11, 11, 10]), contexts={"day": np.array(["mo", "tu", "mo"], object)}
    )
    catalogue = Catalogue.of(seen)
    ranked = rank_situations(
        lambda users, _: np.zeros((len(users), 2), np.float32), catalogue, seen, held_out, cutoffs=(1,), metrics=("hr",)
    )
    assert ranked.people.tolist() == [1, 1, 2]
    assert ranked.shown.sum() == 3


def test_ratings_have_intervals_and_groups_and_no_lists() -> None:
    people = np.repeat(np.arange(40), 2)
    errors = np.where(people < 20, 0.5, 1.0)
    seen = table(*((user, item) for user in range(40) for item in range(3 if user < 20 else 9)))
    quality = rating_quality(errors, people, {"mae": ERRORS["mae"]}, seen)
    assert [(group.least, group.users, group.metrics["mae"]) for group in quality.groups] == [(3, 20, 0.5), (9, 20, 1)]
    low, high = quality.intervals["mae"]
    assert low < 0.75 < high
    assert quality.lists == ()


def test_counting_lists_changes_no_metric() -> None:
    generator = np.random.default_rng(9)
    seen = table(*{(int(u), int(i)) for u, i in generator.integers(0, 20, (120, 2))})
    held_out = table(*{(int(u), int(i)) for u, i in generator.integers(0, 24, (80, 2))})
    catalogue = Catalogue.of(seen)
    scores = generator.integers(0, 3, (len(catalogue.users), len(catalogue.items))).astype(np.float32)
    plain = evaluate_users(lambda users: scores[users], catalogue, seen, held_out)
    counted = rank_users(lambda users: scores[users], catalogue, seen, held_out)
    assert all((plain[name] == values).all() for name, values in counted.values.items())
    lengths = np.minimum(len(catalogue.items), 10)
    assert counted.shown[0].sum() <= len(counted.people) * lengths
