"""``solvers.slim`` on a GPU: coordinate descent for the columns of all items at once.

A pass takes the items in their order, a block of them at a time. Within a block one is moved after the other, which
needs the block's own counts alone; then one dense product brings the slopes of all items up to date. So a pass does
what a pass of the CPU's does to a column, in an order that is the same for all columns (the CPU's is by similarity).
The minimum, of which there is one, is the same. There are no passes over what has weight alone.
"""

from __future__ import annotations

import scipy.sparse as sp
import torch
from torch import Tensor

from lethe.models.solvers.pull import form

BLOCK = 64
PASSES = 10
"""That stand for one of the CPU's, which passes over what has weight after each."""


def slim_there(gram: Tensor, *, l1: float, l2: float, sweeps: int, tolerance: float) -> tuple[Tensor, float]:
    """``slim.slim`` from a dense YᵀY [N, N] float32 -> (W [N, N], its objective)."""
    weights, slopes = torch.zeros_like(gram), gram.clone()
    for _ in range(PASSES * sweeps):
        furthest = gram.new_zeros(())
        for first in range(0, len(gram), BLOCK):
            last = min(first + BLOCK, len(gram))
            moves = _descend(gram, slopes, weights, first, last, l1, l2)
            slopes.addmm_(gram[:, first:last], moves, alpha=-1.0)
            furthest = torch.maximum(furthest, moves.abs().amax())
        if float(furthest) <= tolerance:
            break
    # Items that share no user have no weight; rounding could give them some.
    weights = torch.where(gram > 0, weights, 0.0)
    # ½ wᵀ YᵀY w - w·Yᵀy, with YᵀY w = Yᵀy - slopes.
    costs = weights.double() * (0.5 * (l2 * weights - gram - slopes) + l1)
    return weights, float(costs.sum())


def sparse(weights: Tensor) -> sp.csr_array:
    """Weights as the CPU keeps them."""
    rows, columns = weights.nonzero(as_tuple=True)
    places, values = (rows.cpu().numpy(), columns.cpu().numpy()), weights[rows, columns].cpu().numpy()
    return sp.csr_array((values, places), shape=tuple(weights.shape))


def _descend(gram: Tensor, slopes: Tensor, weights: Tensor, first: int, last: int, l1: float, l2: float) -> Tensor:
    """Move the weights of a block's items, one item after the other -> moves [last - first, N]."""
    if form(gram) == "triton":
        from lethe.models.solvers import kernels

        return kernels.start_descend(gram, slopes, weights, first, last, l1, l2)
    own, block, now = slopes[first:last].clone(), gram[first:last, first:last], weights[first:last]
    before = now.clone()
    for k in range(last - first):
        norm, old = block[k, k], now[k].clone()
        # Of an item that nobody has the norm may be 0, and l2 too.
        new = (own[k] + norm * old - l1).clamp_min(0) / torch.where(norm > 0, norm + l2, 1.0)
        new[first + k] = 0
        now[k] = new
        own -= block[k][:, None] * (new - old)
    return now - before
