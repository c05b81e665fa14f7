"""EASE's closed form where the data lie, as dense algebra: YᵀY by products of blocks, and its inverse by Cholesky."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lethe.models.solvers.cooccurrence import cooccurrence
from lethe.tables.matrix import InteractionMatrix

BLOCK = 8192
"""Users whose rows are written out at once. Their counts are whole numbers, exact in float32."""
DENSE = 40_000
"""Multiply-adds of dense float32 that a GPU does in the time that a CPU takes to count one pair of a user's items."""


def gram_there(data: InteractionMatrix, device: torch.device, kind: torch.dtype) -> Tensor:
    """YᵀY [num_items, num_items] on a device: ``solvers.cooccurrence``'s whole numbers, counted there where the rows
    are not too thin for it."""
    # Before anything is counted: where there is no room for it on the device, there may be none beside it either.
    gram = torch.zeros(data.num_items, data.num_items, dtype=kind, device=device)
    pairs = int(np.square(np.diff(data.indptr)).sum())
    if data.num_users * data.num_items**2 > DENSE * pairs:
        counts = cooccurrence(data).tocoo()
        gram[tuple(torch.from_numpy(part.astype(np.int64)).to(device) for part in counts.coords)] = (
            torch.from_numpy(counts.data).to(device).to(kind)
        )
        return gram
    users, items = (torch.from_numpy(part).to(device) for part in (data.users, data.items))
    for first in range(0, data.num_users, BLOCK):
        last = min(first + BLOCK, data.num_users)
        own = slice(int(data.indptr[first]), int(data.indptr[last]))
        rows = torch.zeros(last - first, data.num_items, device=device)
        rows[users[own] - first, items[own]] = 1.0
        gram += rows.T @ rows
    return gram


def closed_form_there(gram: Tensor, reg: float) -> Tensor:
    """``ease.closed_form`` of YᵀY [N, N] on its device; ``gram`` is overwritten -> W [N, N] float32."""
    gram.diagonal().add_(reg)
    factor, failed = torch.linalg.cholesky_ex(gram)
    assert not int(failed), "YᵀY + reg I is positive definite"
    inverse = torch.cholesky_inverse(factor)
    del factor
    inverse /= -inverse.diagonal().clone()
    return inverse.fill_diagonal_(0).float().contiguous()
