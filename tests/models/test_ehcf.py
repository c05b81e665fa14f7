"""EHCF against its loss written out over all cells of all behaviours; the graph of behaviours; the ablations."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe.core.random import Stream
from lethe.errors import ConfigError, DataError
from lethe.learning.training import train
from lethe.models import configure
from lethe.models.ehcf import EHCF
from lethe.tables.matrix import InteractionMatrix, Shape, Side
from tests.contract import Values

USERS, ITEMS = 7, 9
VALUES: Values = {
    "embedding_dim": 3,
    "init_std": 0.7,
    "negative_weight": 2.0,
    "popularity_exponent": 0.5,
    "dropout": 0.3,
    "reg": 0.05,
    "weights": {"view": 3.0, "cart": 2.0, "buy": 1.0},
}


def matrix() -> InteractionMatrix:
    # User 3 did nothing, user 2 bought nothing.
    generator = np.random.default_rng(0)
    parts = {}
    for name in ("view", "cart", "buy"):
        filled = generator.random((USERS, ITEMS)) < 0.4
        filled[3], filled[2] = False, filled[2] & (name != "buy")
        parts[name] = InteractionMatrix(Shape(USERS, ITEMS), *np.nonzero(filled))
    return replace(parts.pop("buy"), side=Side(behaviours=parts))


def matrices() -> dict[str, InteractionMatrix]:
    data = matrix()
    return {**data.side.behaviours, "buy": data}


def prepared(values: Values) -> EHCF:
    model = EHCF(configure("ehcf", VALUES | values), matrix().shape)
    model.prepare(matrix(), Stream(1))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        # Off the start, where the matrices are the identity and the vectors are constant.
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model.double()


def naive(hs: dict[str, Tensor], model: EHCF, shares: dict[str, float]) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for name, share in shares.items():
        labels, counts = matrices()[name].csr().toarray(), matrices()[name].item_counts
        negative = torch.from_numpy(2.0 * np.sqrt(counts) / np.sqrt(counts).sum())
        for u, v in itertools.product(range(USERS), range(ITEMS)):
            product = hs[name] * model.users[u] * model.items[v]
            error = (float(labels[u, v]) - product.sum()) ** 2 + 0.3 / 0.7 * product.square().sum()
            total = total + share * (1.0 if labels[u, v] else negative[v]) * error
        total = total - share * float(labels.sum())
    return total + 0.05 * sum(transfer(model, *key.split(">")).square().sum() for key in model.matrix)


def transfer(model: EHCF, source: str, name: str) -> Tensor:
    return torch.eye(3) + model.matrix[f"{source}>{name}"] / 3


def passed(model: EHCF) -> dict[str, Tensor]:
    """h of each behaviour in the paper's graph, spelt out."""
    view = model.h["view"]
    cart = transfer(model, "view", "cart") @ view + model.offset["view>cart"]
    buy = transfer(model, "view", "buy") @ view + model.offset["view>buy"]
    return {"view": view, "cart": cart, "buy": buy + transfer(model, "cart", "buy") @ cart + model.offset["cart>buy"]}


def cases() -> Iterator[tuple[Values, dict[str, float]]]:
    whole = {"view": 3 / 6, "cart": 2 / 6, "buy": 1 / 6}
    yield {"batch_size": 0}, whole
    yield {"batch_size": 3}, whole
    yield {"transfer": False}, whole
    yield {"graph": {"cart": [], "buy": ["cart"]}, "weights": {}}, {"cart": 1 / 2, "buy": 1 / 2}


@pytest.mark.parametrize(("values", "shares"), cases(), ids=str)
def test_the_loss_is_the_full_sum_over_behaviours_and_cells(values: Values, shares: dict[str, float]) -> None:
    model = prepared(values)
    parameters = list(model.parameters())
    batches = list(model.batches(matrix(), Stream(1)))
    value = sum((model.loss(batch) for batch in batches), start=torch.zeros((), dtype=torch.float64))
    hs = passed(model) if set(model.h) == {"view"} else dict(model.h)
    if set(model.h) == {"cart"}:
        hs = {"cart": hs["cart"], "buy": transfer(model, "cart", "buy") @ hs["cart"] + model.offset["cart>buy"]}
    expected = naive(hs, model, shares)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    for got, wanted in zip(
        torch.autograd.grad(value, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        assert torch.allclose(got, wanted, rtol=1e-6, atol=1e-6)
    scores = (model.users * hs["buy"]) @ model.items.T
    assert torch.allclose(model.score(torch.arange(USERS)), scores)


def test_without_joint_learning_each_behaviour_has_its_turn() -> None:
    model = prepared({"joint": False, "epochs": 6, "reg": 0.0})
    turns = []
    for epoch in range(6):
        for batch in model.batches(matrix(), Stream(1)("epoch", epoch)):
            model.loss(batch)
        turns.append([share > 0 for share in model._turns()].index(True))
        assert sum(share > 0 for share in model._turns()) == 1
    assert turns == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"graph": {"view": ["cart"], "cart": ["view"], "buy": ["cart"]}}, r"graph: .*no cycle, has \w+ → \w+ → \w+$"),
        ({"graph": {"view": [], "cart": ["view"]}}, "graph: .*must say what leads to the target 'buy'"),
        ({"target": "order"}, "must say what leads to the target 'order'"),
        ({"graph": {"view": ["buy"], "buy": []}}, "graph: .*target 'buy' must be last, but leads to 'view'"),
        ({"graph": {"buy": ["view"]}}, "graph: .*'view' leads to 'buy', but is not itself a behaviour"),
        ({"weights": {"view": 1.0}}, "weights must name each of the behaviours view, cart, buy"),
    ],
)
def test_a_graph_that_leads_nowhere_is_refused(values: Values, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configure("ehcf", values)


def test_behaviours_missing_from_the_data_are_refused_before_training() -> None:
    data = matrix()
    only = replace(data, side=Side(behaviours={"view": data.side.behaviours["view"]}))
    with pytest.raises(ConfigError, match="EHCF: behaviour 'cart' is not in the data, which have view"):
        train(EHCF(configure("ehcf", {}), data.shape), only, Stream(1))
    unbought = replace(data, users=data.users[:0], items=data.items[:0])
    with pytest.raises(DataError, match="EHCF: the target behaviour 'buy' has 0 rows, must have at least 1"):
        train(EHCF(configure("ehcf", {}), data.shape), unbought, Stream(1))
