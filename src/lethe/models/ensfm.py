"""ENSFM: an efficient non-sampling factorisation machine.

Chen et al., "Efficient Non-Sampling Factorization Machines for Optimal Context-Aware Recommendation", WWW 2020, theorem
5.1 and eq. (5.12) of the thesis. With the features x_i e_i of one side s, f(s) = ½ [(Σ x_i e_i)² - Σ (x_i e_i)²], and

    p_u = [Σ x_i e_i ; h_1·f(u) + w_0 + Σ w_i x_i ; 1]       (user side: the user, their features, the contexts)
    q_v = [Σ x_i e_i ; 1 ; h_1·f(v) + Σ w_i x_i]             (item side: the item and its features)
    ŷ_uv = [h_2 ; 1 ; 1]ᵀ (p_u ⊙ q_v)

which is a generalised factorisation machine, so the whole-matrix square loss applies. A row of that matrix is a user in
one combination of contexts, and all of them that occur are rows; without contexts a row is a user.

Deviations from the authors' program: positives are ragged, and item 0 doesn't stand twice in the sum over all items;
the last, smaller batch of an epoch is used too; user and item features have tables of their own; dropout, of the d
entries that cross the sides, is integrated out exactly; initial values are normal, not truncated normal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from lethe.core.random import Stream
from lethe.models.parts import base, losses, towers
from lethe.models.parts.batches import RowBatch, row_batches
from lethe.models.parts.feature_tower import Bag, feature_rows, from_sums, sums, tower
from lethe.models.parts.fold_in import FoldIn
from lethe.models.parts.ragged import placed_entries
from lethe.models.solvers.pull import bag
from lethe.tables.matrix import FeatureMatrix, InteractionMatrix, Shape

if TYPE_CHECKING:
    import scipy.sparse as sp


class Batch(NamedTuple):
    features: Bag
    positives: RowBatch


class ENSFM(base.Model):
    """score(u, v) from the user and their features alone; ``score_given`` adds the contexts of the request."""

    optional = frozenset({"user_features", "item_features", "contexts"})
    accepts = frozenset({"contexts"})
    by_content = True

    class Config(towers.NonSamplingConfig):
        solver: Literal["gradient"] = "gradient"
        epochs: int = Field(150, ge=0)
        dropout: base.Probability = 0.3
        """Share dropped of the entries that cross the two sides; the expectation over the masks is taken exactly."""

    negative_weights: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        d = config.embedding_dim
        # A feature's vector and, in the last column, its bias w.
        user_features = shape.num_users + shape.num_user_features + shape.num_contexts
        self.user_side = nn.Parameter(torch.zeros(user_features, d + 1))
        self.item_side = nn.Parameter(torch.zeros(shape.num_items + shape.num_item_features, d + 1))
        self.bias = nn.Parameter(torch.zeros(()))
        self.h_own = nn.Parameter(torch.zeros(d))
        self.h_cross = nn.Parameter(torch.zeros(d))
        # What scoring reads; the last sum of users and contexts is that of one never seen: nothing.
        self.register_buffer("user_sums", torch.zeros(shape.num_users + 1, 2 * d + 1))
        self.register_buffer("context_sums", torch.zeros(shape.num_contexts + 1, 2 * d + 1))
        self.register_buffer("item_vectors", torch.zeros(shape.num_items, d + 2))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        config = self.config
        towers.normal_(self.user_side, config.init_std, stream.torch("user-side"))
        towers.normal_(self.item_side, config.init_std, stream.torch("item-side"))
        nn.init.constant_(self.h_own, config.init_std)
        nn.init.constant_(self.h_cross, config.init_std)
        counts = torch.from_numpy(data.item_counts)
        weights = losses.negative_weights(counts, config.negative_weight, config.popularity_exponent)
        self.register_buffer("negative_weights", weights, persistent=False)
        users = feature_rows(self.shape.num_users, data.side.user_features, len(self.user_side))
        items = feature_rows(self.shape.num_items, data.side.item_features, len(self.item_side))
        self.hold("user", Bag.of(users))
        self.hold("item", Bag.of(items))
        self._rows, features = _bound_rows(data, users)
        self._row_bounds = features.indptr.astype(np.int64)
        self.hold("row", Bag.of(features))

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Batch]:
        features = self.held("row", Bag)
        for batch in row_batches(self._rows, self.config.batch_size, stream.numpy("batches")):
            indptr, places = placed_entries(self._row_bounds, features.indptr, batch.host_rows)
            yield Batch(Bag(indptr, features.columns[places], features.weights[places]), batch)

    def loss(self, batch: Batch) -> Tensor:
        left, right = (
            self._left(tower(self.user_side, self.h_own, batch.features)),
            self._right(self.item_side, self.held("item", Bag)),
        )
        h = torch.cat([self.h_cross, torch.ones_like(self.h_cross[:2])])
        value = losses.non_sampling(left, right, batch.positives, negative_weights=self.negative_weights, h=h)
        noise = self.config.dropout / (1.0 - self.config.dropout)
        return value + noise * self._noise(left, right, batch.positives) if noise else value

    def _noise(self, left: Tensor, right: Tensor, batch: RowBatch) -> Tensor:
        """Σ_uv c_uv Σ_i (h_i p_ui q_vi)² over the entries that cross, times which dropout adds variance."""
        d = self.config.embedding_dim
        squares, weights = right[:, :d].square(), self.negative_weights.to(right.dtype)[:, None]
        own = bag(batch.indptr, batch.columns, (1.0 - weights) * squares)
        return ((left[:, :d] * self.h_cross).square() * ((weights * squares).sum(dim=0) + own)).sum()

    def _left(self, own: Tensor) -> Tensor:
        """[vector ; own] of a user's side [B, d + 1] -> p [B, d + 2]."""
        return torch.cat([own[:, :-1], own[:, -1:] + self.bias, torch.ones_like(own[:, -1:])], dim=1)

    def _right(self, table: Tensor, items: Bag) -> Tensor:
        """q [N, d + 2]."""
        own = tower(table, self.h_own, items)
        return torch.cat([own[:, :-1], torch.ones_like(own[:, -1:]), own[:, -1:]], dim=1)

    def finish(self) -> None:
        self.user_sums = functional.pad(sums(self.user_side, self.held("user", Bag)), (0, 0, 0, 1))
        contexts = self.user_side[len(self.user_side) - self.shape.num_contexts :]
        self.context_sums = functional.pad(torch.cat([contexts, contexts[:, :-1].square()], dim=1), (0, 0, 0, 1))
        self.item_vectors = self._right(self.item_side, self.held("item", Bag))

    def with_items(self, shape: Shape, places: Tensor, features: FeatureMatrix) -> Self:
        ours = self.shape.num_items
        table = torch.cat([base.placed(self.item_side[:ours], places, shape.num_items), self.item_side[ours:]])
        vectors = self._right(table, Bag.of(feature_rows(shape.num_items, features, len(table))))
        vectors[places] = self.item_vectors
        wide = type(self)(self.config, shape)
        wide.load_state_dict({**self.state_dict(), "item_side": table, "item_vectors": vectors})
        return wide.eval()

    def _scaled(self, parts: Tensor) -> Tensor:
        """h ⊙ p from the sums [B, 2 d + 1] of the user's side."""
        left = self._left(from_sums(parts, self.h_own))
        return torch.cat([left[:, :-2] * self.h_cross, left[:, -2:]], dim=1).detach()

    def score(self, users: Tensor) -> Tensor:
        return self._scaled(self.user_sums[users]) @ self.item_vectors.T

    def score_given(self, users: Tensor, given: base.Given) -> Tensor:
        if given.history is not None:
            return super().score_given(users, given)
        parts = self.user_sums[users]
        if given.contexts is not None:
            parts = parts + self.context_sums[given.contexts].sum(dim=1)
        return self._scaled(parts) @ self.item_vectors.T

    def fold_in(self) -> FoldIn:
        return base.default_fold_in(self.item_vectors.detach().cpu().numpy(), self.item_side[: self.shape.num_items])

    def factors(self) -> tuple[Tensor, Tensor] | None:
        if self.shape.num_contexts:
            return None
        return self._scaled(self.user_sums[:-1]), self.item_vectors


def _bound_rows(data: InteractionMatrix, users: sp.csr_array) -> tuple[InteractionMatrix, sp.csr_array]:
    """Every user in every combination of contexts they occur in: (rows x items, the features of each row)."""
    import scipy.sparse as sp  # Not at the top: who only scores needs none.

    if data.contexts is None:
        return data, users
    keys, rows = np.unique(np.column_stack([data.users, data.contexts]), axis=0, return_inverse=True)
    order = np.lexsort((data.items, rows))
    matrix = InteractionMatrix(Shape(len(keys), data.num_items), rows[order], data.items[order])
    row, field = np.nonzero(keys[:, 1:] >= 0)
    columns = users.shape[1] - data.shape.num_contexts + keys[row, 1 + field]
    ones = np.ones(len(row), np.float32)
    return matrix, sp.csr_array(
        users[keys[:, 0]] + sp.csr_array((ones, (row, columns)), shape=(len(keys), users.shape[1]))
    )
