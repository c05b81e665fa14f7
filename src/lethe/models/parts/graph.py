"""The user-item graph of one table of interactions, and the product with it that gradients can pass."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from lethe.models.solvers.pull import Ragged, form, pull
from lethe.tables.matrix import InteractionMatrix


class Graph(NamedTuple):
    """A symmetric sparse matrix in CSR: indptr [n + 1] int64, columns [nnz] int64, values [nnz] float32."""

    indptr: Tensor
    columns: Tensor
    values: Tensor


def normalized_graph(data: InteractionMatrix, degrees: tuple[np.ndarray, np.ndarray] | None = None) -> Graph:
    """D^(-1/2) A D^(-1/2) over users, then items: n = num_users + num_items.

    Degrees are counted in ``data`` alone, or are given of users and items: a shard's graph knows no other shard.
    """
    incidence = data.csr()
    user_degrees, item_degrees = degrees or (incidence.sum(axis=1), incidence.sum(axis=0))
    rows = np.repeat(np.arange(data.num_users), np.diff(incidence.indptr))
    incidence.data = (1.0 / np.sqrt(user_degrees[rows] * item_degrees[incidence.indices])).astype(np.float32)
    graph = sp.block_array([[None, incidence], [incidence.T, None]], format="csr")
    graph.sort_indices()
    return Graph(
        torch.from_numpy(graph.indptr.astype(np.int64)),
        torch.from_numpy(graph.indices.astype(np.int64)),
        torch.from_numpy(graph.data),
    )


def smoothed(graph: Graph, users: Tensor, items: Tensor, num_layers: int) -> tuple[Tensor, Tensor]:
    """LightGCN's smoothing: the mean over layers 0..``num_layers`` of users [M, d] and items [N, d]."""
    layer = torch.cat([users, items])
    total = layer
    for _ in range(num_layers):
        layer = symmetric_product(graph, layer)
        total = total + layer
    left, right = torch.split(total / (num_layers + 1), [len(users), len(items)])
    return left, right


def symmetric_product(graph: Graph, x: Tensor) -> Tensor:
    """graph [n, n] @ x [n, d] -> [n, d]; differentiable in ``x``, not in the graph."""
    product: Tensor = _SymmetricProduct.apply(x, *graph)  # type: ignore[no-untyped-call]
    return product


class _SymmetricProduct(torch.autograd.Function):
    """The gradient of G x is Gᵀ g = G g: autograd's own would build the transpose anew at each step."""

    @staticmethod
    def forward(context: Any, x: Tensor, *parts: Tensor) -> Tensor:
        context.graph = Graph(*parts)
        return _product(context.graph, x)

    @staticmethod
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _product(context.graph, grad), None, None, None


def _product(graph: Graph, x: Tensor) -> Tensor:
    if form(x) != "compiled":
        return pull(Ragged.of(graph.indptr, graph.columns), graph.values, x)
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    _multiply(*(part.numpy() for part in graph), x.detach().contiguous().numpy(), out.numpy())
    return out


@numba.njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _multiply(indptr: np.ndarray, columns: np.ndarray, values: np.ndarray, x: np.ndarray, out: np.ndarray) -> None:
    for row in range(out.shape[0]):
        target = out[row]
        target[:] = 0
        for k in range(indptr[row], indptr[row + 1]):
            source, value = x[columns[k]], values[k]
            for i in range(x.shape[1]):
                target[i] += value * source[i]
