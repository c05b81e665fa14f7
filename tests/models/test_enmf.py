"""The passes of ENMF-U, -I and -A against the double loop over all cells, and against each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe.core.random import Stream
from lethe.models import configure
from lethe.models.enmf import ENMF
from lethe.models.enmf_a import ENMFA
from lethe.models.enmf_i import ENMFI
from lethe.models.parts.batches import row_batches
from lethe.models.solvers.pull import Form, using
from lethe.tables.matrix import InteractionMatrix, Shape
from tests.contract import LAWS, Law

USERS, ITEMS = 7, 9
VALUES = {"embedding_dim": 3, "init_std": 0.7, "negative_weight": 2.0, "popularity_exponent": 0.5, "dropout": 0.3}


def matrix() -> InteractionMatrix:
    # User 3 and item 4 have nothing.
    filled = np.random.default_rng(0).random((USERS, ITEMS)) < 0.4
    filled[3], filled[:, 4] = False, False
    return InteractionMatrix(Shape(USERS, ITEMS), *np.nonzero(filled))


def prepared(kind: type[ENMF], name: str) -> ENMF:
    model = kind(configure(name, VALUES), Shape(USERS, ITEMS))
    model.prepare(matrix(), Stream(1))
    return model.double()


def naive(model: ENMF) -> Tensor:
    labels, ratio = matrix().csr().toarray(), 0.3 / 0.7
    total = torch.zeros((), dtype=torch.float64)
    for u, v in itertools.product(range(USERS), range(ITEMS)):
        product = model.h * model.users[u] * model.items[v]
        cost = 1.0 if labels[u, v] else model.negative_weights[v]
        error = (float(labels[u, v]) - product.sum()) ** 2 + ratio * product.square().sum()
        total = total + cost * error
    return total - float(labels.sum())


@pytest.mark.parametrize("implementation", ["compiled", "torch"])
@pytest.mark.parametrize("batch_size", [0, 4])
def test_batches_of_items_are_the_whole_square_loss(batch_size: int, implementation: Form) -> None:
    model = prepared(ENMFI, "enmf-i")
    parameters = model.users, model.items, model.h
    batches = row_batches(matrix().transposed, batch_size, np.random.default_rng(1))
    with using(implementation):
        value = sum((model.loss(batch) for batch in batches), start=torch.zeros((), dtype=torch.float64))
    expected = naive(model)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    for got, wanted in zip(
        torch.autograd.grad(value, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        assert torch.allclose(got, wanted, rtol=1e-6, atol=1e-6)


def test_alternating_goes_through_users_then_items() -> None:
    model = prepared(ENMFA, "enmf-a")
    model.config = model.config.model_copy(update={"batch_size": 4})
    batches = list(model.batches(matrix(), Stream(1)))
    assert [side for side, _ in batches] == ["users"] * 2 + ["items"] * 3
    rows = {s: sorted(torch.cat([b.rows for side, b in batches if side == s]).tolist()) for s in ("users", "items")}
    assert rows == {"users": list(range(USERS)), "items": list(range(ITEMS))}
    whole = naive(model).item()
    for side in ("users", "items"):
        passed = sum(model.loss(batch).item() for batch in batches if batch[0] == side)
        assert passed == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", ["enmf-i", "enmf-a"])
def test_popularity_weights_keep_the_contract(name: str, law: Law) -> None:
    law(name, {"batch_size": 7, "negative_weight": 4.0, "popularity_exponent": 0.5, "epochs": 60})
