"""Stacked factors, for two-tower sub-models: one small eigenproblem, then every user solved exactly. Ours.

Shard i predicts U_i V_iᵀ. Stacked, the shards' predictions are a matrix S over all their users and all items, and

    SᵀS = Σ_i V_i (U_iᵀ U_i) V_iᵀ = B Bᵀ,    B = [V_1 C_1 ... V_K C_K],    C_i C_iᵀ = U_iᵀ U_i

so the leading singular vectors E and values s of B span the item space in which the shards' predictions lie best
(the truncated SVD of S, without ever making S). Items are E √s; each user is then the exact minimum of the whole-matrix
square loss over all remaining rows (``lethe.solvers.als``). No reference shard, no random start: a shard that changes
can't turn the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import scipy.linalg
from pydantic import Field

from lethe import training
from lethe.aggregation.align import Tower, stack
from lethe.aggregation.ensemble import Ensemble, FactorEnsemble, SubModel
from lethe.config import Section
from lethe.data.catalogue import Catalogue
from lethe.data.interactions import Interactions
from lethe.models import base
from lethe.random import Stream
from lethe.solvers.als import solve_users
from lethe.training import History


class SquareLoss(Section):
    """The whole-matrix square loss (``lethe.losses.non_sampling``) that the remaining rows are fitted by."""

    negative_weight: float = Field(0.2, gt=0)
    """c⁻ of every item."""
    dropout: base.Probability = 0.3
    """On the user vectors; its expectation is taken exactly."""
    reg: float = Field(0.0, ge=0)
    """λ of the L2."""


class Config(SquareLoss):
    embedding_dim: int | None = Field(None, ge=1)
    """Of the combined towers; null: that of the sub-models. There are never more than B has rows or columns."""


def fit(
    sub_models: Sequence[SubModel], train: Interactions, config: Config, stream: Stream
) -> tuple[Ensemble, History]:
    """Stack the sub-models and fold the users in. Raises ConfigError for sub-models without two towers."""
    catalogue = Catalogue.of(train)
    with training.one_thread():
        users, items = stack(sub_models, train)
        towers = item_space(users, items, config.embedding_dim or items.vectors.shape[1]).astype(np.float32)
        folded = np.zeros((len(catalogue.users), towers.shape[1]), np.float32)
        loss = solve_users(
            catalogue.encode(train),
            folded,
            towers,
            negative_weights=np.full(len(towers), config.negative_weight),
            dropout=config.dropout,
            reg=config.reg,
            steps=towers.shape[1],
        )
    return FactorEnsemble(catalogue, folded, towers), [{"epoch": 0, "loss": loss}]


def item_space(users: Tower, items: Tower, dim: int) -> np.ndarray:
    """E √s of the ``dim`` largest singular values s of B -> [num_items, at most dim] float64, s falling.

    The eigenproblem is on the smaller side of B. The largest entry of each column is positive.
    """
    blocks = []
    for (first, last), (start, end) in zip(itertools.pairwise(users.bounds), itertools.pairwise(items.bounds), strict=True):
        values, vectors = scipy.linalg.eigh(users.vectors[first:last].T @ users.vectors[first:last])
        block = np.zeros((items.num_entities, len(values)))
        block[items.entities[start:end]] = items.vectors[start:end] @ (vectors * np.sqrt(np.maximum(values, 0)))
        blocks.append(block)
    stacked = np.concatenate(blocks, axis=1)  # [N, K d]
    wide = stacked.shape[1] > stacked.shape[0]
    gram = stacked @ stacked.T if wide else stacked.T @ stacked
    dim = min(dim, len(gram))
    values, vectors = scipy.linalg.eigh(gram, subset_by_index=(len(gram) - dim, len(gram) - 1))
    known = values[::-1] > values[-1] * len(gram) * np.finfo(float).eps
    values, vectors = values[::-1][known], vectors[:, ::-1][:, known]
    space = (vectors if wide else stacked @ vectors / np.sqrt(values)) * values**0.25
    largest = np.abs(space).argmax(axis=0)
    return space * np.sign(space[largest, np.arange(space.shape[1])])
