"""Static weights: one learned number for each shard (GraphEraser), for any kind of sub-model.

Chen et al., "Graph Unlearning", CCS 2022, section 5 (learning-based aggregation):

    score(u, v) = Σ_i w_i p^i_u · q^i_v   over the shards that hold both u and v,   w ≥ 0

Deviations: the weights are the exact minimum of the whole-matrix square loss (eq. 3.9) over all remaining rows, a
quadratic function of them, so that nothing is sampled and there is no learning rate; they needn't sum to 1, because
that loss fixes the scale; a shard that does not hold a user or item takes no weight there.

The combined towers are the weighted shards' side by side, K · d wide. Sub-models without two towers are scored cell by
cell, and the sum is divided by how many shards hold the cell (``WeightedEnsemble``), because 0 need not be "no opinion"
on their scale. Where each user is in one shard, a weight scales all scores of a user alike: then the order of what a
shard holds is that of the mean.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import scipy.linalg
import scipy.optimize
import torch
from numba import njit
from pydantic import Field

from lethe.config.section import Section
from lethe.core.random import Stream
from lethe.learning import training
from lethe.learning.aggregation import mean
from lethe.learning.aggregation.align import Tower, stack
from lethe.learning.device import CPU, exactly
from lethe.learning.ensemble import Ensemble, FactorEnsemble
from lethe.learning.training import History
from lethe.learning.weighted import SubModel, WeightedEnsemble
from lethe.models.parts import base
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import InteractionMatrix

BLOCK = 64
"""Users scored at once where there are no towers: memory is K of them times all items, in float64."""

PAIRS = 1 << 18
"""Rows whose vectors lie side by side on a device."""


class Config(Section):
    negative_weight: float = Field(0.2, gt=0)
    """c⁻: weight of a cell without an interaction in the square loss."""


def fit(
    sub_models: Sequence[SubModel], train: Interactions, config: Config, stream: Stream, device: torch.device = CPU
) -> tuple[Ensemble, History]:
    """Learn the shards' weights; those of sub-models without two towers on the CPU, wherever ``device`` is."""
    catalogue = Catalogue.of(train)
    data = catalogue.encode(train)
    with training.one_thread(), exactly(device, "the aggregator static"):
        if any(sub_model.factors() is None for sub_model in sub_models):
            plain, _ = mean.fit(sub_models, train, mean.Config(), stream)
            weights, loss = solve(*moments(plain, plain.catalogue.encode(train), config.negative_weight))
            return replace(plain, weights=weights), [{"epoch": 0, "loss": loss}]
        users, items = (side_by_side(tower) for tower in stack(sub_models, train))
        add_up = tower_moments if device.type == "cpu" else partial(moments_there, device=device)
        weights, loss = solve(*add_up(users, items, data, config.negative_weight))
    weighted = (users * weights[:, None]).reshape(len(users), -1)
    beside = items.reshape(len(items), -1)
    return FactorEnsemble(catalogue, weighted, beside, base.default_fold_in(beside)), [{"epoch": 0, "loss": loss}]


def side_by_side(tower: Tower) -> np.ndarray:
    """Each entity's vector in each shard -> [num_entities, K, d] float32, 0 where the shard doesn't hold it."""
    placed = np.zeros((tower.num_entities, len(tower.bounds) - 1, tower.vectors.shape[1]), np.float32)
    for shard, (start, end) in enumerate(itertools.pairwise(tower.bounds)):
        placed[tower.entities[start:end], shard] = tower.vectors[start:end]
    return placed


def tower_moments(
    users: np.ndarray, items: np.ndarray, data: InteractionMatrix, negative_weight: float
) -> tuple[np.ndarray, np.ndarray]:
    """A [K, K] and b [K] of the loss wᵀ A w - 2 bᵀ w, of users [M, K, d] and items [N, K, d]:

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
    return negative_weight * everywhere + (1 - negative_weight) * on_data, linear


def moments_there(
    users: np.ndarray, items: np.ndarray, data: InteractionMatrix, negative_weight: float, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """``tower_moments`` on a device."""
    num_shards, dim = users.shape[1:]
    left, right, rows, columns = (torch.from_numpy(part).to(device) for part in (users, items, data.users, data.items))
    flat = [tower.flatten(1).double() for tower in (left, right)]
    products = (flat[0].T @ flat[0]) * (flat[1].T @ flat[1])
    quadratic = negative_weight * products.view(num_shards, dim, num_shards, dim).sum(dim=(1, 3))
    linear = torch.zeros(num_shards, dtype=torch.float64, device=device)
    for first in range(0, len(rows), PAIRS):
        pairs = slice(first, first + PAIRS)
        scores = (left[rows[pairs]] * right[columns[pairs]]).sum(dim=2).double()
        quadratic += (1 - negative_weight) * scores.T @ scores
        linear += scores.sum(dim=0)
    return quadratic.cpu().numpy(), linear.cpu().numpy()


def moments(
    ensemble: WeightedEnsemble, data: InteractionMatrix, negative_weight: float
) -> tuple[np.ndarray, np.ndarray]:
    """The same A and b for members of any kind, s_i being member i's score over the number of members at the cell."""
    num_shards, catalogue = len(ensemble.members), ensemble.catalogue
    # Nobody lacks what is new.
    new = np.empty(0, np.int64) if catalogue.new_items is None else catalogue.items.encode(catalogue.new_items.values)
    quadratic, linear = np.zeros((num_shards, num_shards)), np.zeros(num_shards)
    for first in range(0, data.num_users, BLOCK):
        users = np.arange(first, min(first + BLOCK, data.num_users))
        scores, holders = np.zeros((num_shards, len(users), data.num_items)), np.zeros((len(users), data.num_items))
        for own, (cells, votes) in zip(scores, ensemble.votes(users), strict=True):
            own[cells] = votes
            holders[cells] += 1
        scores /= np.maximum(holders, 1)
        scores[:, :, new] = 0
        rows = slice(*data.indptr[[first, users[-1] + 1]])
        on_data = scores[:, data.users[rows] - first, data.items[rows]]
        everywhere = scores.reshape(num_shards, -1)
        quadratic += negative_weight * everywhere @ everywhere.T + (1 - negative_weight) * on_data @ on_data.T
        linear += on_data.sum(axis=1)
    return quadratic, linear


def solve(quadratic: np.ndarray, linear: np.ndarray) -> tuple[np.ndarray, float]:
    """The w ≥ 0 [K] float32 of least wᵀ A w - 2 bᵀ w, and that; all 1 where no weight at all lowers it."""
    # wᵀ A w - 2 bᵀ w = ‖L w - y‖² - ‖y‖² with A = LᵀL, Lᵀ y = b: non-negative least squares. The ridge is rounding's.
    single = np.finfo(np.float32)
    ridge = np.diag(np.diag(quadratic) * single.eps + single.tiny)
    factor = scipy.linalg.cholesky(quadratic + ridge)
    weights, _ = scipy.optimize.nnls(factor, scipy.linalg.solve_triangular(factor, linear, trans="T"))
    if not weights.any():
        weights = np.ones_like(weights)
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
