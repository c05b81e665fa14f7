"""ENMF-A: efficient neural matrix factorisation without sampling, alternating.

Chen et al., "Efficient Neural Matrix Factorization without Sampling for Recommendation", TOIS 2020, section 3 of the
thesis: each epoch is a pass of ENMF-U over batches of users, then one of ENMF-I over batches of items. An epoch's loss
in the learning curve is that of both passes. Deviations as in ``enmf``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field
from torch import Tensor

from lethe.core.random import Stream
from lethe.models.enmf import ENMF
from lethe.models.parts.batches import RowBatch, row_batches
from lethe.tables.matrix import InteractionMatrix


class ENMFA(ENMF):
    """ENMF by batches of users and of items in turn; ``batch_size`` is for either."""

    class Config(ENMF.Config):
        epochs: int = Field(100, ge=0)
        """Epochs of two passes each: over users, then over items."""

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Any]:
        for side, rows in (("users", data), ("items", data.transposed)):
            for batch in row_batches(rows, self.config.batch_size, stream.numpy(side)):
                yield side, batch

    def loss(self, batch: tuple[str, RowBatch]) -> Tensor:
        side, rows = batch
        return self.user_loss(rows) if side == "users" else self.item_loss(rows)
