"""SBPR: personalised ranking in which what friends have comes between what a user has and what nobody near has.

Zhao, McAuley & King, "Leveraging Social Connections to Improve Personalized Ranking for Collaborative Filtering",
CIKM 2014 (its first model).

    min Σ_(u,i,k,j) -ln σ((ŷ_ui - ŷ_uk) / (1 + s_uk)) - ln σ(ŷ_uk - ŷ_uj)  +  reg Σ‖·‖² / 2,      ŷ_uv = p_u·q_v

with i an item of u, k one of s_uk > 0 friends and not of u, j of neither. Where there is no such k, or no j, BPR's
-ln σ(ŷ_ui - ŷ_uj) with j any item u lacks. Deviations: triples are drawn by user first, as ``bpr``'s; items have no
bias. Friends count whose own rows are in the same table: in a shard, those of that shard.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from lethe.config.search import Log, Search
from lethe.core.random import Stream
from lethe.models.parts import towers
from lethe.models.parts.batches import choosers, negatives
from lethe.models.parts.layers import rows_at
from lethe.models.parts.vectors import VectorsConfig
from lethe.tables.matrix import InteractionMatrix


class SocialQuadruples(NamedTuple):
    """Users, an item of each, one of friends (-1: none), how many of them have it, and one that is neither's [B]."""

    users: Tensor
    positives: Tensor
    socials: Tensor
    friends: Tensor
    negatives: Tensor


class SBPR(towers.TwoTower):
    """score(u, v) = p_u·q_v."""

    needs: ClassVar[frozenset[str]] = frozenset({"links"})

    class Config(VectorsConfig):
        search: ClassVar[Search] = {
            "embedding_dim": Log(8, 256, 6),
            "reg": Log(1e-4, 1.0, 9, zero=True),
            "learning_rate": Log(5e-4, 0.05, 7),
            "epochs": Log(25, 400, 5),
        }

        reg: float = Field(0.02, ge=0)
        """Factor of half the L2 on the vectors of each draw."""
        epochs: int = Field(100, ge=0)
        batch_size: int = Field(1024, ge=0)
        """Draws a step; an epoch has as many as there are interactions."""

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        super().prepare(data, stream)
        self._choosers, self._near = choosers(data), of_friends(data)
        rows, items = self._near.nonzero()
        users, taken = np.concatenate([data.users, rows]), np.concatenate([data.items, items])
        order = np.lexsort((taken, users))
        self._known = InteractionMatrix(data.shape, users[order], taken[order])
        near = np.diff(self._near.indptr) > 0
        near[np.setdiff1d(np.arange(data.num_users), choosers(self._known))] = False
        self._social = near

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[SocialQuadruples]:
        if len(self._choosers) == 0:
            return
        generator, step = stream.numpy("batches"), self.config.batch_size or len(data)
        for start in range(0, len(data), step):
            users = generator.choice(self._choosers, min(step, len(data) - start))
            positives = _draw(data.indptr, data.items, users, generator)
            others = negatives(data, users, generator)
            near = self._social[users]
            socials, friends = np.full(len(users), -1), np.zeros(len(users), np.float32)
            places = self._near.indptr[users[near]] + _below(np.diff(self._near.indptr)[users[near]], generator)
            socials[near], friends[near] = self._near.indices[places], self._near.data[places]
            others[near] = negatives(self._known, users[near], generator)
            yield SocialQuadruples(*map(torch.from_numpy, (users, positives, socials, friends, others)))

    def loss(self, batch: SocialQuadruples) -> Tensor:
        near = batch.socials >= 0
        p, q = rows_at(self.users, batch.users), rows_at(self.items, batch.positives)
        k = rows_at(self.items, batch.socials[near])
        n = rows_at(self.items, batch.negatives)
        own, social, other = (p * q).sum(dim=1), (p[near] * k).sum(dim=1), (p * n).sum(dim=1)
        value = functional.softplus(other[~near] - own[~near]).sum() + functional.softplus(other[near] - social).sum()
        value = value + functional.softplus((social - own[near]) / (1.0 + batch.friends[near])).sum()
        norm: Any = sum(vectors.square().sum() for vectors in (p, q, k, n))
        return value + 0.5 * self.config.reg * norm


def of_friends(data: InteractionMatrix) -> sp.csr_array:
    """[num_users, num_items] how many friends of a user have an item that the user lacks; friends that are no users of
    the table have none."""
    links, users = data.side.links, data.side.friend_users
    assert links is not None
    assert users is not None
    targets = users[links.items]
    known = targets >= 0
    shape = (data.num_users, data.num_users)
    friends = sp.csr_array((np.ones(int(known.sum()), np.float32), (links.users[known], targets[known])), shape=shape)
    counts = sp.csr_array(friends @ data.csr())
    counts = sp.csr_array(counts - counts.multiply(data.csr()))
    counts.eliminate_zeros()
    counts.sort_indices()
    return counts


def _draw(indptr: np.ndarray, items: np.ndarray, users: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A uniform one of each user's items, of which each has some -> [B] int64."""
    return items[indptr[users] + _below(indptr[users + 1] - indptr[users], generator)]


def _below(counts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return generator.integers(0, counts) if len(counts) else counts
