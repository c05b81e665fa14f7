"""Context history against its formula, row by row."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lethe.core.random import Stream
from lethe.learning.training import train
from lethe.models import configure
from lethe.models.context_history import ContextHistory
from lethe.models.parts.base import Given
from lethe.tables.matrix import InteractionMatrix, Shape

VALUES = {"embedding_dim": 2, "sweeps": 2, "history_weight": 0.7, "sharpness": 1.5}
ROWS = [(0, 1, (0, 3)), (0, 1, (1, 3)), (0, 2, (1, -1)), (2, 0, (2, 4)), (2, 1, (0, 4))]
"""(user, item, contexts); user 1 has nothing, -1 is a missing value."""


def trained() -> ContextHistory:
    users, items, contexts = (np.array(part) for part in zip(*ROWS, strict=True))
    data = InteractionMatrix(Shape(3, 4, num_contexts=5), users, items, contexts=contexts)
    model = ContextHistory(configure("context-history", VALUES), data.shape)
    train(model, data, Stream(1))
    return model


def expected(model: ContextHistory, user: int, contexts: tuple[int, int], item: int) -> float:
    votes = 0.0
    for owner, taken, had in ROWS:
        if taken == item and user in (owner, -1):
            votes += np.exp(1.5 * sum(a == b >= 0 for a, b in zip(contexts, had, strict=True)))
    known = (model.users[user] @ model.items[item]).item() if user >= 0 else 0.0
    return float(known + 0.7 * np.log1p(votes))


@pytest.mark.parametrize("contexts", [(0, 3), (1, 4), (1, -1), (-1, -1)])
def test_scores_are_votes_over_factors(contexts: tuple[int, int]) -> None:
    model = trained()
    users = [0, 1, 2, -1]
    scores = model.score_given(torch.tensor(users), Given(torch.tensor([contexts] * 4)))
    for row, user in enumerate(users):
        for item in range(4):
            assert scores[row, item].item() == pytest.approx(expected(model, user, contexts, item), rel=1e-5, abs=1e-6)


def test_without_contexts_it_counts_the_users_own_rows() -> None:
    model = trained()
    unknown = model.score_given(torch.tensor([0, 2]), Given(torch.full((2, 2), -1)))
    assert torch.equal(model.score(torch.tensor([0, 2])), unknown)
    assert torch.equal(model.score_given(torch.tensor([0, 2]), Given()), unknown)


def test_weights_alone_answer_the_same() -> None:
    model = trained()
    fresh = ContextHistory(model.config, model.shape)
    fresh.load_state_dict(model.state_dict())
    given = Given(torch.tensor([[0, 3], [1, 4]]))
    assert torch.equal(fresh.score_given(torch.tensor([0, 2]), given), model.score_given(torch.tensor([0, 2]), given))
