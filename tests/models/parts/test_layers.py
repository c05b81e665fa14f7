"""The recurrent layer against torch's own cell, a naive loop, and numerical gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lethe.models.parts.layers import gru

T, W, D = 7, 5, 4


def values(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """inputs, state, starts (some in the middle, some at once), gates, candidate."""
    generator = torch.Generator().manual_seed(6)
    shapes = (T, W, 3 * D), (W, D), (D, 2 * D), (D, D)
    inputs, state, gates, candidate = (torch.randn(s, generator=generator, dtype=dtype) for s in shapes)
    return inputs, state, torch.rand(T, W, generator=generator) < 0.3, gates, candidate


def test_is_torchs_cell_where_the_two_agree() -> None:
    """With a diagonal U_h it is the same before and after the product where r acts; torch's z is our 1 - z."""
    inputs, state, _, gates, candidate = values()
    candidate = candidate.diag().diag()
    cell = nn.GRUCell(3 * D, D, dtype=torch.float64)
    flip = torch.ones(D, dtype=torch.float64).neg()
    with torch.no_grad():
        cell.bias_ih.zero_()
        cell.bias_hh.zero_()
        cell.weight_ih.copy_(torch.cat([torch.ones(D), flip, torch.ones(D)]).diag())
        cell.weight_hh.copy_(torch.cat([gates[:, :D], -gates[:, D:], candidate], dim=1).T)
        states, expected = gru(inputs, state, torch.zeros(T, W, dtype=torch.bool), gates, candidate), state
        for t in range(T):
            expected = cell(inputs[t], expected)
            assert torch.allclose(states[t], expected, rtol=1e-12, atol=1e-12)


def test_equations_5_to_7_cell_by_cell() -> None:
    inputs, state, starts, gates, candidate = values()
    states = gru(inputs, state, starts, gates, candidate).numpy()
    x, u, c = inputs.numpy(), gates.numpy(), candidate.numpy()
    for w in range(W):
        h = state[w].numpy()
        for t in range(T):
            h = np.zeros(D) if starts[t, w] else h
            r, z = (1 / (1 + np.exp(-(x[t, w, k * D : (k + 1) * D] + h @ u[:, k * D : (k + 1) * D]))) for k in (0, 1))
            proposed = np.tanh(x[t, w, 2 * D :] + (r * h) @ c)
            h = (1 - z) * h + z * proposed
            np.testing.assert_allclose(states[t, w], h, rtol=1e-12)


def test_gradients_are_those_of_small_differences() -> None:
    inputs, state, starts, gates, candidate = values()
    learnt = [part.requires_grad_() for part in (inputs, gates, candidate)]
    assert torch.autograd.gradcheck(lambda x, u, c: gru(x, state, starts, u, c), learnt)


def test_a_reset_keeps_what_was_before_out() -> None:
    """From a start on, neither the values nor the gradients know what came before it."""
    inputs, state, _, gates, candidate = values()
    starts = torch.zeros(T, W, dtype=torch.bool)
    starts[3] = True
    inputs.requires_grad_()
    states = gru(inputs, state, starts, gates, candidate)
    alone = gru(inputs[3:], 0 * state, starts[3:], gates, candidate)
    assert torch.equal(states[3:], alone)
    states[3:].sum().backward()
    assert inputs.grad is not None
    assert (inputs.grad[:3] == 0).all()
    assert (inputs.grad[3:, :, D:] != 0).all()  # r, which a state of 0 can't feel, aside
