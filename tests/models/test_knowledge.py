"""CKE, CFKG, KGAT and RippleNet against their formulas in float64 loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lethe.core.random import Stream
from lethe.learning.training import train
from lethe.models.cfkg import CFKG
from lethe.models.cke import CKE
from lethe.models.kgat import KGAT
from lethe.models.parts.batches import Labelled, Triples
from lethe.models.parts.knowledge import FactBatch, KnowledgeBatch
from lethe.models.ripplenet import RippleNet
from lethe.tables.matrix import InteractionMatrix, Shape, Side, TripleMatrix

SHAPE = Shape(4, 5, num_relations=2, num_entities=3)
OWN = ((0, 0), (0, 2), (1, 1), (2, 2), (2, 4))
FACTS = ((0, 0, 1), (0, 1, 2), (1, 0, 0), (2, 0, 1), (3, 1, 2))
"""(item, relation, entity); item 4 has none, nor user 3 an item."""


def data() -> InteractionMatrix:
    heads, relations, entities = np.array(FACTS).T
    indptr = np.concatenate([[0], np.cumsum(np.bincount(heads, minlength=5))])
    return InteractionMatrix(SHAPE, *np.array(OWN).T, side=Side(triples=TripleMatrix(indptr, relations, entities)))


def batch() -> KnowledgeBatch:
    triples = Triples(torch.tensor([0, 2]), torch.tensor([2, 4]), torch.tensor([3, 0]))
    facts = FactBatch(*(torch.tensor(part) for part in ([0, 3], [1, 1], [2, 2], [0, 1])))
    return KnowledgeBatch(triples, facts, 3)


def softplus(x: float) -> float:
    return float(np.log1p(np.exp(x)))


def tables(model: nn.Module) -> dict[str, np.ndarray]:
    """The parameters, moved off their symmetric start."""
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return {name: parameter.detach().double().numpy() for name, parameter in model.named_parameters()}


def test_cke_adds_what_transr_learns() -> None:
    model = CKE(CKE.Config(embedding_dim=3, graph_weight=0.6, reg=0.2), SHAPE)
    model.prepare(data(), Stream(1))
    t = tables(model)

    def distance(h: int, r: int, e: int) -> float:
        return float(np.square(t["maps"][r] @ (t["heads"][h] - t["entities"][e]) + t["relations"][r]).sum())

    scores = t["users"] @ (t["items"] + t["heads"]).T
    expected = softplus(scores[0, 3] - scores[0, 2]) + softplus(scores[2, 0] - scores[2, 4])
    expected += 0.6 * (
        softplus(distance(0, 1, 2) - distance(0, 1, 0)) + softplus(distance(3, 1, 2) - distance(3, 1, 1))
    )
    places = [("users", (0, 2)), ("items", (2, 4, 3, 0)), ("heads", (2, 4, 3, 0)), ("heads", (0, 3))]
    places += [("entities", (2, 2)), ("relations", (1, 1))]
    expected += 0.1 * sum(np.square(t[name][row]).sum() for name, rows in places for row in rows)
    assert model.loss(batch()).item() == pytest.approx(expected, rel=1e-5)
    assert model.score(torch.arange(4)).numpy() == pytest.approx(scores, abs=1e-5)


def test_cfkg_translates_from_users_to_items() -> None:
    model = CFKG(CFKG.Config(embedding_dim=3, graph_weight=0.6, reg=0.0), SHAPE)
    model.prepare(data(), Stream(1))
    t = tables(model)

    def fact(h: int, r: int, e: int) -> float:
        return float(np.square(t["items"][h] + t["relations"][r] - t["entities"][e]).sum())

    scores = -np.square((t["users"] + t["bought"])[:, None] - t["items"]).sum(axis=2)
    expected = softplus(scores[0, 3] - scores[0, 2]) + softplus(scores[2, 0] - scores[2, 4])
    expected += 0.6 * (softplus(fact(0, 1, 2) - fact(0, 1, 0)) + softplus(fact(3, 1, 2) - fact(3, 1, 1)))
    assert model.loss(batch()).item() == pytest.approx(expected, rel=1e-5)
    made = model.score(torch.arange(4)).numpy()
    assert made - made[:, :1] == pytest.approx(scores - scores[:, :1], abs=1e-5)


def test_an_epoch_sees_every_fact_once_with_another_tail_of_its_kind() -> None:
    model = CKE(CKE.Config(batch_size=2), SHAPE)
    batches = list(model.batches(data(), Stream(1)))
    facts = [tuple(fact) for b in batches for fact in torch.stack(b.facts[:3]).T.tolist()]
    assert sorted(facts) == sorted(FACTS)
    assert len(batches) == 3
    graph = KGAT(KGAT.Config(embedding_dim=2, layers=(2,)), SHAPE)
    graph.prepare(data(), Stream(1))
    (one,) = graph.batches(data(), Stream(1))
    for relation, corrupted in zip(one.facts.relations.tolist(), one.facts.corrupted.tolist(), strict=True):
        assert corrupted in (range(4, 9) if relation == 0 else range(9, 12))


def test_kgat_attends_along_interactions_and_facts_both_ways() -> None:
    config = KGAT.Config(embedding_dim=3, layers=(3, 2), message_dropout=0.0, graph_weight=0.6, reg=0.2)
    model = KGAT(config, SHAPE)
    model.prepare(data(), Stream(1))
    t = tables(model)
    nodes = np.concatenate([t["users"], t["items"], t["entities"]])
    relations = np.concatenate([t["taken"], t["relations"], t["inverses"]])
    maps = np.concatenate([t["taken_maps"], t["relations_maps"], t["inverses_maps"]])
    edges = [(u, 0, 4 + v) for u, v in OWN] + [(4 + v, 1, u) for u, v in OWN]
    edges += [(4 + h, 2 + r, 9 + e) for h, r, e in FACTS] + [(9 + e, 4 + r, 4 + h) for h, r, e in FACTS]
    layer, layers = nodes, [nodes]
    weights = np.zeros((12, 12))
    for h, r, e in edges:
        weights[h, e] += np.exp((maps[r] @ nodes[e]) @ np.tanh(maps[r] @ nodes[h] + relations[r]))
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)

    def leaky(x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x, 0.01 * x)

    for place in range(2):
        near = weights @ layer
        layer = leaky((layer + near) @ t[f"sums.{place}"]) + leaky((layer * near) @ t[f"products.{place}"])
        layers.append(layer / np.linalg.norm(layer, axis=1, keepdims=True))
    smooth = np.concatenate(layers, axis=1)
    model.finish()
    scores = smooth[:4] @ smooth[4:9].T
    assert model.score(torch.arange(4)).numpy() == pytest.approx(scores, abs=1e-5)

    def distance(h: int, r: int, e: int) -> float:
        return float(np.square(maps[r] @ (nodes[h] - nodes[e]) + relations[r]).sum())

    facts = FactBatch(*(torch.tensor(part) for part in ([0, 7], [0, 3], [6, 11], [8, 9])))
    expected = softplus(scores[0, 3] - scores[0, 2]) + softplus(scores[2, 0] - scores[2, 4])
    expected += 0.6 * (
        softplus(distance(0, 0, 6) - distance(0, 0, 8)) + softplus(distance(7, 3, 11) - distance(7, 3, 9))
    )
    expected += 0.1 * sum(np.square(t["users"][row]).sum() for row in (0, 2))
    expected += 0.1 * sum(np.square(t["items"][row]).sum() for row in (2, 4, 3, 0))
    assert model.loss(batch()._replace(facts=facts)).item() == pytest.approx(expected, rel=1e-5)


def test_ripplenet_asks_each_hop_from_the_items_side() -> None:
    model = RippleNet(RippleNet.Config(embedding_dim=3, hops=2, memory=3, graph_weight=0.4, reg=0.3), SHAPE)
    model.prepare(data(), Stream(1))
    t, ripples = tables(model), model.ripples.tolist()
    assert {row[0] for row in ripples[0][0]} == {0, 2}
    assert {tuple(row) for row in ripples[0][1]} <= {f for f in FACTS if f[0] in (0, 2)}
    assert {tuple(row) for row in ripples[0][2]} <= {f for f in FACTS if f[0] in (0, 2, 3)}
    assert ripples[3] == [[[-1] * 3] * 3] * 3
    scores = np.zeros((4, 5))
    for user in range(4):
        for item in range(5):
            q = t["items"][item]
            for hop, memory in enumerate(ripples[user]):
                memory = [fact for fact in memory if fact[0] >= 0]
                if memory:
                    heads = [t["items"][h] if hop == 0 else t["maps"][r] @ t["items"][h] for h, r, _ in memory]
                    ends = [t["items"][h] if hop == 0 else t["entities"][e] for h, _, e in memory]
                    shares = np.exp([q @ head for head in heads])
                    scores[user, item] += q @ (shares / shares.sum() @ np.array(ends))
    assert model.score(torch.arange(4)).numpy() == pytest.approx(scores, abs=1e-5)
    rows = Labelled(torch.tensor([0, 3]), torch.tensor([2, 1]), torch.tensor([1.0, 0.0]))
    expected = softplus(-scores[0, 2]) + softplus(scores[3, 1])
    norm = np.square(t["items"][2]).sum() + np.square(t["items"][1]).sum()
    for hop, memory in enumerate(ripples[0]):
        for h, r, e in memory:
            norm += np.square(t["items"][h]).sum()
            if hop:
                norm += np.square(t["entities"][e]).sum()
                expected -= 0.4 / (1 + np.exp(-(t["maps"][r] @ t["items"][h]) @ t["entities"][e]))
    assert model.loss(rows).item() == pytest.approx(expected + 0.3 * norm / 3, rel=1e-5)


def test_a_user_without_items_and_an_item_without_facts_are_answered() -> None:
    for model in (RippleNet(RippleNet.Config(epochs=1), SHAPE), KGAT(KGAT.Config(epochs=1, layers=(4,)), SHAPE)):
        train(model, data(), Stream(1))
        assert torch.isfinite(model.score(torch.arange(4))).all()
