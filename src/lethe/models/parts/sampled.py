"""What the models of log loss on sampled pairs share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lethe.models.parts import base


class SampledConfig(base.GradientConfig):
    """What the models of log loss on sampled pairs read."""

    solver: Literal["gradient"] = "gradient"
    embedding_dim: int = Field(64, ge=1)
    """Size d of the vectors."""
    init_std: float = Field(0.01, gt=0)
    """Standard deviation of each coordinate of the start vectors."""
    num_negatives: int = Field(8, ge=1)
    """Lacked items drawn for each interaction, anew in every epoch."""
    reg: float = Field(0.02, ge=0)
    """Factor of the L2 on the two vectors of each pair."""
    optimizer: Literal["adagrad", "adam", "sgd"] = "adam"
    learning_rate: float = Field(0.005, gt=0)
    epochs: int = Field(20, ge=0)
    batch_size: int = Field(1024, ge=0)
    """Interactions a step; negatives come on top."""
    decay: Literal["constant", "linear"] = "linear"
