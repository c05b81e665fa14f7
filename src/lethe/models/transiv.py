"""TranSIV: items and friends, each of which a user may not have seen, factorised with one vector a user.

Xiao, Ren & Ma, "Learning and Transferring Social and Item Visibilities for Personalized Recommendation", CIKM 2017.

    a_uv ~ Bernoulli(μ_v),      y_uv | a_uv = 1 ~ N(p_u·q_v, λ_y⁻¹),      y_uv | a_uv = 0 is 0
    b_ut ~ Bernoulli(ν_t),      x_ut | b_ut = 1 ~ N(p_u·g_t, λ_y⁻¹),      x_ut | b_ut = 0 is 0

``expomf`` of interactions y and links x side by side, whose visibilities a and b are inferred for every cell. Through
p_u each side learns from the other. Deviations from the paper: its visibilities of an item depend on how many friends
have it too, ours are an item's (or a friend's) own; both sides have one precision and one L2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch

from lethe.core.random import Stream
from lethe.models.expomf import ExpoMF
from lethe.models.solvers.expomf import expomf
from lethe.tables.matrix import InteractionMatrix, Shape


class TranSIV(ExpoMF):
    """score(u, v) = p_u·q_v. The vectors of friends are not kept."""

    needs: ClassVar[frozenset[str]] = frozenset({"links"})

    class Config(ExpoMF.Config):
        pass

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        config, links = self.config, data.side.links
        assert links is not None
        beside = side_by_side(data, links)
        friends = torch.randn((links.num_items, config.embedding_dim), generator=stream.torch("friends"))
        columns = torch.cat([self.items.detach(), friends * config.init_std]).numpy()
        losses = expomf(
            beside,
            self.users.detach().numpy(),
            columns,
            np.full(beside.num_items, config.initial_exposure, np.float32),
            precision=config.precision,
            reg=config.reg,
            prior=config.prior,
            sweeps=config.sweeps,
            steps=config.steps,
        )
        for loss in losses:
            self.items.detach().copy_(torch.from_numpy(columns[: data.num_items]))
            yield loss


def side_by_side(left: InteractionMatrix, right: InteractionMatrix) -> InteractionMatrix:
    """[left | right]: the columns of two matrices of the same users, those of the left first."""
    users = np.concatenate([left.users, right.users])
    items = np.concatenate([left.items, right.items + left.num_items])
    order = np.lexsort((items, users))
    return InteractionMatrix(Shape(left.num_users, left.num_items + right.num_items), users[order], items[order])
