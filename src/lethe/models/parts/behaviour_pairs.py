"""What the models of several behaviours by sampled pairs share: one behaviour's pairs a step, behaviours in turn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from pydantic import Field
from torch import Tensor

from lethe.core.random import Stream
from lethe.models.parts import base, losses
from lethe.models.parts.batches import labelled_batches
from lethe.models.parts.multibehaviour import Levels, behaviour_matrices
from lethe.models.parts.sampled import SampledConfig
from lethe.tables.matrix import InteractionMatrix, Shape


class LevelsConfig(Levels, SampledConfig):
    init_std: float = Field(0.1, gt=0)
    """Standard deviation of each coordinate of the start vectors."""
    num_negatives: int = Field(4, ge=1)
    """Lacked items drawn for each interaction, anew in every epoch."""


class LabelledOf(NamedTuple):
    """Pairs and whether they occur as behaviour number ``place`` of the Config's ``names``."""

    place: int
    users: Tensor
    items: Tensor
    labels: Tensor


class BehaviourPairs(base.Model):
    """Σ_k μ_k times the log loss of behaviour k; its Config is a LevelsConfig."""

    needs = frozenset({"behaviours"})

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__(config, shape)
        self.shares = config.shares()

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[LabelledOf]:
        config = self.config

        def of(place: int, matrix: InteractionMatrix) -> Iterator[LabelledOf]:
            generator = stream.numpy("batches", place)
            for batch in labelled_batches(matrix, config.batch_size, config.num_negatives, generator):
                yield LabelledOf(place, *batch)

        matrices = behaviour_matrices(self, data)
        learned = [of(place, matrix) for place, matrix in enumerate(matrices) if self.shares[place]]
        yield from (batch for batch in chain.from_iterable(zip_longest(*learned)) if batch is not None)

    def pairs(self, place: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """ŷ^(k) of aligned users and items [B] -> [B], and the squares of all vectors that enter, for the L2."""
        raise NotImplementedError

    def loss(self, batch: LabelledOf) -> Tensor:
        scores, norm = self.pairs(batch.place, batch.users, batch.items)
        return self.shares[batch.place] * (losses.log_loss(scores, batch.labels) + self.config.reg * norm)
