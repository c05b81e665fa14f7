"""Where to start: vectors near the leading singular subspace of the degree-normalised incidence.

S = D_u^(-1/2) Y D_i^(-1/2), its rows and columns divided by the square roots of their counts. A few power iterations
(Halko, Martinsson & Tropp 2011, "Finding structure with randomness", algorithm 4.4) cost 2d multiply-adds a row of the
data each, a tenth of a sweep of least squares, and save several sweeps.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor

from lethe.core.cores import in_pieces
from lethe.models.solvers.pull import Ragged, pull
from lethe.models.solvers.vectors import Vectors
from lethe.tables.matrix import InteractionMatrix

_ROWS = 2048
"""Rows that are summed in one piece."""


def turn_to_spectrum(data: InteractionMatrix, users: Vectors, iterations: int) -> None:
    """Change random start vectors ``users`` [num_users, d] (float32 or float64, contiguous) in place.

    They become S (SᵀS)^k Ω, orthonormalised on the way and scaled to a mean squared length of 1, plus their own old
    values Ω, which fill the directions that data of low rank leave empty. 0 iterations leave them alone. Fixed
    order: each row is summed by one thread.
    """
    if not iterations or not len(data):
        return
    if isinstance(users, Tensor):
        _turn_there(data, users, iterations)
        return
    by_item, kind = data.transposed, users.dtype.type
    user_scale, item_scale = (
        (1 / np.sqrt(np.maximum(np.diff(rows.indptr), 1))).astype(kind) for rows in (data, by_item)
    )
    vectors = users
    for _ in range(iterations):
        items = _product(by_item.indptr, by_item.items, item_scale, user_scale, vectors)
        del vectors  # So that there are never three tables of users at once.
        vectors = _product(data.indptr, data.items, user_scale, item_scale, _orthonormal(items))
    length = np.sqrt(np.einsum("ui,ui->", vectors, vectors, dtype=np.float64) / len(users))
    vectors *= kind(1 / length)
    users += vectors


def _turn_there(data: InteractionMatrix, users: Tensor, iterations: int) -> None:
    """``turn_to_spectrum`` on the device of ``users``."""

    def rows(data: InteractionMatrix) -> Ragged:
        return Ragged.of(*(torch.from_numpy(part).to(users.device) for part in (data.indptr, data.items)))

    by_user, by_item = rows(data), rows(data.transposed)
    user_scale, item_scale = (
        side.indptr.diff().clamp_min(1).to(users.dtype).rsqrt()[:, None] for side in (by_user, by_item)
    )
    vectors = users
    for _ in range(iterations):
        items = item_scale * pull(by_item, None, user_scale * vectors)
        gram = (items.double().T @ items.double()).cpu().numpy()
        turned = torch.from_numpy(_axes(gram)).to(items)
        vectors = user_scale * pull(by_user, None, item_scale * (items @ turned))
    users += vectors / vectors.double().square().sum(dim=1).mean().sqrt().to(users.dtype)


def _orthonormal(x: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span those of ``x`` [n, d], with 0 for directions that are but rounding -> [n, d]."""
    return x @ _axes(x.T.astype(np.float64) @ x).astype(x.dtype)


def _axes(gram: np.ndarray) -> np.ndarray:
    """What makes the columns orthonormal that have this Gram matrix [d, d] float64."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > max(values[-1], 0.0) * 1e-6
    scales = np.zeros_like(values)
    scales[kept] = 1 / np.sqrt(values[kept])
    return vectors * scales


def _product(
    indptr: np.ndarray, columns: np.ndarray, row_scale: np.ndarray, column_scale: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """row_scale_r Σ_c column_scale_c y_c over each row's columns -> [rows, d]."""
    out = np.zeros((len(indptr) - 1, y.shape[1]), y.dtype)

    def add(first: int, end: int) -> None:
        _add_rows(indptr[first : end + 1], columns, row_scale[first:end], column_scale, y, out[first:end])

    in_pieces(len(out), _ROWS, add)
    return out


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _add_rows(
    indptr: np.ndarray,
    columns: np.ndarray,
    row_scale: np.ndarray,
    column_scale: np.ndarray,
    y: np.ndarray,
    out: np.ndarray,
) -> None:
    """The same, added to ``out``."""
    for r in range(len(out)):
        own, total = columns[indptr[r] : indptr[r + 1]], out[r]
        for k in range(0, len(own) // 4 * 4, 4):
            row0, row1, row2, row3 = y[own[k]], y[own[k + 1]], y[own[k + 2]], y[own[k + 3]]
            a, b, c, e = (
                column_scale[own[k]],
                column_scale[own[k + 1]],
                column_scale[own[k + 2]],
                column_scale[own[k + 3]],
            )
            for i in range(len(total)):
                total[i] += (a * row0[i] + b * row1[i]) + (c * row2[i] + e * row3[i])
        for k in range(len(own) // 4 * 4, len(own)):
            row, a = y[own[k]], column_scale[own[k]]
            for i in range(len(total)):
                total[i] += a * row[i]
        for i in range(len(total)):
            total[i] *= row_scale[r]
