"""What the models of log loss on sampled pairs share."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from lethe.config.search import Log, Search
from lethe.models.parts import base


class SampledConfig(base.GradientConfig):
    """What the models of log loss on sampled pairs read."""

    search: ClassVar[Search] = {
        "embedding_dim": Log(8, 256, 6),
        "init_std": Log(0.003, 0.3, 5),
        "num_negatives": Log(1, 16, 5),
        "reg": Log(1e-4, 1.0, 9, zero=True),
        "learning_rate": Log(5e-4, 0.05, 7),
        "epochs": Log(5, 80, 5),
    }

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
