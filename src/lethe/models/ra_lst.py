"""RA_LST: short-term taste (GRU4Rec) and long-term taste (a latent factor model), weighed against each other.

The paper's §2.3, equations 8 to 11 (short in ``short``, a GRU4Rec, long in ``long``, an ImplicitLFM):

    ŷ = θ x₁ + (1 - θ) x₂;      min ½ (ŷ - y)²;      θ ← θ - α (θ x₁ + (1 - θ) x₂ - y)(x₁ - x₂)

x₁ and x₂ are the parts' scores, each user's brought to [0, 1] by their least and greatest over all items; y is 1 for an
interaction and 0 for a lacked item, of which each user has as many. θ moves user after user, in random order, by the
mean of a user's cells.

Deviation: θ is brought back into [0, 1] at the end, where the paper lets it go anywhere: outside, a better long part
would make the whole worse.

The paper doesn't say which cells θ learns from or how scores are scaled. Cells that the parts were fitted to say
nothing about how much to trust them, so here θ learns from the ``newest`` share of each user's items: the parts it
weighs learnt from the older ones alone. Then x₁ reads each user's whole history, and x₂ is fitted anew to all rows.
All of that stays within the rows the model is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lethe.core.random import Stream
from lethe.errors import ConfigError
from lethe.models.gru4rec import GRU4Rec, NextItemBatch
from lethe.models.implicit_lfm import ImplicitLFM
from lethe.models.parts import base, towers
from lethe.models.parts.batches import Labelled, labelled_batches
from lethe.models.parts.sequences import Sequences, older
from lethe.tables.matrix import InteractionMatrix, Shape

NO_CELLS = Labelled(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64), torch.empty(0))

_BLOCK = 256
"""Users whose scores are held at once."""


class WeighedConfig(GRU4Rec.Config):
    """GRU4Rec's, which ``fit`` reads, and how the parts are weighed; ``long`` is the other part's."""

    long: base.Config
    """Settings of the long part, which knows all of a user's history at once."""
    newest: float = Field(0.1, gt=0, lt=1)
    """Share of each user's items, rounded down, from which θ is learned and the GRU is not."""
    theta: float | None = Field(None, ge=0, le=1)
    """θ, where it is not to be learned; then nothing is held out."""
    theta_rate: float = Field(0.01, gt=0)
    """α: length of θ's first step, as the paper has it."""
    theta_epochs: int = Field(5, ge=1)
    """Times that θ goes through all users, from 0.5."""


class RALST(base.Model):
    """score(u, v) = θ x₁ + (1 - θ) x₂, in [0, 1]; ``theta`` [] is θ."""

    class Config(WeighedConfig):
        long: ImplicitLFM.Config = ImplicitLFM.Config()

    Long: type[towers.TwoTower] = ImplicitLFM
    needs = GRU4Rec.needs
    accepts = GRU4Rec.accepts
    ordered = True
    theta: Tensor
    ranges: Tensor

    def __init__(self, config: WeighedConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self.short, self.long = GRU4Rec(config, shape), self.Long(config.long, shape)
        self.register_buffer("theta", torch.tensor(0.5 if config.theta is None else config.theta))
        self.register_buffer("ranges", torch.zeros(2, 2, shape.num_users))
        self._history = self.short.sequences
        self._cells = NO_CELLS
        self._long_scores = torch.empty(0)
        self._stream = Stream(0)

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        """Learns the long part, which needs nothing of the short one."""
        self._stream = stream("theta")
        self.short.prepare(data, stream("short"))
        self._history = self.short.sequences
        if self.config.theta is None:
            self.short.sequences = older(self._history, self.config.newest)
            kept = _matrix(self.short.sequences, data.shape)
            self._fit_long(kept, stream("long", "older"))
            self._cells = held_out(data, kept, self._stream)
            self._long_scores = _unit(self.long, self._cells)
        self._fit_long(data, stream("long", "all"))

    def _fit_long(self, data: InteractionMatrix, stream: Stream) -> None:
        self.long.prepare(data, stream("start"))
        for epoch, loss in enumerate(self.long.solve(data, stream("train"))):
            if not math.isfinite(loss):
                rule = "lower long.learning_rate, long.init_std or long.embedding_dim"
                name = type(self).__name__
                raise ConfigError(f"{name}: the loss of the long part is {loss} in its epoch {epoch}; {rule}")

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[NextItemBatch]:
        return self.short.batches(data, stream)

    def steady(self) -> bool:
        return self.short.steady()

    def loss(self, batch: NextItemBatch) -> Tensor:
        return self.short.loss(batch)

    def finish(self) -> None:
        self.short.finish()
        if self.config.theta is None:
            self.theta.fill_(self._learn_theta())
        self.short.states = self.short.run(self._history)
        self.ranges = torch.stack([_ranges(self.short), _ranges(self.long)])

    def _learn_theta(self) -> float:
        short = _unit(self.short, self._cells)
        users, x1, x2, labels = (
            part.cpu().numpy() for part in (self._cells.users, short, self._long_scores, self._cells.labels)
        )
        return fuse(users, x1, x2, labels, self._stream, rate=self.config.theta_rate, epochs=self.config.theta_epochs)

    def figures(self) -> dict[str, float]:
        return {"theta": float(self.theta)}

    def factors(self) -> tuple[Tensor, Tensor]:
        """Both parts' towers side by side, each user's scaled, and one dimension for what the least scores take off."""
        weights = torch.stack([self.theta, 1 - self.theta])[:, None] / (self.ranges[:, 1] - self.ranges[:, 0])
        users, items = zip(self.short.factors_or_fail(), self.long.factors_or_fail(), strict=True)
        shift = -(weights * self.ranges[:, 0]).sum(dim=0)
        scaled = [tower * weight[:, None] for tower, weight in zip(users, weights, strict=True)]
        return torch.cat([*scaled, shift[:, None]], dim=1), torch.cat([*items, torch.ones_like(items[0][:, :1])], dim=1)

    def fold_in(self) -> None:
        """None: a history is read in its order, by the network."""
        return None

    def score_given(self, users: Tensor, given: base.Given) -> Tensor:
        """With a history: x₁ from it; users nobody knows have no x₂, and x₁ alone ranks for them."""
        if given.history is None:
            return self.score(users)
        short = _scaled(self.short.score_given(users, given))
        scores, known = short.clone(), users >= 0
        scores[known] = torch.lerp(_scaled(self.long.score(users[known])), short[known], self.theta)
        return scores


def fuse(
    users: np.ndarray,
    short: np.ndarray,
    long: np.ndarray,
    labels: np.ndarray,
    stream: Stream,
    *,
    rate: float,
    epochs: int,
    start: float = 0.5,
) -> float:
    """θ after stochastic gradient descent on the mean of ½ (θ x₁ + (1 - θ) x₂ - y)² of each user's cells.

    ``users`` [n] says whose cell each is, ``short`` and ``long`` [n] are x₁ and x₂, ``labels`` [n] is y.
    """
    people, place, counts = np.unique(users, return_inverse=True, return_counts=True)
    gap = short.astype(np.float64) - long
    # A user's mean gradient is linear in θ: slope · θ + level.
    slope = np.bincount(place, gap * gap, len(people)) / counts
    level = np.bincount(place, gap * (long - labels), len(people)) / counts
    theta = start
    for epoch in range(epochs):
        for person in stream.numpy("users", epoch).permutation(len(people)):
            theta -= rate * (slope[person] * theta + level[person])
    return float(np.clip(theta, 0.0, 1.0))


def held_out(data: InteractionMatrix, kept: InteractionMatrix, stream: Stream) -> Labelled:
    """The cells of ``data`` that aren't in ``kept``, and as many of each of their users with items they lack."""
    every = next(labelled_batches(data, 0, 1, stream.numpy("cells")), NO_CELLS)
    width = data.num_items
    known = np.isin(every.users * width + every.items, kept.users * width + kept.items)
    # The second half of the cells are the lacked items of the first half's users, in the same order.
    chosen = torch.from_numpy(np.tile(~known[: len(known) // 2], 2))
    return Labelled(*(part[chosen] for part in every))


def _matrix(sequences: Sequences, shape: Shape) -> InteractionMatrix:
    users = np.repeat(np.arange(shape.num_users), np.diff(sequences.indptr))
    order = np.lexsort((sequences.items, users))
    return InteractionMatrix(shape, users, sequences.items[order])


def _ranges(part: base.Model) -> Tensor:
    """Least and greatest score of each user over all items, apart even where all are equal -> [2, num_users]."""
    users, items = part.factors_or_fail()
    ranges = users.new_zeros(2, len(users))
    ranges[1] = 1
    for start in range(0, len(users) if len(items) else 0, _BLOCK):
        scores = users[start : start + _BLOCK] @ items.T
        ranges[0, start : start + _BLOCK] = scores.min(dim=1).values
        ranges[1, start : start + _BLOCK] = scores.max(dim=1).values
    ranges[1] = torch.where(ranges[1] > ranges[0], ranges[1], ranges[0] + 1)
    return ranges


def _unit(part: base.Model, cells: Labelled) -> Tensor:
    """A part's scores of cells, in [0, 1] of their users' -> [n]."""
    users, items = part.factors_or_fail()
    people, chosen = cells.users.to(users.device), cells.items.to(users.device)
    least, greatest = _ranges(part)[:, people]
    scores = (users[people] * items[chosen]).sum(dim=1)
    return (scores - least) / (greatest - least)


def _scaled(scores: Tensor) -> Tensor:
    """Each row of [B, N] brought to [0, 1] by its least and greatest; 0 where all are equal."""
    if not scores.shape[1]:
        return scores
    least, greatest = scores.aminmax(dim=1, keepdim=True)
    return (scores - least) / torch.where(greatest > least, greatest - least, 1.0)
