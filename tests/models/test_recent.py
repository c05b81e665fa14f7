"""XSimGCL, HSTU and the quadratic head against their formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.models import configure
from lethe.models.enmf_quadratic import ENMFQuadratic, squares
from lethe.models.hstu import HSTU
from lethe.models.parts.batches import RowBatch, Triples
from lethe.models.xsimgcl import NoisyTriples, XSimGCL
from lethe.tables.matrix import InteractionMatrix
from tests.models.test_self_supervised import ITEMS, USERS, data


def smoothing(matrix: InteractionMatrix) -> np.ndarray:
    """D^(-1/2) A D^(-1/2), dense."""
    adjacent = np.zeros((USERS + ITEMS, USERS + ITEMS))
    adjacent[matrix.users, USERS + matrix.items] = 1
    adjacent += adjacent.T
    scale = 1 / np.sqrt(np.maximum(adjacent.sum(axis=0), 1))
    return adjacent * scale * scale[:, None]


def softmax_of_own(left: np.ndarray, right: np.ndarray, temperature: float) -> float:
    """Mean of -ln of each row's share of its own among all of the other table."""
    left, right = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (left, right))
    powers = np.exp(left @ right.T / temperature)
    return float(np.mean([-math.log(powers[i, i] / powers[i].sum()) for i in range(len(left))]))


def test_xsimgcl_ranks_pairs_and_has_two_layers_agree() -> None:
    config = {"embedding_dim": 3, "num_layers": 2, "noise": 0.3, "contrast_weight": 0.7, "temperature": 0.4, "reg": 0.2}
    matrix, model = data(), XSimGCL(XSimGCL.Config.model_validate(config), data().shape)
    model.prepare(matrix, Stream(1))
    generator, graph = torch.Generator().manual_seed(9), smoothing(matrix)
    start = np.concatenate([model.users.detach().double().numpy(), model.items.detach().double().numpy()])
    layers = [start]
    for _ in range(2):
        drawn = torch.rand(start.shape, generator=generator).double().numpy()
        layer = graph @ layers[-1]
        layers.append(layer + 0.3 * np.sign(layer) * drawn / np.linalg.norm(drawn, axis=1, keepdims=True))
    final = (layers[1] + layers[2]) / 2
    users, positives, negatives = [0, 3, 0], [2, 3, 5], [4, 1, 6]
    expected = 0.0
    for u, v, w in zip(users, positives, negatives, strict=True):
        expected += math.log1p(math.exp(final[u] @ final[USERS + w] - final[u] @ final[USERS + v]))
        expected += 0.1 * sum(np.square(start[row]).sum() for row in (u, USERS + v, USERS + w))
    sides = [0, 3], [USERS + v for v in (2, 3, 5)]
    expected += 0.7 * 3 * sum(softmax_of_own(final[rows], layers[1][rows], 0.4) for rows in sides)
    batch = NoisyTriples(Triples(*map(torch.tensor, (users, positives, negatives))), 9)
    assert model.loss(batch).item() == pytest.approx(expected, rel=1e-5)


def test_xsimgcl_scores_without_noise() -> None:
    model = XSimGCL(XSimGCL.Config(embedding_dim=3, num_layers=1), data().shape)
    model.prepare(data(), Stream(1))
    model.finish()
    start = np.concatenate([model.users.detach().numpy(), model.items.detach().numpy()])
    expected = smoothing(data()) @ start
    assert model.factors()[0].tolist() == pytest.approx(expected[:USERS], abs=1e-6)
    assert model.factors()[1].tolist() == pytest.approx(expected[USERS:], abs=1e-6)


def test_xsimgcl_contrasts_a_layer_that_there_is() -> None:
    with pytest.raises(ConfigError, match="contrast_layer must be one of the 1 layers"):
        configure("xsimgcl", {"num_layers": 1, "contrast_layer": 2})


def by_hand(model: HSTU, items: list[int]) -> torch.Tensor:
    """h after each of one user's items [L, d], step by step and head by head."""
    places = model.positions.detach().double()[6 - len(items) :]
    x = [2.0 * model.items.detach().double()[item] + places[place] for place, item in enumerate(items)]
    for block in model.blocks:
        weights = {name: value.detach().double() for name, value in block.named_parameters()}
        normed = [functional.layer_norm(v, (4,)) for v in x]
        gates, values, queries, keys = (
            [functional.silu(v @ weights[name]) for v in normed] for name in ("gate", "value", "query", "key")
        )
        out = []
        for step in range(len(x)):
            parts = []
            for head, own in enumerate((slice(0, 2), slice(2, 4))):
                likeness = [
                    queries[step][own] @ keys[s][own] + weights["distances"][step - s, head] for s in range(step + 1)
                ]
                parts.append(sum(functional.silu(a) / 6 * values[s][own] for s, a in enumerate(likeness)))
            gated = functional.layer_norm(torch.cat(parts), (4,)) * gates[step]
            out.append(x[step] + gated @ weights["out"] + weights["out_bias"])
        x = out
    return torch.stack([functional.layer_norm(v, (4,)) for v in x])


def test_hstu_attends_by_likeness_and_distance_to_the_steps_so_far() -> None:
    config = {"embedding_dim": 4, "heads": 2, "num_layers": 2, "max_length": 6, "dropout": 0.0, "num_negatives": 0}
    model = HSTU(HSTU.Config.model_validate(config), data().shape)
    model.prepare(data(), Stream(1))
    states = model.run(torch.tensor([[-1, 2, 5, 0], [3, 5, 4, 0]]))
    # Layer normalisation of what attention gave, which is small at the start, magnifies rounding.
    assert states[0, 1:].tolist() == pytest.approx(np.array(by_hand(model, [2, 5, 0])), abs=2e-3)
    assert states[1].tolist() == pytest.approx(np.array(by_hand(model, [3, 5, 4, 0])), abs=2e-3)


def test_a_square_is_a_product_of_longer_vectors() -> None:
    generator = torch.Generator().manual_seed(3)
    a, b = (torch.randn(5, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    assert torch.allclose((squares(a) * squares(b)).sum(dim=1), (a * b).sum(dim=1).square())
    assert squares(torch.tensor([[2.0, 3.0]])).tolist() == [pytest.approx([4.0, 6.0 * 2**0.5, 9.0])]


def test_the_quadratic_head_learns_from_all_cells() -> None:
    config = {"embedding_dim": 3, "squared_dim": 2, "negative_weight": 0.3, "dropout": 0.0}
    matrix, model = data(), ENMFQuadratic(ENMFQuadratic.Config.model_validate(config), data().shape)
    model.prepare(matrix, Stream(1))
    with torch.no_grad():
        model.strength.fill_(-0.6)
    p, q, a, b = (
        table.detach().double().numpy() for table in (model.users, model.items, model.bent_users, model.bent_items)
    )
    scores = p @ q.T - 0.6 * (a @ b.T) ** 2
    occurs = matrix.csr().toarray() > 0
    expected = np.where(occurs, (1 - scores) ** 2, 0.3 * scores**2).sum() - len(matrix)
    batch = RowBatch(*map(torch.from_numpy, (np.arange(USERS), matrix.indptr, matrix.items)))
    assert model.loss(batch).item() == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(model.score(torch.arange(USERS)), torch.from_numpy(scores).float(), atol=1e-6)
