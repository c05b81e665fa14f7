"""The rows of new-items, on rows where what everybody likes about a film is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import new_items
from benchmarks.new_items import Known, compare, hindsight, own_features, popular_features
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTable, SideTables

KINDS = {1: ["a"], 2: ["a", "b"], 3: ["b"], 4: ["a"], 5: ["b"], 6: []}
"""Films 4, 5 and 6 are held out."""
NAMES = [(item, kind) for item, kinds in KINDS.items() for kind in kinds]
TABLES = SideTables(
    {
        "item_features": SideTable.of(
            "item_features",
            item=np.array([item for item, _ in NAMES]),
            field=np.array(["kind"] * len(NAMES)),
            value=np.array([kind for _, kind in NAMES]),
            weight=np.ones(len(NAMES)),
        ),
        "items": SideTable.of("items", item=np.array(list(KINDS)[:5])),
    }
)
ROWS = Interactions.of(np.array([7, 7, 8, 9]), np.array([1, 2, 2, 3]))
HELD_OUT = Interactions.of(np.array([7, 8, 9]), np.array([4, 5, 5]))
KNOWN = Known(ROWS, TABLES, HELD_OUT, seed=1)
USERS, NEW = np.array([7, 8, 9]), np.array([4, 5])


def test_what_needs_no_learning_is_counted_right() -> None:
    # Films 1 and 2 are of kind a, with 1 and 2 rows; 2 and 3 of kind b, with 2 and 1.
    assert popular_features(KNOWN)(USERS, NEW).tolist() == [[1.5, 1.5]] * 3
    assert own_features(KNOWN)(USERS, NEW).tolist() == [[1.0, 0.5], [0.5, 0.5], [0.0, 0.5]]
    assert hindsight(KNOWN)(USERS, NEW).tolist() == [[1, 2]] * 3


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_of_what_is_held_out_is_learnt_from(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = Interactions.of(np.repeat(np.arange(10), 20), np.tile(np.arange(20), 10))
    seen: list[Known] = []

    def fit(known: Known) -> new_items.Scores:
        seen.append(known)
        return lambda users, items: np.tile(-items.astype(float), (len(users), 1))

    result = compare(fit, everything, TABLES, seed)
    held_out = set(seen[0].held_out.item_ids)
    assert len(held_out) == 2
    assert held_out | set(seen[0].rows.item_ids) == set(range(20))
    assert not held_out & set(seen[0].rows.item_ids)
    assert result.metrics == {"recall@10": 1.0, "ndcg@10": 1.0}
