"""Ragged tables, whose row r has the entries ``indptr[r]:indptr[r + 1]``: where the entries of some rows stand."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def entries_of(indptr: Tensor, rows: Tensor, count: int | None = None) -> tuple[Tensor, Tensor]:
    """Where the entries of ``rows`` [B] of a ragged table stand -> (indptr [B + 1] of the rows taken, places [n]), both
    int64, on the device of both.

    ``count`` is n where the caller knows it: else a GPU is waited for until it does.
    """
    starts = indptr[rows]
    lengths = indptr[rows + 1] - starts
    own = functional.pad(lengths.cumsum(0), (1, 0))
    count = int(own[-1]) if count is None else count
    shifts = torch.repeat_interleave(starts - own[:-1], lengths, output_size=count)
    return own, torch.arange(count, device=own.device) + shifts


def placed_entries(host: np.ndarray, indptr: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """``entries_of`` on the device of ``indptr``, of which ``host`` is the copy that the CPU reads."""
    count = int((host[rows + 1] - host[rows]).sum())
    return entries_of(indptr, torch.from_numpy(rows).to(indptr.device), count)
