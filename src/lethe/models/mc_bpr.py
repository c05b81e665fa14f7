"""MC-BPR: personalised ranking whose pairs are drawn across levels of feedback.

Loni, Pagano, Larson & Hanjalic, "Bayesian Personalized Ranking with Multi-Channel User Feedback", RecSys 2016.

    min Σ_(u,i,j) -ln σ(p_u·q_i - p_u·q_j) + reg (‖p_u‖² + ‖q_i‖² + ‖q_j‖²) / 2

An interaction (u, i) is drawn from behaviour k with probability ∝ μ_k n_k, n_k its rows, and i's level is the highest
behaviour that u has it in, L. j is, with probability ``lower_share``, an item that u has at a lower level than L, where
there is one, and else a uniform item that u has at no level. Deviations: j of lower levels is uniform rather than by
level; items have no bias.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lethe.config.search import Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import losses, towers
from lethe.models.parts.batches import Triples, choosers, negatives
from lethe.models.parts.layers import rows_at
from lethe.models.parts.multibehaviour import Levels, behaviour_matrices
from lethe.models.parts.vectors import VectorsConfig
from lethe.tables.matrix import InteractionMatrix


class MCBPR(towers.TwoTower):
    """score(u, v) = p_u·q_v."""

    needs: ClassVar[frozenset[str]] = frozenset({"behaviours"})

    class Config(Levels, VectorsConfig):
        search: ClassVar[Search] = {
            "embedding_dim": Log(8, 256, 6),
            "lower_share": Linear(0.0, 1.0, 6),
            "reg": Log(1e-4, 1.0, 9, zero=True),
            "learning_rate": Log(5e-4, 0.05, 7),
            "epochs": Log(25, 400, 5),
        }

        lower_share: float = Field(0.3, ge=0, le=1)
        """Share of the pairs whose other item is one of a lower level, where the user has any."""
        reg: float = Field(0.02, ge=0)
        """Factor of half the L2 on the three vectors of each pair."""
        epochs: int = Field(100, ge=0)
        batch_size: int = Field(1024, ge=0)
        """Pairs a step; an epoch has as many as all behaviours have rows."""

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        matrices, shares = behaviour_matrices(self, data), np.array(self.config.shares())
        rows = [np.column_stack([m.users, m.items, np.full(len(m), level)]) for level, m in enumerate(matrices)]
        every = np.concatenate(rows)
        every = every[np.lexsort((-every[:, 2], every[:, 1], every[:, 0]))]
        first = np.ones(len(every), bool)
        first[1:] = (every[1:, :2] != every[:-1, :2]).any(axis=1)
        # Each pair once, at its highest level; and a user's items by level, so that the lower ones come first.
        self._union = InteractionMatrix(data.shape, *every[first, :2].T)
        self._levels = every[first, 2]
        self._by_level = np.lexsort((self._levels, self._union.users))
        self._below = _lower(self._union.users, self._levels, len(matrices))
        place = every[:, 0] * data.num_items + every[:, 1]
        pairs = self._union.users * data.num_items + self._union.items
        # A row of a behaviour is drawn as often as μ_k says, at its pair's highest level.
        weights = np.bincount(np.searchsorted(pairs, place), shares[every[:, 2]], len(pairs))
        weights *= np.isin(self._union.users, choosers(self._union))
        self._chances = weights / (weights.sum() or 1.0)
        self._draws = len(every) if weights.sum() else 0

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Triples]:
        config, generator, union = self.config, stream.numpy("batches"), self._union
        step = config.batch_size or self._draws
        for start in range(0, self._draws, step or 1):
            pairs = generator.choice(len(union), min(step, self._draws - start), p=self._chances)
            users = union.users[pairs]
            others = negatives(union, users, generator)
            lower = (self._below[pairs] > 0) & (generator.random(len(pairs)) < config.lower_share)
            places = union.indptr[users] + generator.integers(0, np.maximum(self._below[pairs], 1))
            others[lower] = union.items[self._by_level[places[lower]]]
            yield Triples(*map(torch.from_numpy, (users, union.items[pairs], others)))

    def loss(self, batch: Triples) -> Tensor:
        p = rows_at(self.users, batch.users)
        q, n = rows_at(self.items, batch.positives), rows_at(self.items, batch.negatives)
        norm = p.square().sum() + q.square().sum() + n.square().sum()
        return losses.bpr((p * q).sum(dim=1), (p * n).sum(dim=1)) + 0.5 * self.config.reg * norm


def _lower(users: np.ndarray, levels: np.ndarray, count: int) -> np.ndarray:
    """How many pairs of the same user are at a lower level than each [n]."""
    num_users = int(users.max(initial=-1)) + 1
    counts = np.bincount(users * count + levels, minlength=num_users * count).reshape(num_users, count)
    return (counts.cumsum(axis=1) - counts)[users, levels]
