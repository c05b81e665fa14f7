"""JNSKR's losses against the sums over all cells and all triples, its attention by hand, its ablations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.learning.training import train
from lethe.models import configure
from lethe.models.jnskr import JNSKR, Facts
from lethe.models.solvers.pull import Form, using
from lethe.tables.matrix import InteractionMatrix, Shape, Side, TripleMatrix
from tests.contract import Values

USERS, ITEMS, RELATIONS, ENTITIES, DIM = 6, 5, 2, 4, 3
# Item 3 has no triples, item 2 has entity 1 by both relations.
TRIPLES = TripleMatrix(np.array([0, 2, 3, 5, 5, 6]), np.array([0, 1, 0, 0, 1, 1]), np.array([2, 0, 2, 1, 1, 3]))
VALUES: Values = {"embedding_dim": DIM, "attention_dim": 2, "init_std": 0.7, "dropout": 0.3, "batch_size": 2}
VALUES |= {"negative_weight": 2.0, "graph_negative_weight": 0.4, "graph_weight": 0.25}


def matrix() -> InteractionMatrix:
    # User 3 and item 4 have nothing.
    filled = np.random.default_rng(0).random((USERS, ITEMS)) < 0.5
    filled[3], filled[:, 4] = False, False
    shape = Shape(USERS, ITEMS, num_relations=RELATIONS, num_entities=ENTITIES)
    return InteractionMatrix(shape, *np.nonzero(filled), side=Side(triples=TRIPLES))


def prepared(values: Values | None = None) -> JNSKR:
    """In float64, with every parameter drawn at random."""
    data = matrix()
    model = JNSKR(configure("jnskr", VALUES | (values or {})), data.shape)
    model.prepare(data, Stream(1))
    model.double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def facts_of(item: int) -> list[tuple[int, int]]:
    places = range(TRIPLES.indptr[item], TRIPLES.indptr[item + 1])
    return [(int(TRIPLES.relations[k]), int(TRIPLES.entities[k])) for k in places]


def naive_graph(model: JNSKR) -> Tensor:
    """Eq. (5.14) over all heads, relations and entities, less its constant."""
    total = torch.zeros((), dtype=torch.float64)
    for v, r, t in itertools.product(range(ITEMS), range(RELATIONS), range(ENTITIES)):
        score = (model.items[v] * model.relations[r] * model.entities[t]).sum()
        true = (r, t) in facts_of(v)
        total = total + (1.0 if true else model.graph_weights[v]) * (float(true) - score) ** 2 - float(true)
    return total


def naive_vector(model: JNSKR, item: int) -> Tensor:
    """Eq. (5.19) and (5.20), one triple at a time."""
    vector, logits = model.items[item], []
    for r, t in facts_of(item):
        hidden = model.entities[t] @ model.entity_map + model.relations[r] @ model.relation_map + model.attention_bias
        logits.append((torch.relu(hidden) * model.attention_out).sum())
    if not logits:
        return vector
    weights = torch.softmax(torch.stack(logits), dim=0)
    if not model.config.attention:
        weights = torch.full_like(weights, 1 / len(weights))
    for weight, (_, t) in zip(weights, facts_of(item), strict=True):
        vector = vector + weight * model.entities[t]
    return vector


def naive_recommendation(model: JNSKR) -> Tensor:
    """Eq. (5.21) as the sum over all cells that it stands for, less its constant; the masks' mean of its dropout."""
    labels, total = matrix().csr().toarray(), torch.zeros((), dtype=torch.float64)
    for u, v in itertools.product(range(USERS), range(ITEMS)):
        product = model.h * model.users[u] * naive_vector(model, v)
        cost = 1.0 if labels[u, v] else model.negative_weights[v]
        total = total + cost * ((float(labels[u, v]) - product.sum()) ** 2 + 0.3 / 0.7 * product.square().sum())
    return total - float(labels.sum())


def naive_norm(model: JNSKR) -> Tensor:
    vectors = sum(table.square().sum() for table in (model.users, model.items, model.entities, model.relations))
    maps = model.entity_map.square().sum() + model.relation_map.square().sum()
    return model.config.reg * vectors + model.config.attention_reg * maps


def epoch(model: JNSKR) -> Tensor:
    batches = list(model.batches(matrix(), Stream(2)))
    assert len(batches) > 1
    return sum((model.loss(batch) for batch in batches), start=torch.zeros((), dtype=torch.float64))


def same(model: JNSKR, value: Tensor, expected: Tensor) -> None:
    """Equal value and gradient."""
    assert value.item() == pytest.approx(expected.item(), rel=1e-10)
    parameters = list(model.parameters())
    grads = (torch.autograd.grad(x, parameters, materialize_grads=True, allow_unused=True) for x in (value, expected))
    for got, wanted in zip(*grads, strict=True):
        assert torch.allclose(got, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("exponent", [None, 0.5])
def test_the_graph_loss_is_the_sum_over_all_triples(exponent: float | None) -> None:
    model = prepared({"popularity_exponent": exponent})
    batches = list(model.batches(matrix(), Stream(2)))
    value = sum(model._graph_loss(batch.positives.rows, batch.facts) for batch in batches)
    same(model, value, naive_graph(model))  # type: ignore[arg-type]


def test_popular_heads_weigh_more() -> None:
    model = prepared({"popularity_exponent": 0.5})
    counts = np.sqrt(np.diff(TRIPLES.indptr))
    assert np.allclose(model.graph_weights.numpy(), 0.4 * counts / counts.sum())
    assert np.allclose(prepared().graph_weights.numpy(), 0.4)


@pytest.mark.parametrize("implementation", ["compiled", "torch"])
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"popularity_exponent": 0.5},
        {"attention": False},
        {"graph_weight": 0.0},
        {"training": "alternating", "reg": 0.3},
        {"reg": 0.3, "attention_reg": 0.2},
    ],
    ids=str,
)
def test_batches_add_up_to_the_whole_objective(values: Values, implementation: Form) -> None:
    """Eq. (5.22): value and gradient, for the model and each ablation."""
    model = prepared(values)
    expected = naive_recommendation(model) + model.config.graph_weight * naive_graph(model) + naive_norm(model)
    with using(implementation):
        same(model, epoch(model), expected)


def test_alternating_goes_through_the_matrix_then_the_graph() -> None:
    batches = list(prepared({"training": "alternating"}).batches(matrix(), Stream(2)))
    assert [batch.task for batch in batches] == ["recommend"] * 3 + ["graph"] * 3
    for task in ("recommend", "graph"):
        rows = torch.cat([batch.positives.rows for batch in batches if batch.task == task])
        assert sorted(rows.tolist()) == list(range(ITEMS))


def test_attention_by_hand() -> None:
    """Two triples whose hidden layers are (ln 3, 0) and (0, ln 9), against h = (1, ½): the softmax of ln 3 and ln 3;
    and one whose hidden layer the ReLU cuts off."""
    shape = Shape(1, 1, num_relations=2, num_entities=2)
    model = JNSKR(configure("jnskr", {"embedding_dim": 2, "attention_dim": 2}), shape)
    log3 = float(np.log(3))
    with torch.no_grad():
        model.entities.copy_(torch.tensor([[log3, -5.0], [-5.0, 2 * log3]]))
        model.relations.copy_(torch.tensor([[0.0, 0.0], [-9.0, -9.0]]))
        model.entity_map.copy_(torch.eye(2))
        model.relation_map.copy_(torch.eye(2))
        model.attention_out.copy_(torch.tensor([1.0, 0.5]))

        def attention(relations: list[int], entities: list[int]) -> list[float]:
            facts = Facts(torch.tensor([0, len(entities)]), torch.tensor(relations), torch.tensor(entities))
            return model.attention(facts).tolist()

        assert attention([0, 0], [0, 1]) == pytest.approx([0.5, 0.5])
        assert attention([0, 1], [0, 1]) == pytest.approx([0.75, 0.25])
        assert attention([1], [1]) == [1.0]
        model.attention_out.mul_(1000.0)
        assert attention([0, 1], [0, 1]) == pytest.approx([1.0, 0.0])


def test_an_item_without_triples_is_its_own_vector() -> None:
    model = prepared()
    with torch.no_grad():
        model.finish()
    assert torch.equal(model.item_vectors[3], model.items[3])
    for item in (0, 1, 2, 4):
        assert torch.allclose(model.item_vectors[item], naive_vector(model, item))


def test_the_graph_brings_an_item_that_nobody_has_to_those_who_like_its_like() -> None:
    """Items 0-3 are of one maker, 4-7 of another; item 3 was never taken."""
    users, items = np.nonzero(np.equal.outer(np.arange(12) // 6, np.arange(8) // 4) & (np.arange(8) != 3))
    triples = TripleMatrix(np.arange(9), np.zeros(8, np.int64), np.arange(8) // 4)
    shape = Shape(12, 8, num_relations=1, num_entities=2)
    data = InteractionMatrix(shape, users, items, side=Side(triples=triples))
    values = {"embedding_dim": 8, "epochs": 60, "negative_weight": 2.0, "popularity_exponent": 0.5}
    model = JNSKR(configure("jnskr", values), shape)
    train(model, data, Stream(1))
    unseen = model.score(torch.arange(12))[:, 3]
    assert unseen[:6].min() > unseen[6:].max()


def test_a_dataset_without_triples_is_refused() -> None:
    data = InteractionMatrix(Shape(2, 2), np.array([0, 1]), np.array([0, 1]))
    with pytest.raises(ConfigError, match="JNSKR: needs triples, and the dataset has none"):
        train(JNSKR(configure("jnskr", {}), data.shape), data, Stream(1))
