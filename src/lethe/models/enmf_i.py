"""ENMF-I: efficient neural matrix factorisation without sampling, item-based.

Chen et al., "Efficient Neural Matrix Factorization without Sampling for Recommendation", TOIS 2020, section 3 of the
thesis: the loss of ENMF-U with the roles swapped,

    Σ_{v∈B} Σ_{u∈U_v⁺} [(1 - c⁻_v) ŷ_uv² - 2 ŷ_uv] + Σ_ij h_i h_j (Σ_{v∈B} c⁻_v q_vi q_vj)(Σ_u p_ui p_uj)

Summed over the batches of an epoch it is the same number as ENMF-U's; only the steps differ. Deviations as in ``enmf``;
in particular the dropout of the batch's vectors is integrated out, which makes it the same as ENMF-U's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field
from torch import Tensor

from lethe.core.random import Stream
from lethe.models.enmf import ENMF
from lethe.models.parts.batches import row_batches
from lethe.tables.matrix import InteractionMatrix


class ENMFI(ENMF):
    """ENMF by batches of items; ``batch_size`` is items."""

    class Config(ENMF.Config):
        epochs: int = Field(200, ge=0)

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Any]:
        return row_batches(data.transposed, self.config.batch_size, stream.numpy("batches"))

    def loss(self, batch: Any) -> Tensor:
        return self.item_loss(batch)
