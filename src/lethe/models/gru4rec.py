"""GRU4Rec: a recurrent network that reads a user's items in order of time and predicts the next.

Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016, as the RA_LST paper has it
(§2.2, equations 5 to 7 and figures 4 and 5).

    x_t = tanh(e_{v_t});      h_t = GRU(x_t, h_{t-1});      ŷ_v = h_t·o_v + b_v

    min Σ_t -ln softmax(ŷ)_{v_{t+1}}

Deviations: the sum in the softmax is over the next item and ``num_negatives`` uniform items, shared by a batch and
weighed up to stand for all the others (the paper does not say what its loss is, Hidasi et al. rank against the other
items of the mini-batch); gradients go back through at most ``num_steps`` steps, the state itself is carried over as
far as its sequence goes; Adam, with the paper's learning rate 0.001 as the default.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from lethe.config.search import Choice, Linear, Log, Search
from lethe.core.random import Stream
from lethe.models.parts import base, losses, towers
from lethe.models.parts.layers import gru, rows_at
from lethe.models.parts.sequences import Sequences, by_time, session_batches
from lethe.models.solvers.pull import form
from lethe.tables.matrix import InteractionMatrix, Shape

_BLOCK = 256
"""Users whose histories are run at once."""


class NextItemBatch(NamedTuple):
    """A ``SessionBatch`` and the items [K] int64, distinct, that its targets are compared with."""

    slots: Tensor
    inputs: Tensor
    targets: Tensor
    starts: Tensor
    negatives: Tensor


class GRU4Rec(base.Model):
    """score(u, v) = h_u·o_v + b_v, where h_u [M, d], kept by ``finish``, is the state after all of u's items."""

    class Config(base.GradientConfig):
        search: ClassVar[Search] = {
            "embedding_dim": Log(16, 256, 5),
            "num_layers": Linear(1, 2, 2),
            "num_negatives": Choice(0, 100, 400, 1600),
            "learning_rate": Log(2e-4, 0.02, 7),
            "epochs": Log(2, 48, 5),
        }

        solver: Literal["gradient"] = "gradient"
        embedding_dim: int = Field(64, ge=1)
        """Size d of the items' two vectors and of the state."""
        num_layers: int = Field(1, ge=1)
        """GRU layers, each over the states of the one below."""
        num_negatives: int = Field(400, ge=0)
        """Items that each batch counts as not chosen. 0: all items."""
        optimizer: Literal["adagrad", "adam", "sgd"] = "adam"
        learning_rate: float = Field(0.001, gt=0)
        epochs: int = Field(6, ge=0)
        batch_size: int = Field(128, ge=1)
        """Sequences side by side."""
        num_steps: int = Field(8, ge=1)
        """Steps of a batch, through which gradients go back."""

    needs: ClassVar[frozenset[str]] = frozenset({"timestamps"})
    accepts: ClassVar[frozenset[str]] = frozenset({"history"})
    ordered: ClassVar[bool] = True
    states: Tensor
    carried: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        d, layers = config.embedding_dim, range(config.num_layers)
        self.inputs = nn.Parameter(torch.zeros(shape.num_items, d))
        self.outputs = nn.Parameter(torch.zeros(shape.num_items, d))
        self.biases = nn.Parameter(torch.zeros(shape.num_items))
        self.projections = nn.ParameterList(torch.zeros(d, 3 * d) for _ in layers)
        self.offsets = nn.ParameterList(torch.zeros(3 * d) for _ in layers)
        self.gates = nn.ParameterList(torch.zeros(d, 2 * d) for _ in layers)
        self.candidates = nn.ParameterList(torch.zeros(d, d) for _ in layers)
        self.register_buffer("states", torch.zeros(shape.num_users, d))
        # The layers' states between two batches: always the same memory, which a recorded step writes to.
        self.register_buffer("carried", torch.zeros(len(layers), config.batch_size, d), persistent=False)
        self.sequences = Sequences(np.zeros(shape.num_users + 1, dtype=np.int64), np.empty(0, dtype=np.int64))

    def prepare(self, data: InteractionMatrix, stream: Stream) -> None:
        """All weights N(0, 1/d), biases 0."""
        deviation = self.config.embedding_dim**-0.5
        for name, parameter in self.named_parameters():
            if name != "biases" and not name.startswith("offsets"):
                towers.normal_(parameter, deviation, stream.torch(name))
        self.sequences = by_time(data, stream("ties"))

    def batches(self, data: InteractionMatrix, stream: Stream) -> Iterator[NextItemBatch]:
        config, num_items = self.config, self.shape.num_items
        size = config.num_negatives if 0 < config.num_negatives < num_items else num_items
        generator, everything = stream.numpy("negatives"), torch.arange(num_items)
        for batch in session_batches(self.sequences, config.batch_size, config.num_steps, stream.numpy("batches")):
            drawn = torch.from_numpy(generator.choice(num_items, size, replace=False, shuffle=False))
            yield NextItemBatch(*batch, everything if size == num_items else drawn)

    def steady(self) -> bool:
        return True

    def loss(self, batch: NextItemBatch) -> Tensor:
        """Carries each slot's state on to the next batch, so an epoch's batches belong in their order."""
        states, active = self._steps(batch), batch.targets >= 0
        if form(states) != "compiled":
            # All places, those without a next item at a weight of 0: leaving them out means waiting for a GPU.
            targets, weights = batch.targets.clamp_min(0).flatten(), active.flatten().to(states.dtype)
            return losses.next_item(states.flatten(0, 1), targets, self.outputs, batch.negatives, self.biases, weights)
        return losses.next_item(states[active], batch.targets[active], self.outputs, batch.negatives, self.biases)

    def _steps(self, batch: NextItemBatch) -> Tensor:
        """The states of the top layer after each step [T, W, d]; the last ones are kept for the next batch."""
        states = torch.tanh(rows_at(self.inputs, batch.inputs))
        for layer, carried in enumerate(self.carried):
            states = self._layer(layer, states, carried[batch.slots], batch.starts)
            carried[batch.slots] = states[-1].detach()
        return states

    def _layer(self, layer: int, inputs: Tensor, state: Tensor, starts: Tensor) -> Tensor:
        projected = torch.addmm(self.offsets[layer], inputs.flatten(0, 1), self.projections[layer])
        projected = projected.view(*inputs.shape[:2], -1)
        return gru(projected, state, starts, self.gates[layer], self.candidates[layer])

    def run(self, sequences: Sequences) -> Tensor:
        """The state after the last item of each of B sequences, 0 where there is none -> [B, d]."""
        lengths = np.diff(sequences.indptr)
        ends = self.inputs.new_zeros(len(lengths), self.config.embedding_dim)
        # The longest first, so that those of a block end at about the same step.
        order = np.argsort(-lengths, kind="stable")[: int((lengths > 0).sum())]
        for start in range(0, len(order), _BLOCK):
            rows = order[start : start + _BLOCK]
            steps = np.arange(lengths[rows[0]])[:, None]
            within = steps < lengths[rows]
            places = np.where(within, sequences.indptr[rows] + steps, 0)
            items = torch.from_numpy(sequences.items[places]).to(ends.device)
            ends[rows] = self._ends(items, torch.from_numpy(lengths[rows]).to(ends.device))
        return ends

    def _ends(self, items: Tensor, lengths: Tensor) -> Tensor:
        """The state after step ``lengths`` [W], decreasing, of items [T, W] -> [W, d]."""
        # Step by step in pieces, so that the states of all steps are never held.
        carried = [self.inputs.new_zeros(items.shape[1], self.config.embedding_dim) for _ in self.gates]
        ends = torch.zeros_like(carried[0])
        for first in range(0, len(items), self.config.num_steps):
            width = int((lengths > first).sum())
            piece = items[first : first + self.config.num_steps, :width]
            states = torch.tanh(rows_at(self.inputs, piece))
            nowhere = torch.zeros_like(piece, dtype=torch.bool)
            for layer, state in enumerate(carried):
                states = self._layer(layer, states, state[:width], nowhere)
                state[:width] = states[-1]
            last = lengths[:width] - first - 1
            done = (last < len(piece)).nonzero()[:, 0]
            ends[done] = states[last[done], done]
        return ends

    def finish(self) -> None:
        self.carried.zero_()
        self.states = self.run(self.sequences)

    def factors(self) -> tuple[Tensor, Tensor]:
        """(h_u, 1) and (o_v, b_v)."""
        return _towers(self.states), torch.cat([self.outputs, self.biases[:, None]], dim=1).detach()

    def score_history(self, given: base.Given) -> Tensor:
        """From the state after it, whoever the user is."""
        with torch.no_grad():
            states = self.run(Sequences(given.taken.indptr, given.taken.items))
        return _towers(states) @ self.factors()[1].T

    def fold_in(self) -> None:
        """None: a history is read in its order, by the network."""
        return None


def _towers(states: Tensor) -> Tensor:
    return torch.cat([states, torch.ones_like(states[:, :1])], dim=1)
