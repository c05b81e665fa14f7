"""Static weights: one learned number for each shard (GraphEraser), for two-tower sub-models.

Chen et al., "Graph Unlearning", CCS 2022, section 5 (learning-based aggregation):

    score(u, v) = Σ_i w_i p^i_u · q^i_v   over the shards that hold both u and v,   w ≥ 0

Deviations: the weights are the exact minimum of the whole-matrix square loss (eq. 3.9) over all remaining rows, a
quadratic function of them, so that nothing is sampled and there is no learning rate; they needn't sum to 1, because
that loss fixes the scale; a shard that does not hold a user or item takes no weight there.

The combined towers are the weighted shards' side by side, K · d wide. Where each user is in one shard, a weight scales
all scores of a user alike: then the order of what a shard holds is that of the mean.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import scipy.linalg
import scipy.optimize
from numba import njit
from pydantic import Field

from lethe import training
from lethe.aggregation.align import Tower, stack
from lethe.aggregation.ensemble import Ensemble, FactorEnsemble, SubModel
from lethe.config import Section
from lethe.data.catalogue import Catalogue, InteractionMatrix
from lethe.data.interactions import Interactions
from lethe.random import Stream
from lethe.training import History


class Config(Section):
    negative_weight: float = Field(0.2, gt=0)
    """c⁻ of every item in the square loss."""


def fit(
    sub_models: Sequence[SubModel], train: Interactions, config: Config, stream: Stream
) -> tuple[Ensemble, History]:
    """Learn the shards' weights. Raises ConfigError for sub-models without two towers."""
    catalogue = Catalogue.of(train)
    with training.one_thread():
        users, items = (side_by_side(tower) for tower in stack(sub_models, train))
        weights, loss = learn(users, items, catalogue.encode(train), config.negative_weight)
    weighted = (users * weights[:, None]).reshape(len(users), -1)
    return FactorEnsemble(catalogue, weighted, items.reshape(len(items), -1)), [{"epoch": 0, "loss": loss}]


def side_by_side(tower: Tower) -> np.ndarray:
    """Each entity's vector in each shard -> [num_entities, K, d] float32, 0 where the shard doesn't hold it."""
    placed = np.zeros((tower.num_entities, len(tower.bounds) - 1, tower.vectors.shape[1]), np.float32)
    for shard, (start, end) in enumerate(itertools.pairwise(tower.bounds)):
        placed[tower.entities[start:end], shard] = tower.vectors[start:end]
    return placed


def learn(
    users: np.ndarray, items: np.ndarray, data: InteractionMatrix, negative_weight: float
) -> tuple[np.ndarray, float]:
    """Weights w [K] ≥ 0, float32, of users [M, K, d] and items [N, K, d], and their loss wᵀ A w - 2 bᵀ w, where

    A_ij = c⁻ Σ_uv s_i s_j + (1 - c⁻) Σ_{uv∈data} s_i s_j,   b_i = Σ_{uv∈data} s_i,   s_i = p^i_u · q^i_v.
    """
    num_shards, dim = users.shape[1:]
    # In float64: shards that predict alike must not make A indefinite.
    flat = [tower.reshape(len(tower), -1).astype(np.float64) for tower in (users, items)]
    # Σ_uv s_i s_j is the sum of all entries of (P_iᵀ P_j) ∘ (Q_iᵀ Q_j): no cell is ever scored.
    products = np.multiply(*(tower.T @ tower for tower in flat))
    everywhere = products.reshape(num_shards, dim, num_shards, dim).sum(axis=(1, 3))
    held = np.einsum("ukd,ukd->uk", users, users) > 0
    on_data, linear = _moments(users, items, held, data.users, data.items)
    quadratic = negative_weight * everywhere + (1 - negative_weight) * on_data
    # wᵀ A w - 2 bᵀ w = ‖L w - y‖² - ‖y‖² with A = LᵀL, Lᵀ y = b: non-negative least squares. The ridge is rounding's.
    single = np.finfo(np.float32)
    ridge = np.diag(np.diag(quadratic) * single.eps + single.tiny)
    factor = scipy.linalg.cholesky(quadratic + ridge)
    weights, _ = scipy.optimize.nnls(factor, scipy.linalg.solve_triangular(factor, linear, trans="T"))
    return weights.astype(np.float32), float(weights @ quadratic @ weights - 2 * linear @ weights)


# Sums may be reassociated so that they vectorise; the order is then fixed by the build, and one thread runs it.
@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _moments(
    users: np.ndarray, items: np.ndarray, held: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Σ s sᵀ [K, K] and Σ s [K] over the pairs (rows, columns) [n], s the shards' scores of a pair."""
    num_shards, dim = users.shape[1:]
    square, total, scores = np.zeros((num_shards, num_shards)), np.zeros(num_shards), np.zeros(num_shards)
    for n in range(len(rows)):
        u, v = rows[n], columns[n]
        for i in range(num_shards):
            score = users.dtype.type(0)
            if held[u, i]:
                for c in range(dim):
                    score += users[u, i, c] * items[v, i, c]
            scores[i] = score
            total[i] += score
            for j in range(i + 1):
                square[i, j] += score * scores[j]
    return square + square.T - np.diag(np.diag(square)), total
