from __future__ import annotations

import numpy as np
import pytest

from lethe.evaluation.contextual import evaluate_situations
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

SEEN = Interactions.of(
    np.array([1, 1, 2, 2]), np.array([10, 20, 20, 30]), contexts={"time": np.array(["am", "pm", "am", "am"], object)}
)


def test_each_situation_is_ranked_alone_and_masks_its_own_items_only() -> None:
    catalogue = Catalogue.of(SEEN)
    held_out = Interactions.of(
        np.array([1, 1, 3]), np.array([20, 30, 20]), contexts={"time": np.array(["am", "pm", "am"], object)}
    )
    asked: list[tuple[int, str]] = []

    def score(users: np.ndarray, contexts: dict[str, np.ndarray]) -> np.ndarray:
        asked.extend(zip(users.tolist(), contexts["time"], strict=True))
        # In the morning 10 > 20 > 30, in the afternoon 20 > 10 > 30.
        morning = (contexts["time"] == "am")[:, None]
        return np.where(morning, np.array([[3, 2, 1]]), np.array([[2, 3, 1]])).astype(np.float32)

    found = evaluate_situations(score, catalogue, SEEN, held_out, cutoffs=(1, 2), metrics=("hr",))
    # User 1 in the morning: 10 is masked, so 20 leads. In the afternoon: 20 is masked, 10 leads, 30 is second.
    # User 3 is unknown: 20 is the most popular.
    assert asked == [(0, "am"), (0, "pm")]
    assert found["hr@1"].tolist() == [1.0, 0.0, 1.0]
    assert found["hr@2"].tolist() == [1.0, 1.0, 1.0]
    assert found["cold_users"].tolist() == [0.0, 0.0, 1.0]


def test_one_context_gives_the_metrics_of_a_plain_ranking() -> None:
    from lethe.evaluation.ranking import evaluate_users

    rng = np.random.default_rng(3)
    users, items = np.nonzero(rng.random((20, 30)) < 0.4)
    train = rng.random(len(users)) < 0.7
    plain = [Interactions.of(users[part], items[part]) for part in (train, ~train)]
    same = [
        Interactions.of(users[part], items[part], contexts={"time": np.full(part.sum(), "am", object)})
        for part in (train, ~train)
    ]
    catalogue = Catalogue.of(plain[0])
    scores = rng.random((20, len(catalogue.items))).astype(np.float32)
    expected = evaluate_users(lambda u: scores[u], catalogue, *plain)
    found = evaluate_situations(lambda u, _: scores[u], catalogue, *same)
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values)
