"""Stacked factors, for two-tower sub-models: one small eigenproblem, then every user solved exactly. Ours.

Shard i predicts U_i V_iᵀ. Stacked, the shards' predictions are a matrix S over all their users and all items, and

    SᵀS = Σ_i V_i (U_iᵀ U_i) V_iᵀ = B Bᵀ,    B = [V_1 C_1 ... V_K C_K],    C_i C_iᵀ = U_iᵀ U_i

so the leading singular vectors E and values s of B span the item space in which the shards' predictions lie best
(the truncated SVD of S, without ever making S). Items are E √s, turned so that all dimensions are equally long; each
user is then the exact minimum of the whole-matrix square loss over all remaining rows (``models.solvers.als``). No
reference shard, no random start: a shard that changes can't turn the others.

The turning matters because the penalty that dropout amounts to depends on the axes, and is least where every dimension
weighs the same (Mianjy, Arora & Vidal, "On the Implicit Bias of Dropout", ICML 2018): along the singular vectors it
would hold the strongest tastes back the most.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import scipy.linalg
import torch
from pydantic import Field

from lethe.config.section import Section
from lethe.core.random import Stream
from lethe.learning import training
from lethe.learning.aggregation.align import Tower, stack
from lethe.learning.device import CPU, exactly
from lethe.learning.ensemble import Ensemble, FactorEnsemble
from lethe.learning.training import History
from lethe.learning.weighted import SubModel
from lethe.models.parts import base
from lethe.models.parts.fold_in import FoldIn, SquareLossRows
from lethe.models.solvers.als import solve_users
from lethe.models.solvers.vectors import array, laid
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

STEPS = 16
"""Conjugate-gradient steps of a user's solve: more don't change it in float32."""


class SquareLoss(Section):
    """The whole-matrix square loss (``models.parts.losses.non_sampling``) that the remaining rows are fitted by."""

    negative_weight: float = Field(0.2, gt=0)
    """c⁻: weight of a cell without an interaction in the square loss."""
    dropout: base.Probability = 0.3
    """Share of the user vectors' entries that is dropped; the expectation is taken exactly."""
    reg: float = Field(0.0, ge=0)
    """λ of the L2."""

    def fold_in(self, items: np.ndarray) -> FoldIn:
        """How somebody new is solved against the combined items: as everybody is."""
        weights = np.full(len(items), self.negative_weight)
        return SquareLossRows.of(items, weights, dropout=self.dropout, reg=self.reg)


class Config(SquareLoss):
    embedding_dim: int | None = Field(None, ge=1)
    """Size of the combined vectors; null: that of the sub-models'. It never exceeds B's rows or columns."""


def fit(
    sub_models: Sequence[SubModel], train: Interactions, config: Config, stream: Stream, device: torch.device = CPU
) -> tuple[Ensemble, History]:
    """Stack the sub-models and fold the users in. Raises ConfigError for sub-models without two towers."""
    catalogue = Catalogue.of(train)
    with training.one_thread(), exactly(device, "the aggregator stacked"):
        known = stack(sub_models, train)
        space = equalize(item_space(*known, config.embedding_dim or known[1].vectors.shape[1]))
        start = np.zeros((len(catalogue.users), space.shape[1]), np.float32), space.astype(np.float32)
        users, items = (laid(tower, device) for tower in start)
        loss = solve_users(
            catalogue.encode(train),
            users,
            items,
            negative_weights=np.full(len(space), config.negative_weight),
            dropout=config.dropout,
            reg=config.reg,
            steps=STEPS,
        )
        towers = array(users), array(items)
    return FactorEnsemble(catalogue, *towers, config.fold_in(towers[1])), [{"epoch": 0, "loss": loss}]


def item_space(users: Tower, items: Tower, dim: int) -> np.ndarray:
    """E √s of the ``dim`` largest singular values s of B -> [num_items, at most dim] float64, s falling.

    The eigenproblem is on the smaller side of B. The largest entry of each column is positive.
    """
    blocks = np.zeros((items.num_entities, len(users.bounds) - 1, users.vectors.shape[1]))
    parts = zip(itertools.pairwise(users.bounds), itertools.pairwise(items.bounds), strict=True)
    for shard, ((first, last), (start, end)) in enumerate(parts):
        values, vectors = scipy.linalg.eigh(users.vectors[first:last].T @ users.vectors[first:last])
        root = vectors * np.sqrt(np.maximum(values, 0))
        blocks[items.entities[start:end], shard] = items.vectors[start:end] @ root
    stacked = blocks.reshape(items.num_entities, -1)  # [N, K d]
    wide = stacked.shape[1] > stacked.shape[0]
    gram = stacked @ stacked.T if wide else stacked.T @ stacked
    first = max(len(gram) - dim, 0)
    values, vectors = scipy.linalg.eigh(gram, subset_by_index=(first, len(gram) - 1))
    # What rounding leaves of zero is no direction.
    real = values > values[-1] * len(gram) * np.finfo(float).eps
    values, vectors = values[real][::-1], vectors[:, real][:, ::-1]
    space = (vectors if wide else stacked @ vectors / np.sqrt(values)) * values**0.25
    largest = np.abs(space).argmax(axis=0)
    return space * np.sign(space[largest, np.arange(space.shape[1])])


def equalize(space: np.ndarray) -> np.ndarray:
    """Rotate [N, d] so that its columns are equally long -> [N, d]; dot products between its rows stay as they are.

    Each of d - 1 plane rotations, of the longest column and the shortest, gives one of them the mean square.
    """
    dim = space.shape[1]
    gram, rotation = space.T @ space, np.eye(dim)
    mean = np.trace(gram) / max(dim, 1)
    for _ in range(dim - 1):
        squares = np.diag(gram)
        pair = [squares.argmax(), squares.argmin()]
        (high, cross), (_, low) = gram[np.ix_(pair, pair)]
        if not high > mean > low:
            break
        # tan of the angle at which the first column's square, high - 2 t cross + t² low over 1 + t², is the mean.
        tangent = (cross - np.sqrt(cross**2 + (mean - low) * (high - mean))) / (low - mean)
        turn = np.array([[1, tangent], [-tangent, 1]]) / np.hypot(1, tangent)
        rotation[:, pair] = rotation[:, pair] @ turn
        gram[:, pair] = gram[:, pair] @ turn
        gram[pair] = turn.T @ gram[pair]
    return space @ rotation
