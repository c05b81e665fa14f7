"""What the factorisation machines of sampled pairs share: a user, their features, the contexts; an item, its features.

Each of these five groups has a table of vectors e and biases w. Of a group's features, weighed by x, a model sees the
sums [Σ x e ; Σ w x ; Σ (x e)²] (``parts.feature_tower``); a group without features is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lethe.config.search import Choice, Linear, Search
from lethe.core.random import Stream
from lethe.models.parts import base, losses, towers
from lethe.models.parts.batches import choosers, negatives
from lethe.models.parts.feature_tower import Bag, sums
from lethe.models.parts.layers import rows_at
from lethe.models.parts.ragged import entries_of
from lethe.models.parts.sampled import SampledConfig
from lethe.tables.matrix import FeatureMatrix, InteractionMatrix, Shape

GROUPS = 5
"""Users, their features, contexts; items, their features."""


class FeatureConfig(SampledConfig):
    """What they read beside log loss' or BPR's own."""

    search: ClassVar[Search] = {
        "loss": Choice("log", "bpr"),
        "dropout": Linear(0.0, 0.8, 9),
    }

    loss: Literal["log", "bpr"] = "log"
    """Log loss of single pairs, or BPR of each interaction against its sampled items."""
    dropout: base.Probability = 0.0
    """Share dropped of the entries that the network on top is given."""


class SituatedPairs(NamedTuple):
    """Interactions in their situations, each with the items it is compared by: its own, then those sampled for it.

    users  [n] int64      contexts  [n, fields] int64, -1 for none      items  [n, 1 + num_negatives] int64
    """

    users: Tensor
    contexts: Tensor
    items: Tensor
    seed: int


class FeaturePairs(base.Model):
    """Scores from ``predict``, of which a subclass says how; its Config is a FeatureConfig."""

    pooled: ClassVar[bool] = False
    """Whether ``predict`` reads the groups' sum alone, and may be given groups that are sums of several."""
    optional = frozenset({"user_features", "item_features", "contexts"})
    accepts = frozenset({"contexts"})
    by_content = True
    user_sums: Tensor
    context_sums: Tensor
    item_sums: Tensor

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        width = config.embedding_dim + 1
        self.users = nn.Parameter(torch.zeros(shape.num_users, width))
        self.user_features = nn.Parameter(torch.zeros(shape.num_user_features, width))
        self.contexts = nn.Parameter(torch.zeros(shape.num_contexts, width))
        self.items = nn.Parameter(torch.zeros(shape.num_items, width))
        self.item_features = nn.Parameter(torch.zeros(shape.num_item_features, width))
        self.bias = nn.Parameter(torch.zeros(()))
        # What scoring reads; the last sum of users and contexts is that of one never seen: nothing.
        sizes = 2 * config.embedding_dim + 1
        self.register_buffer("user_sums", torch.zeros(shape.num_users + 1, 2, sizes))
        self.register_buffer("context_sums", torch.zeros(shape.num_contexts + 1, sizes))
        self.register_buffer("item_sums", torch.zeros(shape.num_items, 2, sizes))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        for name in ("users", "user_features", "contexts", "items", "item_features"):
            towers.normal_(getattr(self, name), self.config.init_std, stream.torch(name))
        for side, count in (("user", data.num_users), ("item", data.num_items)):
            self.hold(side, _bag(count, getattr(data.side, f"{side}_features")))

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[SituatedPairs]:
        config, generator, pairs = self.config, stream.numpy("batches"), data.distinct()
        rows = generator.permutation(np.flatnonzero(np.isin(data.users, choosers(pairs))))
        contexts = np.empty((len(data), 0), np.int64) if data.contexts is None else data.contexts
        step = config.batch_size or max(len(rows), 1)
        for start in range(0, len(rows), step):
            own = rows[start : start + step]
            others = negatives(pairs, np.repeat(data.users[own], config.num_negatives), generator)
            items = np.column_stack([data.items[own], others.reshape(len(own), config.num_negatives)])
            users, there, compared = map(torch.from_numpy, (data.users[own], contexts[own], items))
            yield SituatedPairs(users, there, compared, stream.integer("dropout", start))

    def loss(self, batch: SituatedPairs) -> Tensor:
        n, each = batch.items.shape
        joined = _summed if self.pooled else _beside
        left, right = joined(*self._left(batch.users, batch.contexts)), joined(*self._right(batch.items.flatten()))
        # What stands on the left is the same for all items of an interaction, and is looked up once.
        groups = self._met(left[:, None].expand(-1, each, -1, -1).flatten(0, 1), right)
        scores = self.predict(groups, torch.Generator().manual_seed(batch.seed)).view(n, each)
        squares = self.config.embedding_dim + 1
        norm = each * left[..., squares:].sum() + right[..., squares:].sum()
        if self.config.loss == "log":
            labels = functional.pad(scores.new_ones(n, 1), (0, each - 1))
            value = losses.log_loss(scores, labels)
        else:
            value = losses.bpr(scores[:, :1], scores[:, 1:])
        return value + self.config.reg * norm

    def predict(self, groups: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """ŷ of the groups' sums [B, 5, 2 d + 1], or of all together [B, 1, 2 d + 1] where ``pooled``, -> [B]; dropout
        where there is a generator."""
        raise NotImplementedError

    def linear(self, groups: Tensor) -> Tensor:
        """w_0 + Σ w x -> [B]."""
        return self.bias + groups[..., self.config.embedding_dim].sum(dim=1)

    def crossed(self, groups: Tensor) -> Tensor:
        """½ [(Σ x e)² - Σ (x e)²], the sum of the products of every two features -> [B, d]."""
        d, total = self.config.embedding_dim, groups.sum(dim=1)
        return 0.5 * (total[:, :d].square() - total[:, d + 1 :])

    def _left(self, users: Tensor, contexts: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Sums of users, their features and contexts, each [B, 2 d + 1], None for a table without features."""
        known = contexts >= 0
        ones = torch.ones(int(known.sum()), device=users.device)
        bag = Bag(functional.pad(known.sum(dim=1).cumsum(0), (1, 0)), contexts[known], ones)
        return _own(self.users, users), self._features("user", users), _sums(self.contexts, bag)

    def _right(self, items: Tensor) -> tuple[Tensor, Tensor | None]:
        """Sums of items and of their features, as ``_left``."""
        return _own(self.items, items), self._features("item", items)

    def _met(self, left: Tensor, right: Tensor) -> Tensor:
        """Aligned rows of both sides, as ``predict`` reads them."""
        return left + right if self.pooled else torch.cat([left, right], dim=1)

    def _features(self, side: str, rows: Tensor) -> Tensor | None:
        table = getattr(self, f"{side}_features")
        bag = self.held(side, Bag)
        indptr, places = entries_of(bag.indptr, rows)
        return _sums(table, Bag(indptr, bag.columns[places], bag.weights[places]))

    def finish(self) -> None:
        device = self.bias.device
        users, items = (torch.arange(count, device=device) for count in (self.shape.num_users, self.shape.num_items))
        nowhere = torch.empty((len(users), 0), dtype=torch.int64, device=device)
        self.user_sums = functional.pad(_beside(*self._left(users, nowhere)[:2]), (0, 0, 0, 0, 0, 1))
        contexts = torch.arange(len(self.contexts), device=device)
        self.context_sums = functional.pad(_own(self.contexts, contexts), (0, 0, 0, 1))
        self.item_sums = _beside(*self._right(items))

    def with_items(self, shape: Shape, places: Tensor, features: FeatureMatrix) -> Self:
        wide = type(self)(self.config, shape)
        wide.hold("item", _bag(shape.num_items, features))
        items = base.placed(self.items, places, shape.num_items)
        wide.load_state_dict({**self.state_dict(), "items": items, "item_sums": wide.item_sums})
        wide.item_sums = _beside(*wide._right(torch.arange(shape.num_items)))
        wide.item_sums[places] = self.item_sums
        return wide.eval()

    def score(self, users: Tensor) -> Tensor:
        return self._scores(self._situated(users, None))

    def score_given(self, users: Tensor, given: base.Given) -> Tensor:
        if given.history is not None and self.fold_in() is not None:
            return super().score_given(users, given)
        return self._scores(self._situated(users, given.contexts))

    def _situated(self, users: Tensor, contexts: Tensor | None) -> Tensor:
        """Sums of users, -1 for one unknown, their features and contexts -> [B, 3, 2 d + 1]."""
        own = self.user_sums[users]
        there = torch.zeros_like(own[:, 0]) if contexts is None else self.context_sums[contexts].sum(dim=1)
        return torch.cat([own, there[:, None]], dim=1)

    @torch.no_grad()
    def _scores(self, left: Tensor) -> Tensor:
        scores, items = left.new_empty(len(left), self.shape.num_items), self.item_sums
        if self.pooled:
            left, items = left.sum(dim=1, keepdim=True), items.sum(dim=1, keepdim=True)
        # User by user: what the network holds of many users at once would not fit the memory.
        for row, own in enumerate(left):
            scores[row] = self.predict(self._met(own.expand(self.shape.num_items, -1, -1), items))
        return scores


def _own(table: Tensor, rows: Tensor) -> Tensor:
    """The sums of single features -> [B, 2 d + 1]."""
    taken = rows_at(table, rows)
    return torch.cat([taken, taken[:, :-1].square()], dim=1)


def _sums(table: Tensor, bag: Bag) -> Tensor | None:
    """``feature_tower.sums``; None of an empty table."""
    return sums(table, bag) if len(table) else None


def _beside(own: Tensor, *others: Tensor | None) -> Tensor:
    """Groups one beside the other, 0 for one without features -> [B, groups, 2 d + 1]."""
    return torch.stack([own, *(torch.zeros_like(own) if one is None else one for one in others)], dim=1)


def _summed(own: Tensor, *others: Tensor | None) -> Tensor:
    """Groups as one -> [B, 1, 2 d + 1]."""
    return reduce(torch.add, (one for one in others if one is not None), own)[:, None]


def _bag(num_rows: int, features: FeatureMatrix | None) -> Bag:
    if features is None:
        features = FeatureMatrix(np.zeros(num_rows + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    return Bag(*map(torch.from_numpy, (features.indptr, features.columns, features.weights)))
