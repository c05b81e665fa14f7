"""The graph and its product against dense matrices."""

from __future__ import annotations

import numpy as np
import torch

from lethe.core.random import Stream
from lethe.models import configure
from lethe.models.lightgcn import LightGCN
from lethe.models.parts.graph import normalized_graph, symmetric_product
from lethe.tables.matrix import InteractionMatrix, Shape


def matrix() -> InteractionMatrix:
    # Item 3 and user 2 are isolated.
    filled = np.random.default_rng(0).random((5, 6)) < 0.5
    filled[2], filled[:, 3] = False, False
    return InteractionMatrix(Shape(5, 6), *np.nonzero(filled))


def dense(data: InteractionMatrix) -> np.ndarray:
    incidence = data.csr().toarray().astype(np.float64)
    adjacency = np.block([[np.zeros((5, 5)), incidence], [incidence.T, np.zeros((6, 6))]])
    degrees = np.maximum(adjacency.sum(axis=1), 1)
    return adjacency / np.sqrt(np.outer(degrees, degrees))


def test_product_is_the_dense_one_and_so_is_its_gradient() -> None:
    data = matrix()
    graph = normalized_graph(data)
    x = torch.randn(11, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    product = symmetric_product(graph, x)
    assert np.allclose(product.detach().numpy(), dense(data) @ x.detach().numpy(), atol=1e-6)
    assert torch.autograd.gradcheck(lambda t: symmetric_product(graph, t), x)


def test_lightgcn_smooths_as_the_paper_says() -> None:
    data = matrix()
    model = LightGCN(configure("lightgcn", {"num_layers": 3, "embedding_dim": 4}), data.shape)
    model.prepare(data, Stream(1))
    with torch.no_grad():
        smoothed = torch.cat(model.smoothed_towers()).numpy()
        start = torch.cat([model.users, model.items]).double().numpy()
    powers = [np.linalg.matrix_power(dense(data), layer) @ start for layer in range(4)]
    assert np.allclose(smoothed, np.mean(powers, axis=0), atol=1e-6)
