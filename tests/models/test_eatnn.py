"""EATNN against its loss written out over all cells, and its attention against the formula."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe.core.random import Stream
from lethe.learning.training import train
from lethe.models import configure
from lethe.models.eatnn import EATNN, Attention
from lethe.tables.matrix import InteractionMatrix, Shape, Side
from tests.contract import Values

USERS, ITEMS, FRIENDS = 7, 9, 5
VALUES: Values = {
    "embedding_dim": 3,
    "attention_size": 4,
    "init_std": 0.7,
    "negative_weight": 0.3,
    "links_negative_weight": 0.2,
    "social_weight": 0.4,
    "dropout": 0.3,
    "reg": 0.05,
    "attention_reg": 0.1,
}


def matrix() -> InteractionMatrix:
    # User 3 has no item, user 2 no friend, friend 4 no user.
    generator = np.random.default_rng(0)
    filled, linked = generator.random((USERS, ITEMS)) < 0.4, generator.random((USERS, FRIENDS)) < 0.5
    filled[3], linked[2], linked[:, 4] = False, False, False
    links = InteractionMatrix(Shape(USERS, FRIENDS), *np.nonzero(linked))
    return InteractionMatrix(Shape(USERS, ITEMS, num_friends=FRIENDS), *np.nonzero(filled), side=Side(links=links))


def prepared(**values: object) -> EATNN:
    model = EATNN(configure("eatnn", VALUES | values), matrix().shape)
    model.prepare(matrix(), Stream(1))
    return model.double()


def weights_of(attention: Attention, common: Tensor, own: Tensor) -> Tensor:
    """(α_C, α_own) of one user, spelt out."""
    scores = [
        sum(
            attention.h[j] * torch.relu((attention.weight[j] * vector).sum() + attention.bias[j])
            for j in range(len(attention.h))
        )
        for vector in (common, own)
    ]
    exponentials = torch.stack([torch.exp(torch.as_tensor(score)) for score in scores])
    return exponentials / exponentials.sum()


def naive(model: EATNN) -> Tensor:
    """The triple sum over users, items and friends, less its constant."""
    data, ratio = matrix(), 0.3 / 0.7
    assert data.side.links is not None
    sides = (
        (1.0, data, model.items, model.users, model.item_attention, model.h_items, 0.3),
        (0.4, data.side.links, model.friends, model.social, model.social_attention, model.h_friends, 0.2),
    )
    total = torch.zeros((), dtype=torch.float64)
    for factor, positives, right, own, attention, h, negative in sides:
        labels = positives.csr().toarray()
        for u, v in itertools.product(*map(range, labels.shape)):
            weights = weights_of(attention, model.common[u], own[u])
            product = h * (weights[0] * model.common[u] + weights[1] * own[u]) * right[v]
            error = (float(labels[u, v]) - product.sum()) ** 2 + ratio * product.square().sum()
            total = total + factor * (1.0 if labels[u, v] else negative) * error
        total = total - factor * float(labels.sum())
    vectors = (model.users, model.common, model.social, model.items, model.friends)
    total = total + 0.05 * sum(part.square().sum() for part in vectors)
    attentions = (*model.item_attention.parameters(), *model.social_attention.parameters())
    return total + 0.1 * sum(part.square().sum() for part in attentions)


@pytest.mark.parametrize("batch_size", [0, 3])
def test_the_loss_is_the_full_sum_over_items_and_friends(batch_size: int) -> None:
    model = prepared(batch_size=batch_size)
    parameters = list(model.parameters())
    batches = list(model.batches(matrix(), Stream(1)))
    value = sum((model.loss(batch) for batch in batches), start=torch.zeros((), dtype=torch.float64))
    expected = naive(model)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    for got, wanted in zip(
        torch.autograd.grad(value, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        assert torch.allclose(got, wanted, rtol=1e-6, atol=1e-6)


def test_attention_weights_can_be_read() -> None:
    model = prepared()
    items, social = model.attention_weights()
    assert items.shape == social.shape == (USERS, 2)
    for u in range(USERS):
        assert torch.allclose(items[u], weights_of(model.item_attention, model.common[u], model.users[u]))
        assert torch.allclose(social[u], weights_of(model.social_attention, model.common[u], model.social[u]))
    assert items[:, 0].std() > 1e-3


def test_ablations() -> None:
    """EATNN-A weighs by halves; EATNN-S learns nothing of friends, and nothing from them."""
    halves = prepared(attention=False)
    assert all((weights == 0.5).all() for weights in halves.attention_weights())
    halves.finish()
    assert torch.allclose(halves.factors()[0], (halves.common + halves.users) / 2 * halves.h_items)

    data = matrix()
    nobody = InteractionMatrix(Shape(USERS, FRIENDS), *np.empty((2, 0), np.int64))
    scores = []
    for side in (data.side, Side(links=nobody)):
        model = EATNN(configure("eatnn", VALUES | {"social_weight": 0.0, "reg": 0.0, "epochs": 5}), data.shape)
        train(model, replace(data, side=side), Stream(1))
        scores.append(model.score(torch.arange(USERS)))
        start = EATNN(model.config, data.shape)
        start.prepare(data, Stream(1)("prepare"))
        assert torch.equal(model.friends, start.friends)
    assert torch.equal(*scores)
