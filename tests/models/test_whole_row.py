"""UltraGCN and SimpleX: their losses against the papers' sums, cell by cell."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.models import configure
from lethe.models.simplex import SimpleX
from lethe.models.ultragcn import UltraGCN
from lethe.tables.matrix import InteractionMatrix, Shape
from tests.contract import LAWS, Law

USERS, ITEMS = 11, 8


def matrix() -> InteractionMatrix:
    # User 2 and item 5 have nothing, user 4 has everything else.
    filled = np.random.default_rng(0).random((USERS, ITEMS)) < 0.4
    filled[4], filled[2], filled[:, 5] = True, False, False
    return InteractionMatrix(Shape(USERS, ITEMS), *np.nonzero(filled))


def epoch_loss(model: UltraGCN | SimpleX) -> float:
    return sum(model.loss(batch).item() for batch in model.batches(matrix(), Stream(1)))


def minus_log_sigmoid(score: float) -> float:
    return math.log1p(math.exp(-score))


@pytest.mark.parametrize("batch_size", [0, 4])
def test_ultragcn_is_the_papers_sum(batch_size: int) -> None:
    values = {
        "embedding_dim": 3,
        "init_std": 0.9,
        "positive_weights": (0.3, 0.7),
        "negative_weights": (0.2, 0.9),
        "negative_weight": 5.0,
        "item_weight": 0.6,
        "neighbours": 2,
        "reg": 0.1,
        "batch_size": batch_size,
    }
    data = matrix()
    model = UltraGCN(configure("ultragcn", values), data.shape)
    model.prepare(data, Stream(1))
    y = data.csr().toarray() > 0
    p, q = (part.detach().double().numpy() for part in (model.users, model.items))
    scores, sizes, counts = p @ q.T, y.sum(axis=1), y.sum(axis=0)
    gram = y.T.astype(float) @ y
    omega = np.zeros((ITEMS, ITEMS))
    for v in range(ITEMS):
        for k in range(ITEMS):
            if v != k and gram[v, k]:
                total = gram[v].sum()
                omega[v, k] = gram[v, k] / (total - gram[v, v]) * math.sqrt(total / gram[k].sum())
    expected = 0.05 * (np.square(p).sum() + np.square(q).sum())
    for u in range(USERS):
        lacked = np.flatnonzero(~y[u])
        for v in range(ITEMS):
            beta = math.sqrt(sizes[u] + 1) / max(sizes[u], 1) / math.sqrt(counts[v] + 1)
            if y[u, v]:
                expected += (0.3 + 0.7 * beta) * minus_log_sigmoid(scores[u, v])
                for k in sorted(range(ITEMS), key=lambda k: (-omega[v, k], k))[:2]:
                    expected += 0.6 * omega[v, k] * minus_log_sigmoid(scores[u, k])
            else:
                expected += sizes[u] * 5.0 / len(lacked) * (0.2 + 0.9 * beta) * minus_log_sigmoid(-scores[u, v])
    assert epoch_loss(model) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch_size", [0, 4])
def test_simplex_is_the_papers_sum(batch_size: int) -> None:
    values = {
        "embedding_dim": 3,
        "own_share": 0.3,
        "margin": 0.1,
        "negative_weight": 4.0,
        "reg": 0.2,
        "batch_size": batch_size,
    }
    data = matrix()
    model = SimpleX(configure("simplex", values), data.shape)
    model.prepare(data, Stream(1))
    with torch.no_grad():
        model.mixing.copy_(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))
        model.finish()
    y = data.csr().toarray() > 0
    p, q, mixing = (part.detach().double().numpy() for part in (model.users, model.items, model.mixing))
    expected = 0.1 * (np.square(p).sum() + np.square(q).sum())
    for u in range(USERS):
        taste = q[y[u]].mean(axis=0) if y[u].any() else np.zeros(3)
        vector = 0.3 * p[u] + 0.7 * taste @ mixing
        cosines = q @ vector / np.linalg.norm(q, axis=1) / np.linalg.norm(vector)
        assert model.score(torch.tensor([u]))[0].numpy() == pytest.approx(cosines, abs=1e-5)
        expected += (1 - cosines[y[u]]).sum()
        expected += y[u].sum() * 4.0 * np.maximum(cosines[~y[u]] - 0.1, 0).mean()
    assert epoch_loss(model) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_mf_ccl_keeps_the_contract(law: Law) -> None:
    law("simplex", {"own_share": 1.0})


@pytest.mark.parametrize(
    ("name", "values", "rule"),
    [
        ("ultragcn", {"negative_weight": -1.0}, r"negative_weight: -1\.0"),
        ("ultragcn", {"negative_weights": [0.1, -1.0]}, r"negative_weights\.1: -1\.0"),
        ("ultragcn", {"neighbours": 0}, r"neighbours: 0"),
        ("simplex", {"margin": 1.5}, r"margin: 1\.5"),
        ("simplex", {"embedding_dim": 0}, r"embedding_dim: 0"),
    ],
)
def test_impossible_values_are_named(name: str, values: dict[str, object], rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"^models\.{name}\.{rule}"):
        configure(name, values)
