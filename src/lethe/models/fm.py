"""FM: a factorisation machine over users, items, their features and the contexts.

Rendle, "Factorization Machines", ICDM 2010.

    ŷ(x) = w_0 + Σ_a w_a x_a + Σ_{a<b} (e_a·e_b) x_a x_b

over all features a, b of a user in their contexts and of an item, by log loss (or BPR) on sampled pairs, as the tables
of ENSFM's paper have it. ``ensfm`` is the same predictor without sampling. Deviation: the L2 is on the vectors of each
pair's features rather than on whole tables.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lethe.models.parts import base
from lethe.models.parts.feature_pairs import FeatureConfig, FeaturePairs
from lethe.models.parts.fold_in import FoldIn


class FM(FeaturePairs):
    """score(u, v) from the user and their features alone; ``score_given`` adds the contexts of the request."""

    pooled = True

    class Config(FeatureConfig):
        pass

    def predict(self, groups: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.linear(groups) + self.crossed(groups).sum(dim=1)

    def factors(self) -> tuple[Tensor, Tensor] | None:
        """None under contexts: a user then has a vector in each."""
        return None if self.shape.num_contexts else (self._towers(self.user_sums[:-1], left=True), self._items())

    def fold_in(self) -> FoldIn:
        return base.default_fold_in(self._items().cpu().numpy(), self.items)

    def _scores(self, left: Tensor) -> Tensor:
        return self._towers(left, left=True) @ self._items().T

    def _items(self) -> Tensor:
        return self._towers(self.item_sums, left=False)

    def _towers(self, groups: Tensor, *, left: bool) -> Tensor:
        """A side's [Σ x e ; what it is worth by itself ; 1], the last two swapped for items -> [B, d + 2]."""
        d, total = self.config.embedding_dim, groups.sum(dim=1)
        own = total[:, d] + self.crossed(groups).sum(dim=1) + (self.bias if left else 0.0)
        numbers = [own, torch.ones_like(own)] if left else [torch.ones_like(own), own]
        return torch.cat([total[:, :d], torch.stack(numbers, dim=1)], dim=1).detach()
