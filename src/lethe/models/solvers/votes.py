"""What the item-based models score by: for each of B people, a weighted sum of rows of a dense or a sparse matrix.

On a CPU compiled loops add up the rows; elsewhere what a person has is written out as a row of B, and the sums are one
dense product, or one ``pull`` along the columns of the sparse matrix.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lethe.models.solvers.pull import Ragged, form, owners_of, pull


def dense_rows(indptr: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """out_b = Σ of the rows ``rows[indptr[b]:indptr[b + 1]]``, distinct, of ``weights`` [R, N] -> [B, N]."""
    if form(weights) == "compiled":
        return functional.embedding_bag(rows, weights, indptr, mode="sum", include_last_offset=True)
    return _written_out(indptr, rows, torch.ones_like(rows, dtype=weights.dtype), len(weights)).T @ weights


def sparse_rows(
    indptr: Tensor, rows: Tensor, shares: Tensor | None, matrix: tuple[Tensor, Tensor, Tensor | None], width: int
) -> Tensor:
    """out_b = Σ_k share_k · row ``rows[k]`` of a sparse matrix (indptr [R + 1], columns, values) -> [B, ``width``]
    float32, over the distinct rows k of person b; ``shares`` or values are None where all are 1, but not both."""
    (starts, columns, values), people = matrix, len(indptr) - 1
    known = values if shares is None else shares
    assert known is not None
    if form(known) == "compiled":
        scores = torch.zeros(people, width)
        if shares is None:
            _add_rows(*(part.numpy() for part in (indptr, rows, starts, columns, known, scores)))
        else:
            assert values is None
            _add_shares(*(part.numpy() for part in (indptr, rows, known, starts, columns, scores)))
        return scores
    ones = torch.ones_like(rows, dtype=known.dtype)
    written = _written_out(indptr, rows, ones if shares is None else shares, len(starts) - 1)
    by_column, order = Ragged.of(starts, columns).transposed(width)
    return pull(by_column, None if values is None else values.index_select(0, order), written).T.contiguous()


def _written_out(indptr: Tensor, rows: Tensor, shares: Tensor, height: int) -> Tensor:
    """What each person has, 0 elsewhere -> [height, B]."""
    written = shares.new_zeros(height, len(indptr) - 1)
    written[rows, owners_of(indptr, len(rows))] = shares
    return written


@numba.njit(nogil=True, cache=True)
def _add_rows(
    indptr: np.ndarray,
    items: np.ndarray,
    row_indptr: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    scores: np.ndarray,
) -> None:
    for b in range(len(indptr) - 1):
        row = scores[b]
        for item in items[indptr[b] : indptr[b + 1]]:
            for k in range(row_indptr[item], row_indptr[item + 1]):
                row[columns[k]] += values[k]


@numba.njit(nogil=True, cache=True)
def _add_shares(
    row_indptr: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    indptr: np.ndarray,
    history: np.ndarray,
    scores: np.ndarray,
) -> None:
    for b in range(len(scores)):
        for k in range(row_indptr[b], row_indptr[b + 1]):
            for item in history[indptr[columns[k]] : indptr[columns[k] + 1]]:
                scores[b, item] += values[k]
