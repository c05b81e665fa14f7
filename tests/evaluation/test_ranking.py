"""The evaluator against a naive double loop, by hand, and where the two sides don't know each other."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lethe.errors import ConfigError, DataError
from lethe.evaluation.metrics import METRICS
from lethe.evaluation.ranking import BLOCK, evaluate, evaluate_users, popularity
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions


def table(*pairs):
    return Interactions.of(np.array([u for u, _ in pairs]), np.array([i for _, i in pairs]))


def constant(scores):
    return lambda users: np.tile(np.asarray(scores, np.float32), (len(users), 1))


def naive(scores, catalogue, seen, held_out, cutoff):
    """Every user alone: sort all candidates, walk down the list."""
    seen_pairs = set(zip(seen.user_ids, seen.item_ids, strict=True))
    counts = [sum(seen.item_ids == item) for item in catalogue.items.values]
    sums = dict.fromkeys(METRICS, 0.0)
    people = sorted(set(held_out.user_ids))
    for person in people:
        test = {i for u, i in zip(held_out.user_ids, held_out.item_ids, strict=True) if u == person}
        known = list(catalogue.users.values)
        row = scores[known.index(person)] if person in known else counts
        candidates = [(-row[j], j, i) for j, i in enumerate(catalogue.items.values) if (person, i) not in seen_pairs]
        ranked = [item for _, _, item in sorted(candidates)]
        gains = [1 / math.log2(place + 2) if item in test else 0.0 for place, item in enumerate(ranked[:cutoff])]
        found = sum(gain > 0 for gain in gains)
        ideal = [1 / math.log2(place + 2) for place in range(cutoff)]
        sums["hr"] += found > 0
        sums["recall"] += found / len(test)
        sums["recall_min"] += found / min(cutoff, len(test))
        sums["ndcg"] += sum(gains) / sum(ideal[: min(cutoff, len(test))])
        sums["ndcg_kgat"] += sum(gains) / sum(ideal[:found]) if found else 0.0
    return {f"{name}@{cutoff}": total / len(people) for name, total in sums.items()}


pairs = st.sets(st.tuples(st.integers(0, 7), st.integers(0, 11)), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(train=pairs, extra=pairs, test=pairs, cutoff=st.integers(1, 15), data=st.data())
def test_agrees_with_a_double_loop(train, extra, test, cutoff, data):
    # Few distinct scores make ties common; users and items of seen and test may be unknown, tests may be seen.
    catalogue = Catalogue.of(table(*train))
    seen, held_out = table(*(train | extra)), table(*test)
    shape = (len(catalogue.users), len(catalogue.items))
    levels = data.draw(st.lists(st.integers(-2, 2), min_size=math.prod(shape), max_size=math.prod(shape)))
    scores = np.array(levels, dtype=np.float32).reshape(shape)
    ours = evaluate(lambda users: scores[users], catalogue, seen, held_out, cutoffs=(cutoff,), metrics=list(METRICS))
    expected = naive(scores, catalogue, seen, held_out, cutoff)
    cold = len(set(held_out.user_ids) - set(catalogue.users.values))
    assert ours == pytest.approx({**expected, "cold_users": cold})


def test_deterministic_popularity_by_hand():
    # Counts: item 10 thrice, 20 twice, 30 and 40 once each. User 1 has seen 10 and 20.
    seen = table((1, 10), (1, 20), (2, 10), (2, 30), (3, 10), (3, 20), (4, 40))
    catalogue = Catalogue.of(seen)
    popular = constant(popularity(catalogue, seen))
    assert popularity(catalogue, seen).tolist() == [3, 2, 1, 1]
    # User 1 is left with 30, 40 (a tie: the smaller index first); user 2 with 20, 40.
    result = evaluate_users(popular, catalogue, seen, table((1, 40), (2, 20)), cutoffs=(1, 2), metrics=["hr", "ndcg"])
    assert result["hr@1"].tolist() == [0, 1]
    assert result["hr@2"].tolist() == [1, 1]
    assert result["ndcg@2"] == pytest.approx([1 / np.log2(3), 1])


def test_unknown_items_count_in_the_denominator_and_unknown_users_get_the_popular():
    seen = table((1, 10), (2, 10), (2, 20))
    catalogue = Catalogue.of(seen)
    held_out = table((1, 20), (1, 99), (7, 10))
    result = evaluate_users(constant([0, 1]), catalogue, seen, held_out, cutoffs=(1,))
    assert result["recall@1"].tolist() == [0.5, 1.0]
    assert result["recall_min@1"].tolist() == [1.0, 1.0]
    assert result["cold_users"].tolist() == [0, 1]
    assert evaluate(constant([0, 1]), catalogue, seen, held_out, cutoffs=(1,))["cold_users"] == 1


def test_text_ids():
    seen = Interactions.of(np.array(["ann", "bob"]), np.array(["x", "y"]))
    held_out = Interactions.of(np.array(["ann"]), np.array(["y"]))
    assert evaluate(constant([1, 0]), Catalogue.of(seen), seen, held_out, cutoffs=(1,))["hr@1"] == 1


def test_blocks_join(monkeypatch):
    generator = np.random.default_rng(0)
    rows = table(*{(int(u), int(i)) for u, i in generator.integers(0, (2 * BLOCK + 5, 30), (4000, 2))})
    chosen = generator.random(len(rows)) < 0.3
    seen, held_out = rows.take(~chosen), rows.take(chosen)
    catalogue = Catalogue.of(seen)
    scores = generator.normal(size=(len(catalogue.users), len(catalogue.items))).astype(np.float32)
    calls = []

    def score(users):
        calls.append(len(users))
        return scores[users]

    whole = evaluate(score, catalogue, seen, held_out)
    assert max(calls) <= BLOCK
    monkeypatch.setattr("lethe.evaluation.ranking.BLOCK", 7)
    assert evaluate(score, catalogue, seen, held_out) == whole


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_must_be_finite(bad):
    seen = table((1, 10), (2, 20))
    with pytest.raises(DataError, match="scores must be finite"):
        evaluate(constant([1, bad]), Catalogue.of(seen), seen, table((1, 20)))


def test_bad_arguments_name_field_and_rule():
    seen = table((1, 10), (2, 20))
    catalogue = Catalogue.of(seen)
    with pytest.raises(ConfigError, match="metrics: unknown 'auc'; known metrics: hr, "):
        evaluate(constant([1, 1]), catalogue, seen, seen, metrics=["auc"])
    with pytest.raises(ConfigError, match=r"cutoffs: \[0\] must be"):
        evaluate(constant([1, 1]), catalogue, seen, seen, cutoffs=[0])
    with pytest.raises(DataError, match="0 rows, must be at least 1"):
        evaluate(constant([1, 1]), catalogue, seen, seen.take(np.zeros(2, bool)))
