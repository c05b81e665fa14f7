"""Layers of networks as functions of tensors."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

import torch
from pydantic import AfterValidator
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lethe.core.random import Stream
from lethe.models.solvers.pull import owners_of, sum_by_owner


def rows_at(table: Tensor, places: Tensor) -> Tensor:
    """``table[places]``, of a table [n, d] and places of any shape -> [..., d]."""
    # embedding() rather than indexing: its gradient adds many repeated rows several times faster.
    return functional.embedding(places, table)


def dropped(x: Tensor, probability: float, generator: torch.Generator | None, *, whole_rows: bool = False) -> Tensor:
    """``x`` with each entry, or each row of [n, d], 0 with that probability, else scaled up by as much; as it is
    without a generator."""
    if generator is None or probability == 0:
        return x
    # Drawn on the CPU, so that every device drops the same.
    kept = torch.rand((len(x), 1) if whole_rows else x.shape, generator=generator) >= probability
    return x * (kept.to(x) / (1.0 - probability))


def _power_of_two(size: int) -> int:
    if size & (size - 1):
        raise ValueError("must be a power of 2: every layer halves it")
    return size


Halving = Annotated[int, AfterValidator(_power_of_two)]
"""A size that layers of ``halved`` bring down to 1."""


def halved(cells: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """ReLU of a 2 × 2 convolution of stride 2: cells [B, s, s, C] -> [B, s / 2, s / 2, C']; ``kernel`` [4 C, C']."""
    size, channels = cells.shape[1] // 2, cells.shape[3]
    # [B, size, 2, size, 2, C] -> [B, size, size, 2 · 2 · C]: a stride-2 convolution is one matrix product.
    blocks = cells.reshape(-1, size, 2, size, 2, channels).transpose(2, 3).reshape(-1, size, size, 4 * channels)
    return functional.relu(blocks @ kernel + bias)


def ragged_softmax(scores: Tensor, indptr: Tensor) -> Tensor:
    """Softmax of ``scores`` [nnz] within each of B groups, ragged: group b is ``indptr[b]:indptr[b + 1]`` -> [nnz]."""
    owner, groups = owners_of(indptr, len(scores)), len(indptr) - 1
    # Less its own maximum, which changes nothing and keeps exp() finite.
    top = torch.full((groups,), -torch.inf, dtype=scores.dtype, device=scores.device)
    top = top.scatter_reduce(0, owner, scores.detach(), "amax")
    powers = torch.exp(scores - top[owner])
    return powers / sum_by_owner(powers, owner, groups)[owner]


class Perceptron(nn.Module):
    """gᵀ z_L with z_(l+1) = ReLU(W_l z_l + b_l); ``sizes`` are those of z_0 .. z_L."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for into, out in pairwise(sizes):
            self.weights.append(torch.zeros(out, into))
            self.biases.append(torch.zeros(out))
        self.g = nn.Parameter(torch.zeros(sizes[-1]))

    def start(self, stream: Stream) -> None:
        """Normal weights of such a scale that what passes the layers keeps its size (He et al. 2015); biases 0."""
        with torch.no_grad():
            for layer, weight in enumerate(self.weights):
                scale = (2 / weight.shape[1]) ** 0.5
                weight.copy_(torch.randn(weight.shape, generator=stream.torch("layer", layer)) * scale)
            self.g.copy_(torch.randn(self.g.shape, generator=stream.torch("g")) * len(self.g) ** -0.5)

    def forward(self, z: Tensor, dropout: float = 0.0, generator: torch.Generator | None = None) -> Tensor:
        """[B, size of z_0] -> [B]; after each layer, dropout where there is a generator."""
        for weight, bias in zip(self.weights, self.biases, strict=True):
            z = dropped(functional.relu(functional.linear(z, weight, bias)), dropout, generator)
        return z @ self.g


def gru(inputs: Tensor, state: Tensor, starts: Tensor, gates: Tensor, candidate: Tensor) -> Tensor:
    """The states of a gated recurrent unit after each of T steps of W sequences side by side -> [T, W, d].

    As equations 5 to 7 of the RA_LST paper have it, h being the state before the step, or 0 where ``starts``:

        (r, z) = σ(x_rz + h U_rz)      h' = tanh(x_h + (r ⊙ h) U_h)      h ← (1 - z) ⊙ h + z ⊙ h'

    ``inputs`` [T, W, 3d] is what the step's input adds to r, z and h', its weights and biases already applied;
    ``state`` [W, d] that before the first step, through which no gradient goes; ``starts`` [T, W] bool; ``gates``
    [d, 2d] is U_rz and ``candidate`` [d, d] U_h. Differentiable once, with respect to ``inputs`` and both weights.

    It is torch's GRU but for three things: z and 1 - z are swapped, r acts before the product instead of after it, and
    a state can be reset in the middle.
    """
    keep = (~starts).to(inputs.dtype)[..., None]
    states: Tensor = _GRU.apply(inputs, state, keep, gates, candidate)  # type: ignore[no-untyped-call]
    return states


class _GRU(torch.autograd.Function):
    """By hand, because autograd's tape over so small steps costs more than their arithmetic (3.6 times as long)."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, state: Tensor, keep: Tensor, gates: Tensor, candidate: Tensor) -> Tensor:
        steps, width, d = *inputs.shape[:2], state.shape[1]
        before, reset, proposed, after = (inputs.new_empty(steps, width, d) for _ in range(4))
        opened = inputs.new_empty(steps, width, 2 * d)
        for t in range(steps):
            torch.mul(state, keep[t], out=before[t])
            torch.addmm(inputs[t, :, : 2 * d], before[t], gates, out=opened[t]).sigmoid_()
            torch.mul(opened[t, :, :d], before[t], out=reset[t])
            torch.addmm(inputs[t, :, 2 * d :], reset[t], candidate, out=proposed[t]).tanh_()
            state = torch.lerp(before[t], proposed[t], opened[t, :, d:], out=after[t])
        context.save_for_backward(keep, gates, candidate, before, reset, proposed, opened)
        return after

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        keep, gates, candidate, before, reset, proposed, opened = context.saved_tensors
        steps, width, d = before.shape
        r, z = opened[..., :d], opened[..., d:]
        # The slopes of what each step computes, before the gradient from the later steps comes in.
        by_candidate = z * (1 - proposed.square())
        by_update = (proposed - before) * z * (1 - z)
        by_reset = before * r * (1 - r)
        passed = 1 - z
        to_inputs = before.new_empty(steps, width, 3 * d)
        to_state = before.new_zeros(width, d)
        for t in range(steps - 1, -1, -1):
            to_state = to_state + grad[t]
            to_candidate = torch.mul(to_state, by_candidate[t], out=to_inputs[t, :, 2 * d :])
            to_reset = to_candidate @ candidate.T
            torch.mul(to_reset, by_reset[t], out=to_inputs[t, :, :d])
            torch.mul(to_state, by_update[t], out=to_inputs[t, :, d : 2 * d])
            to_state = (to_state * passed[t]).addcmul_(to_reset, r[t])
            to_state = to_state.addmm_(to_inputs[t, :, : 2 * d], gates.T).mul_(keep[t])
        flat = to_inputs.view(-1, 3 * d)
        to_gates = before.view(-1, d).T @ flat[:, : 2 * d]
        return to_inputs, None, None, to_gates, reset.view(-1, d).T @ flat[:, 2 * d :]
