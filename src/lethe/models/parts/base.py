"""The contract every model keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field
from torch import Tensor, nn

from lethe.config.section import Section
from lethe.core.random import Stream
from lethe.tables.matrix import InteractionMatrix, Shape, Side

READABLE = frozenset({"contexts", "timestamps", *(part.name for part in fields(Side))})
"""What a model may say that it reads: columns of ``InteractionMatrix`` and parts of ``Side``."""

Probability = Annotated[float, Field(ge=0, lt=1)]


class Config(Section):
    """Base of every model's Config. ``solver`` is "gradient" (``training.fit``) or the model's own ``solve``."""

    solver: str
    """How it learns: by gradients (``learning.training.fit``), or by the exact solver that is named."""


class GradientConfig(Config):
    """What the one optimisation loop, ``learning.training.fit``, reads."""

    solver: str = "gradient"
    optimizer: Literal["adagrad", "adam", "sgd"] = "adagrad"
    """How a gradient becomes a step. adagrad is TF1's: accumulator 1e-8, no epsilon."""
    learning_rate: float = Field(0.05, gt=0)
    """Length of a step, in the optimiser's unit."""
    epochs: int = Field(100, ge=0)
    """Passes over the data."""
    batch_size: int = Field(512, ge=0)
    """Rows of whatever the model's batches are made of: users, items or interactions. 0: all in one batch."""
    decay: Literal["constant", "linear"] = "constant"
    """Learning rate over the epochs: constant, or linear to 0."""
    patience: int = Field(0, ge=0)
    """Epochs without a rise of the validation value after which to stop, where one is given. 0: never stop early."""


class Given(NamedTuple):
    """What comes with a request for B users beside who they are; None where nothing is given.

    contexts  [B, number of context fields] int64, the dense context of each field; -1 for one never seen
    history   their latest items, oldest first, ragged: user b has ``items[indptr[b]:indptr[b + 1]]``
              (indptr [B + 1] int64, items [nnz] int64)
    """

    contexts: Tensor | None = None
    history: tuple[Tensor, Tensor] | None = None


class Model(nn.Module):
    """A recommender over dense indices.

    Its life: ``Model(config, shape)`` makes empty parameters of the right sizes; ``prepare(data, stream)`` fills them
    and keeps what it needs of the data; it learns, by the loop or by its ``solve``; ``finish()`` computes what scoring
    needs. Everything ``score`` reads is in ``state_dict()``, so that ``Model(config, shape).load_state_dict(...)``
    scores alone. A model holds no optimiser, no files, no device logic.
    """

    Config: ClassVar[type[Config]]
    needs: ClassVar[frozenset[str]] = frozenset()
    """What it can't learn without, beside users, items and ratings: of ``READABLE``; ``train`` checks."""
    optional: ClassVar[frozenset[str]] = frozenset()
    """What it learns from too where the dataset has it: of ``READABLE``. ``train`` hands it nothing undeclared."""
    accepts: ClassVar[frozenset[str]] = frozenset()
    """Fields of ``Given`` that ``score_given`` looks at."""
    repeats: ClassVar[bool] = False
    """Whether it can count a pair for each of several contexts; where it can't, and doesn't read contexts, ``train``
    gives it each pair once."""
    config: Any

    @classmethod
    def reads(cls) -> frozenset[str]:
        """All that it may learn from beside users, items and ratings."""
        return cls.needs | cls.optional

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__()
        self.config = config
        self.shape = shape

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        """Fill the parameters from ``stream`` and keep what learning needs of ``data``."""

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Any]:
        """The batches of one epoch; ``stream`` is the epoch's own. Tensors in them are on the CPU."""
        raise TypeError(f"{type(self).__name__} does not learn by gradients")

    def loss(self, batch: Any) -> Tensor:
        """The loss of a batch, a scalar that is summed over the epoch for the learning curve."""
        raise TypeError(f"{type(self).__name__} does not learn by gradients")

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        """Learn without gradients, on the CPU: yield the loss after each epoch or sweep of the solver.

        A model that is counted rather than optimised has done all in ``prepare`` and yields nothing.
        """
        return iter(())

    def finish(self) -> None:
        """After learning: compute and keep in buffers what ``score`` needs."""

    def figures(self) -> dict[str, float]:
        """After ``finish``: what it learned that people want to read, by name. ``train`` puts it in the last row."""
        return {}

    def score(self, users: Tensor) -> Tensor:
        """Preference scores of users [B] int64 for every item -> [B, num_items], finite; higher is better."""
        left, right = self.factors_or_fail()
        return left[users] @ right.T

    def score_given(self, users: Tensor, given: Given) -> Tensor:
        """``score`` in the light of what came with the request -> [B, num_items].

        A model that ``accepts`` a field answers users it doesn't know (-1) too where that field is given.
        """
        return self.score(users)

    def factors(self) -> tuple[Tensor, Tensor] | None:
        """(users [num_users, d], items [num_items, d]) whose dot product is the score, or None if it has no such."""
        return None

    def factors_or_fail(self) -> tuple[Tensor, Tensor]:
        """``factors()``; raises TypeError if the model has none."""
        factors = self.factors()
        if factors is None:
            raise TypeError(f"{type(self).__name__} has no two towers")
        return factors
