"""What models without user vectors share: a user's own items vote for the others through an item-item matrix.

    score(u, v) = Σ_{w∈V_u⁺} W_wv

The users' items are part of the model, in CSR, so that it scores alone. Nothing of a user beyond their items is kept.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional

from lethe.models.parts import base
from lethe.models.parts.ragged import entries_of
from lethe.models.solvers.votes import sparse_rows
from lethe.tables.matrix import InteractionMatrix, Shape


class ItemBased(base.Model):
    """Keeps the users' items. ``indptr`` [num_users + 1] int64, ``history`` [nnz] int64, increasing in each user."""

    accepts = frozenset({"history"})
    ragged: ClassVar[tuple[str, ...]] = ("history", "columns", "values")
    indptr: Tensor
    history: Tensor

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("indptr", torch.zeros(shape.num_users + 1, dtype=torch.int64))
        self.register_buffer("history", torch.zeros(0, dtype=torch.int64))

    def remember(self, data: InteractionMatrix) -> None:
        """Keep the items of every user."""
        self.indptr, self.history = torch.from_numpy(data.indptr), torch.from_numpy(data.items)

    def score(self, users: Tensor) -> Tensor:
        return self.votes(*self.histories(users))

    def score_history(self, given: base.Given) -> Tensor:
        assert given.history is not None
        return self.votes(*distinct(*given.history))

    def votes(self, indptr: Tensor, items: Tensor) -> Tensor:
        """Σ W_wv over the items w of each of B people, ragged -> [B, num_items]."""
        raise NotImplementedError

    def weights_to(self, items: Tensor, item: int) -> Tensor:
        """W_wv of items w [n] for one item v -> [n]: how much each adds to its score."""
        return torch.stack([self.votes(torch.tensor([0, 1]), items[[place]])[0, item] for place in range(len(items))])

    def histories(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """The items of ``users`` [B] -> (indptr [B + 1], items [n]), both int64."""
        indptr, places = entries_of(self.indptr, users)
        return indptr, self.history[places]


class Neighbours(ItemBased):
    """W is sparse, by rows: item w's entries are ``row_indptr[w]:row_indptr[w + 1]`` of ``columns`` and ``values``."""

    row_indptr: Tensor
    columns: Tensor
    values: Tensor

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("row_indptr", torch.zeros(shape.num_items + 1, dtype=torch.int64))
        self.register_buffer("columns", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("values", torch.zeros(0))

    def keep(self, weights: sp.csr_array) -> None:
        """Set W [num_items, num_items] float32."""
        weights.sort_indices()
        self.row_indptr, self.columns = (
            torch.from_numpy(part.astype(np.int64)) for part in (weights.indptr, weights.indices)
        )
        self.values = torch.from_numpy(weights.data.astype(np.float32))

    def votes(self, indptr: Tensor, items: Tensor) -> Tensor:
        return sparse_rows(indptr, items, None, (self.row_indptr, self.columns, self.values), self.shape.num_items)


def distinct(indptr: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Each person's items once, increasing."""
    own = [torch.unique(items[start:end]) for start, end in zip(indptr[:-1].tolist(), indptr[1:].tolist(), strict=True)]
    lengths = torch.tensor([len(part) for part in own], dtype=torch.int64)
    return functional.pad(lengths.cumsum(0), (1, 0)), torch.cat([*own, items[:0]])
