"""The contract every model keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from lethe.config.search import Log, Range, Search
from lethe.config.section import Section
from lethe.core.random import Stream
from lethe.models.parts.fold_in import CentredRows, FoldIn, Taken
from lethe.tables.matrix import FeatureMatrix, InteractionMatrix, Shape, Side

READABLE = frozenset({"contexts", "timestamps", *(part.name for part in fields(Side))}) - {"friend_users"}
"""What a model may say that it reads: columns of ``InteractionMatrix`` and parts of ``Side``."""

DEFAULT_NEGATIVE_WEIGHT, DEFAULT_REG = 0.2, 0.02
"""Of ``default_fold_in``: c⁻, and λ in mean squares of the items' centred coordinates, summed over the items."""

_Kind = TypeVar("_Kind")

Probability = Annotated[float, Field(ge=0, lt=1)]


class Config(Section):
    """Base of every model's Config. ``solver`` is "gradient" (``training.fit``) or the model's own ``solve``."""

    search: ClassVar[Search] = {}
    """Where a search looks for the best values, by option; what a base class says holds too. Defaults lie inside."""
    per_row: ClassVar[int] = 1
    """Multiply-adds of an interaction in a pass, at the least, where there is no ``embedding_dim`` to say it: whether a
    GPU pays goes by them."""

    solver: str
    """How it learns: by gradients (``learning.training.fit``), or by the exact solver that is named."""

    @classmethod
    def searched(cls) -> dict[str, Range]:
        """``search`` of the class and of its bases, the nearest first to be heard."""
        merged: dict[str, Range] = {}
        for kind in reversed(cls.__mro__):
            merged |= vars(kind).get("search", {})
        return merged


class GradientConfig(Config):
    """What the one optimisation loop, ``learning.training.fit``, reads."""

    search: ClassVar[Search] = {"learning_rate": Log(0.001, 0.2)}

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
    ratings   [nnz] float32, how they rated those; nan for one they didn't
    """

    contexts: Tensor | None = None
    history: tuple[Tensor, Tensor] | None = None
    ratings: Tensor | None = None

    @property
    def taken(self) -> Taken:
        """The history in arrays."""
        assert self.history is not None
        ratings = None if self.ratings is None else self.ratings.cpu().numpy()
        indptr, items = (part.cpu().numpy() for part in self.history)
        return Taken(indptr, items, ratings)


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
    ordered: ClassVar[bool] = False
    """Whether it follows a history as a sequence, so that one that is given stands for all that a user did."""
    repeats: ClassVar[bool] = False
    """Whether it can count a pair for each of several contexts; where it can't, and doesn't read contexts, ``train``
    gives it each pair once."""
    weight_option: ClassVar[str | None] = None
    """The option of its Config by which interactions count as much as they weigh, above 0; None: they never do."""
    by_content: ClassVar[bool] = False
    """Whether it can score items by their features that nobody has had: it then has ``with_items``."""
    on_device: ClassVar[frozenset[str]] = frozenset({"gradient"})
    """Solvers that compute where the parameters lie, a GPU among others; all others are compiled for the CPU."""
    ragged: ClassVar[tuple[str, ...]] = ()
    """Buffers whose sizes the data alone know."""
    repeatable: ClassVar[bool] = True
    """Whether it gives the same bytes again on a GPU. A model that has an operation without such a form says no: it is
    then trained with a warning instead of an error, and its artifacts, the service and certificates say so."""
    config: Any

    @classmethod
    def reads(cls) -> frozenset[str]:
        """All that it may learn from beside users, items and ratings."""
        return cls.needs | cls.optional

    @classmethod
    def weighs(cls, config: Any) -> bool:
        """Whether, by its settings, it learns how much an interaction weighs."""
        return cls.weight_option is not None and getattr(config, cls.weight_option) > 0

    @classmethod
    def memory(cls, config: Any, shape: Shape) -> int:
        """Bytes that learning holds at once, of a model whose need grows faster than its data; of others 0."""
        return 0

    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__()
        self.config = config
        self.shape = shape

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        # An empty model takes the sizes it is given.
        for name in self.ragged:
            if prefix + name in state_dict and name in self._buffers:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def hold(self, name: str, parts: Any) -> None:
        """Keep the tensors of a NamedTuple beside the parameters, on their device, but out of what is saved."""
        for field, part in parts._asdict().items():
            self.register_buffer(f"{name}_{field}", part, persistent=False)

    def held(self, name: str, kind: type[_Kind]) -> _Kind:
        """What was kept by ``hold``, as the NamedTuple it was. A model that was read has none."""
        names: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
        return kind(*(getattr(self, f"{name}_{field}") for field in names))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        """Fill the parameters from ``stream`` and keep what learning needs of ``data``."""

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[Any]:
        """The batches of one epoch; ``stream`` is the epoch's own. Tensors in them are on the CPU."""
        raise TypeError(f"{type(self).__name__} does not learn by gradients")

    def loss(self, batch: Any) -> Tensor:
        """The loss of a batch, a scalar that is summed over the epoch for the learning curve."""
        raise TypeError(f"{type(self).__name__} does not learn by gradients")

    def steady(self) -> bool:
        """Whether ``loss`` reads the batch and the model's tensors alone: nothing is drawn in it, nothing waited for,
        and all shapes follow from the batch's. A GPU may then record a step and replay it (``learning.replay``)."""
        return False

    def solve(self, data: InteractionMatrix, stream: Stream) -> Iterator[float]:
        """Learn without gradients, on the CPU where the solver is not in ``on_device``: yield the loss after each epoch
        or sweep of the solver.

        A model that is counted rather than optimised has done all in ``prepare`` and yields nothing.
        """
        return iter(())

    def finish(self) -> None:
        """After learning: compute and keep in buffers what ``score`` needs."""

    def figures(self) -> dict[str, float]:
        """After ``finish``: what it learned that people want to read, by name. ``train`` puts it in the last row."""
        return {}

    def with_items(self, shape: Shape, places: Tensor, features: FeatureMatrix) -> Self:
        """The same, after learning, over the items of ``shape``: its own stand at ``places`` [its num_items] int64, the
        others are new. ``features`` are those of all. Its own items keep their scores.

        A new item has no vector or bias of its own: they are 0 rather than what learning begins with.
        """
        raise TypeError(f"{type(self).__name__} does not score items by their features")

    def score(self, users: Tensor) -> Tensor:
        """Preference scores of users [B] int64 for every item -> [B, num_items], finite; higher is better."""
        left, right = self.factors_or_fail()
        return left[users] @ right.T

    def score_given(self, users: Tensor, given: Given) -> Tensor:
        """``score`` in the light of what came with the request -> [B, num_items].

        Whoever has a history is answered by it, known or not: a model that accepts a field answers users it doesn't
        know (-1) too where that field is given.
        """
        if given.history is None:
            return self.score(users)
        lengths = given.history[0].diff()
        alone = (lengths == 0) & (users >= 0)
        scores = torch.zeros(len(users), self.shape.num_items, device=users.device)
        if alone.any():
            scores[alone] = self.score(users[alone])
        if not alone.all():
            indptr = functional.pad(lengths[~alone].cumsum(0), (1, 0))
            scores[~alone] = self.score_history(given._replace(history=(indptr, given.history[1])))
        return scores

    def score_history(self, given: Given) -> Tensor:
        """Scores of B people, whoever they are, by the history of each -> [B, num_items]."""
        fold_in = self.fold_in()
        if fold_in is None:
            raise TypeError(f"{type(self).__name__} follows no history")
        return torch.from_numpy(fold_in.users(given.taken) @ fold_in.items.T)

    def fold_in(self) -> FoldIn | None:
        """How the vector of somebody new is made, where users have vectors; None where a history says nothing.

        By default by ``default_fold_in``, whatever the model's own loss is.
        """
        factors = self.factors()
        return None if factors is None else default_fold_in(factors[1].detach().cpu().numpy())

    def weights_to(self, items: Tensor, item: int) -> Tensor | None:
        """How much each of the items [n] of a person adds to the score of one -> [n]; None where a score is no such
        sum."""
        return None

    def factors(self) -> tuple[Tensor, Tensor] | None:
        """(users [num_users, d], items [num_items, d]) whose dot product is the score, or None if it has no such."""
        return None

    def unsmoothed(self) -> tuple[Tensor, Tensor] | None:
        """``factors()`` before any smoothing along the graph of its rows."""
        return self.factors()

    def factors_or_fail(self) -> tuple[Tensor, Tensor]:
        """``factors()``; raises TypeError if the model has none."""
        factors = self.factors()
        if factors is None:
            raise TypeError(f"{type(self).__name__} has no two towers")
        return factors


def placed(rows: Tensor, places: Tensor, count: int) -> Tensor:
    """Rows [n, ...] at their places [n] among ``count``, the others 0."""
    wide = rows.new_zeros(count, *rows.shape[1:])
    wide[places] = rows
    return wide


def default_fold_in(items: np.ndarray, own: Tensor | None = None) -> FoldIn:
    """For models whose loss has no closed form in a user's vector: the square loss around the items' mean.

    ``own`` [N, d]: the items' own parameters. An item whose are all 0 is new (``Model.with_items``): nobody lacks it.
    """
    known = np.ones(len(items), dtype=bool) if own is None else own.detach().cpu().numpy().any(axis=1)
    seen = items[known] if known.any() and not known.all() else items
    spread = float(seen.var(axis=0, dtype=np.float64).sum()) * len(seen) / max(items.shape[1], 1)
    weights = np.where(known if known.any() else True, DEFAULT_NEGATIVE_WEIGHT, 0.0) * np.ones(len(items))
    return CentredRows.of(items, weights, dropout=0.0, reg=DEFAULT_REG * spread)
