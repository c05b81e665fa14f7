"""GHCF against dense matrices: its propagation, and its loss over all cells of all behaviours."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.models import configure
from lethe.models.ghcf import GHCF, START_DROPOUT
from lethe.models.parts.graph import Graph
from lethe.models.parts.layers import dropped
from tests.contract import Values
from tests.models.test_ehcf import ITEMS, USERS, matrices, matrix

VALUES: Values = {
    "embedding_dim": 3,
    "init_std": 0.7,
    "negative_weight": 0.3,
    "dropout": 0.3,
    "message_dropout": 0.0,
    "start": "normal",
    "reg": 0.05,
    "weights": {"view": 3.0, "cart": 2.0, "buy": 1.0},
}
SHARES = {"cart": 2 / 6, "view": 3 / 6, "buy": 1 / 6}


def prepared(values: Values) -> GHCF:
    model = GHCF(configure("ghcf", VALUES | values), matrix().shape)
    model.prepare(matrix(), Stream(1))
    for name, buffer in list(model.named_buffers()):
        # The graphs stay as they are: sparse products are of the vectors' type.
        if buffer.is_floating_point() and not name.startswith("graph"):
            setattr(model, name, buffer.double())
    for parameter in model.parameters():
        parameter.data = parameter.data.double()
    return model


def dense_graph(name: str) -> Tensor:
    incidence = matrices()[name].csr().toarray().astype(np.float64)
    adjacency = np.block([[np.zeros((USERS, USERS)), incidence], [incidence.T, np.zeros((ITEMS, ITEMS))]])
    degrees = np.maximum(adjacency.sum(axis=1), 1)
    return torch.from_numpy(adjacency / np.sqrt(np.outer(degrees, degrees)))


def smoothed(model: GHCF, factors: dict[str, float]) -> tuple[Tensor, Tensor, Tensor]:
    """The paper's propagation, edge weights and messages spelt out densely."""
    nodes, relations = torch.cat([model.users, model.items]), dict(zip(SHARES, model.relations, strict=True))
    all_nodes, all_relations, identity = [nodes], [relations], torch.eye(3, dtype=torch.float64)
    for layer in range(model.config.num_layers):
        received = sum(
            factor * (dense_graph(name) @ (nodes * relations[name]) @ (identity + model.node_weights[layer] / 3))
            for name, factor in factors.items()
        )
        nodes = torch.where(received > 0, received, 0.2 * received)
        mapped = identity + model.relation_weights[layer] / 3
        relations = {name: relation @ mapped for name, relation in relations.items()}
        all_nodes.append(nodes)
        all_relations.append(relations)
    mean = torch.stack(all_nodes).mean(dim=0)
    return mean[:USERS], mean[USERS:], torch.stack([sum(r[n] for r in all_relations) for n in SHARES]) / len(all_nodes)


def naive(model: GHCF, factors: dict[str, float]) -> Tensor:
    users, items, relations = smoothed(model, factors)
    total = torch.zeros((), dtype=torch.float64)
    for (name, share), relation in zip(SHARES.items(), relations, strict=True):
        labels = matrices()[name].csr().toarray()
        for u, v in itertools.product(range(USERS), range(ITEMS)):
            product = relation * users[u] * items[v]
            error = (float(labels[u, v]) - product.sum()) ** 2 + 0.3 / 0.7 * product.square().sum()
            total = total + share * (1.0 if labels[u, v] else 0.3) * error
        total = total - share * float(labels.sum())
    return total + 0.05 * (model.users.square().sum() + model.items.square().sum())


@pytest.mark.parametrize("num_layers", [1, 2, 5])
@pytest.mark.parametrize(("weighed", "factors"), [(True, SHARES), (False, dict.fromkeys(SHARES, 1.0))])
@pytest.mark.parametrize("batch_size", [0, 3])
def test_the_loss_is_the_full_sum_over_behaviours_and_cells(
    num_layers: int, weighed: bool, factors: dict[str, float], batch_size: int
) -> None:
    model = prepared({"num_layers": num_layers, "weigh_messages": weighed, "batch_size": batch_size})
    parameters = list(model.parameters())
    batches = list(model.batches(matrix(), Stream(1)))
    value = sum((model.loss(batch) for batch in batches), start=torch.zeros((), dtype=torch.float64))
    expected = naive(model, factors)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    for got, wanted in zip(
        torch.autograd.grad(value, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        assert torch.allclose(got, wanted, rtol=1e-5, atol=1e-5)
    model.finish()
    users, items, relations = smoothed(model, factors)
    assert torch.allclose(model.score(torch.arange(USERS)), (users * relations[-1]) @ items.T, atol=1e-6)


def test_a_behaviour_of_weight_zero_has_no_graph() -> None:
    model = prepared({"weights": {"view": 0.0, "cart": 5.0, "buy": 1.0}})
    graphs = {name.split("_")[1] for name, _ in model.named_buffers() if name.startswith("graph")}
    assert graphs == {"0", "2"}
    with torch.no_grad():
        before = model.smooth()[0].clone()
        model.relations[1] += 1.0
        assert torch.equal(model.smooth()[0], before)


def test_dropout_is_drawn_anew_in_each_step_and_known_by_name() -> None:
    model = prepared({"message_dropout": 0.5, "node_dropout": 0.2, "batch_size": 3})
    losses = {}
    for run, epoch in (("first", 0), ("again", 0), ("next", 1)):
        torch.manual_seed(epoch)
        losses[run] = [model.loss(batch).item() for batch in model.batches(matrix(), Stream(1)("epoch", epoch))]
    assert losses["first"] == losses["again"]
    assert losses["first"] != losses["next"]
    plain = prepared({"batch_size": 3})
    (batch, *_) = plain.batches(matrix(), Stream(1)("epoch", 0))
    assert losses["first"][0] != plain.loss(batch).item()


def test_inverted_dropout_keeps_the_mean() -> None:
    x = torch.ones(20_000, 3, dtype=torch.float64)
    rows = dropped(x, 0.4, torch.Generator().manual_seed(1), whole_rows=True)
    assert rows.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert rows.mean().item() == pytest.approx(1.0, abs=0.02)
    assert (rows[:, 0] == rows[:, 2]).all()


def test_the_exact_start_is_the_optimum_of_the_weighted_union() -> None:
    model = prepared({"start": "exact", "popularity_exponent": None})
    users, items = model.users.detach(), model.items.detach()
    assert torch.allclose(users.norm(dim=0), items.norm(dim=0), rtol=1e-4)
    p, q = (vectors.clone().requires_grad_() for vectors in (users, items))
    labels = {name: torch.from_numpy(matrices()[name].csr().toarray()).double() for name in SHARES}
    costs = sum(share * labels[name] for name, share in SHARES.items())
    done = (costs > 0).double()
    costs = torch.where(costs > 0, costs, 0.3)
    error = (done - p @ q.T).square() + START_DROPOUT / (1 - START_DROPOUT) * (p.square() @ q.square().T)
    total = (costs * error).sum()
    start = torch.autograd.grad(total, (p, q))
    # Ten sweeps come close: the gradient is small beside that of vectors a tenth larger.
    moved = [(1.1 * vectors).requires_grad_() for vectors in (users, items)]
    error = (done - moved[0] @ moved[1].T).square()
    error = error + START_DROPOUT / (1 - START_DROPOUT) * (moved[0].square() @ moved[1].square().T)
    away = torch.autograd.grad((costs * error).sum(), moved)
    for near, far in zip(start, away, strict=True):
        assert near.norm() < 0.1 * far.norm()


def test_behaviours_without_the_target_are_refused() -> None:
    for values in ({"behaviours": ["view"]}, {"behaviours": ["view", "view", "buy"]}, {"target": "order"}):
        with pytest.raises(ConfigError, match=r"models\.ghcf\.behaviours: .*target '(buy|order)' among them"):
            configure("ghcf", values)


def test_degrees_may_be_those_of_all_behaviours_together() -> None:
    model = prepared({"num_layers": 1, "degrees": "all"})
    adjacencies = {}
    for name, part in matrices().items():
        incidence = part.csr().toarray().astype(np.float64)
        adjacencies[name] = np.block([[np.zeros((USERS, USERS)), incidence], [incidence.T, np.zeros((ITEMS, ITEMS))]])
    degrees = np.maximum(sum(adjacency.sum(axis=1) for adjacency in adjacencies.values()), 1)
    for place, name in enumerate(model.config.names):
        expected = adjacencies[name] / np.sqrt(np.outer(degrees, degrees))
        indptr, columns, values = (part.numpy() for part in model.held(f"graph_{place}", Graph))
        graph = sp.csr_array((values, columns, indptr), shape=expected.shape).toarray()
        assert graph == pytest.approx(expected, abs=1e-6)
