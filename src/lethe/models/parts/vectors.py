"""What the models of vectors that Adam moves, by steps that end at 0, declare alike."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lethe.models.parts import base


class VectorsConfig(base.GradientConfig):
    """What they read; ``reg``, ``epochs`` and ``batch_size`` mean something else in each, as does where to search."""

    solver: Literal["gradient"] = "gradient"
    embedding_dim: int = Field(64, ge=1)
    """Size d of the vectors."""
    init_std: float = Field(0.1, gt=0)
    """Standard deviation of each coordinate of the start vectors."""
    optimizer: Literal["adagrad", "adam", "sgd"] = "adam"
    learning_rate: float = Field(0.005, gt=0)
    decay: Literal["constant", "linear"] = "linear"
